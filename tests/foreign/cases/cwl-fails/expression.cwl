cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
baseCommand: [echo]
arguments: ["$(no_such_name.x)"]
outputs: []
