cwlVersion: v1.2
class: CommandLineTool
inputs: {word: {type: string, inputBinding: {}}}
baseCommand: echo
outputs: {file: {type: stdout}}
stdout: word.txt
