cwlVersion: v1.2
class: CommandLineTool
label: Validate by physics
doc: >-
  Units, mass shell, goodness of fit, mass of the Λ, closure where there is a truth.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/validate.py}
  - {position: 2, prefix: --out, valueFrom: validation.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 400}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  summary:
    type: File
    label: Counts
    inputBinding: {position: 1, prefix: --summary}
  result:
    type: File
    label: Result of the fit
    inputBinding: {position: 1, prefix: --result}
  tolerance:
    type: double
    label: Tolerance of the validation
    inputBinding: {position: 1, prefix: --tolerance}

outputs:
  verdict:
    type: File
    label: Verdict
    outputBinding: {glob: validation.json}
