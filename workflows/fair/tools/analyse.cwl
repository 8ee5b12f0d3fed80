cwlVersion: v1.2
class: CommandLineTool
label: Find candidates in one file
doc: >-
  Identified protons and pions that meet away from the target, their invariant mass.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/analyse.py}
  - {position: 2, prefix: --out, valueFrom: part.root}
  - {position: 2, prefix: --counts, valueFrom: counts.json}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 1000}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  events:
    type: File
    label: Event file
    inputBinding: {position: 1, prefix: --events}
  record:
    type: File
    label: What staging or generation says of it
    inputBinding: {position: 1, prefix: --record}
  reader:
    type: {type: enum, symbols: [uproot, root, auto]}
    label: Reader of ROOT files
    inputBinding: {position: 1, prefix: --reader}
  momentum_resolution:
    type: double
    label: Momentum resolution (percent)
    inputBinding: {position: 1, prefix: --momentum-resolution}
  identification:
    type: double
    label: Identification
    inputBinding: {position: 1, prefix: --identification}
  track_distance:
    type: double
    label: Distance of the tracks (cm)
    inputBinding: {position: 1, prefix: --track-distance}
  decay_length:
    type: double
    label: Decay length (cm)
    inputBinding: {position: 1, prefix: --decay-length}
  pointing:
    type: double
    label: Pointing (mrad)
    inputBinding: {position: 1, prefix: --pointing}
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

outputs:
  part:
    type: File
    label: Histogram and candidates
    outputBinding: {glob: part.root}
  counts:
    type: File
    label: What was read and found
    outputBinding: {glob: counts.json}
