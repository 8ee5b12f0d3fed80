cwlVersion: v1.2
class: CommandLineTool
inputs:
  f: {type: File, secondaryFiles: [.idx], inputBinding: {position: 1}}
baseCommand: [bash, -c, 'cat "$0" "$0.idx"']
outputs: {said: stdout}
stdout: said.txt
