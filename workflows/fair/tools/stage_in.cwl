cwlVersion: v1.2
class: CommandLineTool
label: Stage in one event file
doc: >-
  Copies a file to the place of the job and verifies the copy, with a catalogue's checksums where they are given.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/stage_in.py}
  - {position: 2, prefix: --out, valueFrom: events.root}
  - {position: 2, prefix: --record, valueFrom: record.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 400}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  source:
    type: File
    label: Event file
    inputBinding: {position: 1, prefix: --source}
  checksums:
    type: File?
    label: List of checksums
    inputBinding: {position: 1, prefix: --checksums}

outputs:
  events:
    type: File
    label: Verified copy
    outputBinding: {glob: events.root}
  record:
    type: File
    label: Name, size, checksums
    outputBinding: {glob: record.json}
