cwlVersion: v1.2
class: CommandLineTool
label: Package the results
doc: >-
  Verified copies, one document of the numbers, and the list of checksums that another workflow stages in by.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/stage_out.py}

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
  verdict:
    type: File
    label: Verdict
    inputBinding: {position: 1, prefix: --verdict}
  files:
    type: File[]
    label: Other results
    inputBinding: {position: 1, prefix: --files}

outputs:
  result_document:
    type: File
    label: Numbers of the run
    outputBinding: {glob: result.json}
  spectrum_file:
    type: File
    label: Data, fit, candidates, parameters (ROOT)
    outputBinding: {glob: spectrum.root}
  verdict_file:
    type: File
    label: Verdict of the validation
    outputBinding: {glob: validation.json}
  spectrum_plot:
    type: File
    label: Spectrum with fit and pulls
    outputBinding: {glob: spectrum.png}
  candidates_plot:
    type: File
    label: Phase space and decay length of the candidates
    outputBinding: {glob: candidates.png}
  report_page:
    type: File
    label: Report (HTML)
    outputBinding: {glob: report.html}
  checksum_list:
    type: File
    label: Sizes and checksums of the results
    outputBinding: {glob: checksums.csv}
