#!/usr/bin/env cwl-runner
# One job that greets: the Snakefile's step, with the same script and the same bytes.
cwlVersion: v1.2
class: Workflow
label: Hello
inputs:
  language:
    type: string
    default: english
  who:
    type: string
    default: world
outputs:
  greeting: {type: File, outputSource: greet/text}
  document: {type: File, outputSource: greet/document}
steps:
  greet:
    in: {language: language, who: who}
    out: [text, document]
    run:
      class: CommandLineTool
      baseCommand: [python3, -B]
      inputs:
        script:
          type: File
          default: {class: File, location: scripts/greet.py}
          inputBinding: {position: 1}
        language: string
        who: string
      arguments:
        # All inputs as one JSON text, of which the script reads its two: whatever the name is, no shell and no quoting sees it.
        - {position: 2, valueFrom: --values=$(inputs)}
        - {position: 2, valueFrom: --text=greeting.txt}
        - {position: 2, valueFrom: --document=greeting.json}
      outputs:
        text: {type: File, outputBinding: {glob: greeting.txt}}
        document: {type: File, outputBinding: {glob: greeting.json}}
