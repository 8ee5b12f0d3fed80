cwlVersion: v1.2
class: CommandLineTool
label: Add up all files
doc: >-
  Histograms, candidates and counts of all files.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/merge.py}
  - {position: 2, prefix: --out, valueFrom: merged.root}
  - {position: 2, prefix: --summary, valueFrom: summary.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 1000}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  parts:
    type: File[]
    label: Histograms and candidates
    inputBinding: {position: 1, prefix: --parts}
  counts:
    type: File[]
    label: Counts, in the same order
    inputBinding: {position: 1, prefix: --counts}
  simulated:
    type: File[]
    label: Counts of the simulation
    inputBinding: {position: 1, prefix: --simulated}

outputs:
  merged:
    type: File
    label: Histogram and candidates
    outputBinding: {glob: merged.root}
  summary:
    type: File
    label: Counts, files
    outputBinding: {glob: summary.json}
