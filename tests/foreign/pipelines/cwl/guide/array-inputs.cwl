#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
inputs:
  filesA:
    type: string[]
    inputBinding: {prefix: -A, position: 1}
  filesB:
    type:
      type: array
      items: string
      inputBinding: {prefix: -B=, separate: false}
    inputBinding: {position: 2}
  filesC:
    type: string[]
    inputBinding: {prefix: -C=, itemSeparator: ",", separate: false, position: 4}
  numbers:
    type: int[]?
    default: [1, 2]
    inputBinding: {prefix: -N, position: 5}
outputs:
  example_out: {type: stdout}
stdout: output.txt
baseCommand: echo
