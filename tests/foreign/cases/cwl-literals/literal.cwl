cwlVersion: v1.2
class: CommandLineTool
inputs:
  f: {type: File, inputBinding: {position: 1}}
  d: {type: Directory, inputBinding: {position: 2}}
baseCommand: [bash, -c, 'cat "$0"; ls "$1"']
outputs: {said: stdout}
stdout: said.txt
