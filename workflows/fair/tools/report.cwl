cwlVersion: v1.2
class: CommandLineTool
label: Write the report
doc: >-
  One page that needs no other file: pictures, numbers with errors, verdict, parameters, files, software.

baseCommand: [python3, -B]
arguments:
  - {position: 0, valueFrom: $(inputs.scripts.path)/report.py}
  - {position: 2, prefix: --out, valueFrom: report.html}

requirements:
  - {class: ResourceRequirement, coresMin: 1, ramMin: 400}

inputs:
  scripts:
    type: Directory
    label: Scripts of the workflow
    default: {class: Directory, location: ../scripts}
  schema:
    type: File
    label: Titles and units of the parameters
    default: {class: File, location: ../params.schema.json}
    inputBinding: {position: 1, prefix: --schema}
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
  plots:
    type: File[]
    label: Pictures
    inputBinding: {position: 1, prefix: --plots}
  files:
    type: long
    label: Files
    inputBinding: {position: 1, prefix: --files}
  events_per_file:
    type: long
    label: Events in a file
    inputBinding: {position: 1, prefix: --events-per-file}
  beam_energy:
    type: double
    label: Beam energy (GeV)
    inputBinding: {position: 1, prefix: --beam-energy}
  lambda_rate:
    type: double
    label: Λ in an event
    inputBinding: {position: 1, prefix: --lambda-rate}
  seed:
    type: long
    label: Random seed
    inputBinding: {position: 1, prefix: --seed}
  simulation_events:
    type: long
    label: Events of the simulation
    inputBinding: {position: 1, prefix: --simulation-events}
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
  background:
    type: {type: enum, symbols: [threshold, polynomial]}
    label: Background
    inputBinding: {position: 1, prefix: --background}
  background_order:
    type: long
    label: Order of the polynomial
    inputBinding: {position: 1, prefix: --background-order}
  tolerance:
    type: double
    label: Tolerance of the validation
    inputBinding: {position: 1, prefix: --tolerance}

outputs:
  report:
    type: File
    label: Report
    outputBinding: {glob: report.html}
