cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  SchemaDefRequirement:
    types:
      - $import: ../types/settings.yml
hints:
  DockerRequirement:
    dockerPull: debian:stable-slim
baseCommand: [bash, -c]
arguments:
  - valueFrom: |
      (ls "`dirname "$1"`" | grep -c reference; sort $(inputs.settings.order == "down" ? "-r" : "-s") "$0") > sorted.txt
  - $(inputs.reads.path)
  - $(inputs.reference.path)
inputs:
  reads: File
  settings: ../types/settings.yml#settings
  reference:
    type: File
    secondaryFiles: [.fai, ^.dict]
outputs:
  sorted:
    type: File
    outputBinding: {glob: sorted.txt}
