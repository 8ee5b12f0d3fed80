#!/usr/bin/env cwl-runner
cwlVersion: v1.0
class: CommandLineTool
doc: |
  Flags of all kinds of types.
  Second line.
baseCommand: echo
stdout: args.txt
inputs:
  example_flag:
    type: boolean
    inputBinding: {position: 1, prefix: -f}
  example_string:
    type: string
    label: A text
    doc: It is printed.
    inputBinding: {position: 3, prefix: --example-string}
  example_int:
    type: int
    inputBinding: {position: 2, prefix: -i, separate: false}
  example_float:
    type: float?
    inputBinding: {position: 4, prefix: -x}
  example_file:
    type: File?
    inputBinding: {prefix: --file=, separate: false, position: 5}
  choice:
    type:
      type: enum
      symbols: [fast, exact]
    default: exact
    inputBinding: {position: 6, prefix: -c}
  max-mem:
    type: [int, string, "null"]
    inputBinding: {position: 7, prefix: -m}
outputs:
  args: stdout
