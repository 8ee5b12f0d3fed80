cwlVersion: v1.2
class: CommandLineTool
$namespaces: {edam: "http://edamontology.org/"}
inputs: {f: {type: File, format: "edam:format_1930", inputBinding: {}}}
baseCommand: cat
outputs: {said: stdout}
stdout: said.txt
