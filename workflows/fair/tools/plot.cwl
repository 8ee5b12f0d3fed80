cwlVersion: v1.2
class: CommandLineTool
label: Draw spectrum and candidates
doc: >-
  Two figures as PNG.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/plot.py}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 1000}
  - {class: EnvVarRequirement, envDef: {MPLCONFIGDIR: $(runtime.tmpdir)}}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  spectrum:
    type: File
    label: Data, fit, candidates
    inputBinding: {position: 1, prefix: --spectrum}
  result:
    type: File
    label: Result of the fit
    inputBinding: {position: 1, prefix: --result}

outputs:
  spectrum_plot:
    type: File
    label: Spectrum with fit and pulls
    outputBinding: {glob: spectrum.png}
  candidates_plot:
    type: File
    label: Phase space and decay length
    outputBinding: {glob: candidates.png}
