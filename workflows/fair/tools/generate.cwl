cwlVersion: v1.2
class: CommandLineTool
label: Generate one file of toy events
doc: >-
  Nuclear collisions at a fixed target with decays of the Λ, as a real ROOT file.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/generate.py}
  - {position: 2, prefix: --out, valueFrom: toy-$(inputs.block).root}
  - {position: 2, prefix: --record, valueFrom: record.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 1000}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  block:
    type: long
    label: Number of the file
    inputBinding: {position: 1, prefix: --block}
  seed:
    type: long
    label: Random seed
    inputBinding: {position: 1, prefix: --seed}
  events_per_file:
    type: long
    label: Events in a file
    inputBinding: {position: 1, prefix: --events}
  beam_energy:
    type: double
    label: Beam energy (GeV)
    inputBinding: {position: 1, prefix: --beam-energy}
  lambda_rate:
    type: double
    label: Λ in an event
    inputBinding: {position: 1, prefix: --lambda-rate}
  momentum_resolution:
    type: double
    label: Momentum resolution (percent)
    inputBinding: {position: 1, prefix: --momentum-resolution}

outputs:
  events:
    type: File
    label: Events
    outputBinding: {glob: toy-$(inputs.block).root}
  record:
    type: File
    label: Name, size, checksums, parameters
    outputBinding: {glob: record.json}
