cwlVersion: v1.2
class: CommandLineTool
label: Fit the spectrum
doc: >-
  Extended binned maximum-likelihood fit of a Gaussian and a background.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/fit.py}
  - {position: 2, prefix: --out, valueFrom: spectrum.root}
  - {position: 2, prefix: --result, valueFrom: fit.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 1000}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  merged:
    type: File
    label: Histogram and candidates
    inputBinding: {position: 1, prefix: --merged}
  summary:
    type: File
    label: Counts
    inputBinding: {position: 1, prefix: --summary}
  background:
    type: {type: enum, symbols: [threshold, polynomial]}
    label: Background
    inputBinding: {position: 1, prefix: --background}
  background_order:
    type: long
    label: Order of the polynomial
    inputBinding: {position: 1, prefix: --background-order}

outputs:
  spectrum:
    type: File
    label: Data, fit, candidates
    outputBinding: {glob: spectrum.root}
  result:
    type: File
    label: Result of the fit
    outputBinding: {glob: fit.json}
