cwlVersion: v1.2
class: CommandLineTool
inputs: []
baseCommand: [bash, -c, "echo made > made.txt; exit 7"]
successCodes: [7]
outputs: {made: {type: File, outputBinding: {glob: made.txt}}}
