cwlVersion: v1.2
class: CommandLineTool
inputs:
  f: {type: File}
baseCommand: [echo]
arguments: [$(inputs.f.basename), $(inputs.f.nameroot), $(inputs.f.nameext), $(inputs.f.size)]
outputs: {said: stdout}
stdout: said.txt
