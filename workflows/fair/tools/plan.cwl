cwlVersion: v1.2
class: CommandLineTool
label: Check parameters and software
doc: >-
  Says everything that does not fit before anything runs, and which files are generated.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/plan.py}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 400}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  given:
    type: long
    label: Files that are given
    inputBinding: {position: 1, prefix: --given}
  simulated:
    type: long
    label: Simulation files that are given
    inputBinding: {position: 1, prefix: --simulated}
  files:
    type: long
    label: Files
    inputBinding: {position: 1, prefix: --files}
  mass_min:
    type: double
    label: Lowest mass (GeV)
    inputBinding: {position: 1, prefix: --mass-min}
  mass_max:
    type: double
    label: Highest mass (GeV)
    inputBinding: {position: 1, prefix: --mass-max}
  bins:
    type: long
    label: Bins
    inputBinding: {position: 1, prefix: --bins}
  reader:
    type: {type: enum, symbols: [uproot, root, auto]}
    label: Reader of ROOT files
    inputBinding: {position: 1, prefix: --reader}

outputs:
  blocks:
    type: long[]
    label: Numbers of the files that are generated
  simulation_blocks:
    type: long[]
    label: The same of the simulation
