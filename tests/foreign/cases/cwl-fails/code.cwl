cwlVersion: v1.2
class: CommandLineTool
inputs: []
baseCommand: [bash, -c, "echo the cause >&2; exit 7"]
outputs: []
stderr: told.txt
