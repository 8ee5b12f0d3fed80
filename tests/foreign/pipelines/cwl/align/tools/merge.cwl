cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  header: {type: File, inputBinding: {position: 1}}
  files: {type: "File[]", inputBinding: {position: 2}}
outputs:
  merged: {type: stdout}
stdout: merged.txt
