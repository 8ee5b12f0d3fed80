cwlVersion: v1.2
class: CommandLineTool
inputs: {f: {type: File, default: {class: File, location: "in put é+1.txt"}, inputBinding: {}}}
baseCommand: cat
outputs: {said: stdout}
stdout: "sa id.txt"
