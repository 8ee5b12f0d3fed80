cwlVersion: v1.2
class: Workflow
label: Spectrum of Λ → p π⁻
doc: >-
  Event files in the ROOT format are staged in (or toy events generated), searched for Λ → p π⁻, and the spectrum of the invariant mass is
  fitted, drawn, validated and packaged. README.md has the physics.

requirements:
  - class: ScatterFeatureRequirement
  - class: MultipleInputFeatureRequirement
  - class: StepInputExpressionRequirement

inputs:
  events:
    type: File[]
    default: []
    label: Event files
    doc: >-
      ROOT files with the TTree `events` (README.md). If none is given, toy events are generated.
  simulation:
    type: File[]
    default: []
    label: Simulation files
    doc: >-
      Event files with truth, of other events, from which the efficiency comes. If none is given, the toy is simulated.
  checksums:
    type: File?
    label: Checksums of the event files
    doc: >-
      CSV of a catalogue with the columns name and any of bytes, adler32, md5, sha256. Every file that is given must be in it.
  files:
    type: long
    default: 4
    label: Files
    doc: >-
      Event files that are generated when none is given.
  events_per_file:
    type: long
    default: 5000
    label: Events in a file
    doc: >-
      Collisions in each generated file.
  beam_energy:
    type: double
    default: 10.0
    label: Beam energy
    doc: >-
      Kinetic energy of the beam, per nucleon. Unit: GeV.
  lambda_rate:
    type: double
    default: 0.2
    label: Λ in an event
    doc: >-
      Mean number of decays Λ → p π⁻ in a generated event.
  seed:
    type: long
    default: 1
    label: Random seed
    doc: >-
      Of the generated events: equal seeds give equal files.
  simulation_events:
    type: long
    default: 10000
    label: Events of the simulation
    doc: >-
      With one decay Λ → p π⁻ each on average, from which the efficiency comes when no simulation is given.
  reader:
    type: {type: enum, symbols: [uproot, root, auto]}
    default: "uproot"
    label: Reader of ROOT files
    doc: >-
      uproot needs no ROOT; root is ROOT itself, where python3 can import it; auto takes ROOT if it is there.
  momentum_resolution:
    type: double
    default: 1.0
    label: Momentum resolution
    doc: >-
      Relative resolution of a track's momentum, in percent: of generated events, and supposed by the identification. Unit: percent.
  identification:
    type: double
    default: 3.0
    label: Identification
    doc: >-
      Largest deviation of a track's squared mass by time of flight from that of proton or pion, in standard deviations.
  track_distance:
    type: double
    default: 0.2
    label: Distance of the tracks
    doc: >-
      Largest distance of proton and pion where they are nearest to each other. Unit: cm.
  decay_length:
    type: double
    default: 3.0
    label: Decay length
    doc: >-
      Smallest distance of the decay from the target. Unit: cm.
  pointing:
    type: double
    default: 50.0
    label: Pointing
    doc: >-
      Largest angle of the pair's momentum to the line from the target to the decay. Unit: mrad.
  mass_min:
    type: double
    default: 1.085
    label: Lowest mass
    doc: >-
      Start of the spectrum. Unit: GeV.
  mass_max:
    type: double
    default: 1.165
    label: Highest mass
    doc: >-
      End of the spectrum. Unit: GeV.
  bins:
    type: long
    default: 160
    label: Bins
    doc: >-
      Bins of the spectrum; 2 MeV or less each.
  background:
    type: {type: enum, symbols: [threshold, polynomial]}
    default: "threshold"
    label: Background
    doc: >-
      Shape below the peak: threshold is phase space above the mass of proton and pion, polynomial is one in Bernstein's form.
  background_order:
    type: long
    default: 3
    label: Order of the polynomial
    doc: >-
      Used with the polynomial background.
  tolerance:
    type: double
    default: 4.0
    label: Tolerance of the validation
    doc: >-
      Largest deviation of mass and yields from the truth, in standard deviations.

steps:
  plan:
    run: tools/plan.cwl
    in:
      given: {source: events, valueFrom: $(self.length)}
      simulated: {source: simulation, valueFrom: $(self.length)}
      files: files
      mass_min: mass_min
      mass_max: mass_max
      bins: bins
      reader: reader
    out: [blocks, simulation_blocks]

  generate:
    run: tools/generate.cwl
    scatter: block
    in:
      block: plan/blocks
      seed: seed
      events_per_file: events_per_file
      beam_energy: beam_energy
      lambda_rate: lambda_rate
      momentum_resolution: momentum_resolution
    out: [events, record]

  stage_in:
    run: tools/stage_in.cwl
    scatter: source
    in:
      source: events
      checksums: checksums
    out: [events, record]

  analyse:
    run: tools/analyse.cwl
    scatter: [events, record]
    scatterMethod: dotproduct
    in:
      events: {source: [stage_in/events, generate/events], linkMerge: merge_flattened}
      record: {source: [stage_in/record, generate/record], linkMerge: merge_flattened}
      reader: reader
      momentum_resolution: momentum_resolution
      identification: identification
      track_distance: track_distance
      decay_length: decay_length
      pointing: pointing
      mass_min: mass_min
      mass_max: mass_max
      bins: bins
    out: [part, counts]

  # other random numbers than those of the events, and many decays: the efficiency is to be known better than the yield
  simulate:
    run: tools/generate.cwl
    scatter: block
    in:
      block: plan/simulation_blocks
      seed: seed
      events_per_file: simulation_events
      beam_energy: beam_energy
      lambda_rate: {default: 1.0}
      momentum_resolution: momentum_resolution
    out: [events, record]

  stage_in_simulation:
    run: tools/stage_in.cwl
    scatter: source
    in:
      source: simulation
      checksums: checksums
    out: [events, record]

  analyse_simulation:
    run: tools/analyse.cwl
    scatter: [events, record]
    scatterMethod: dotproduct
    in:
      events: {source: [stage_in_simulation/events, simulate/events], linkMerge: merge_flattened}
      record: {source: [stage_in_simulation/record, simulate/record], linkMerge: merge_flattened}
      reader: reader
      momentum_resolution: momentum_resolution
      identification: identification
      track_distance: track_distance
      decay_length: decay_length
      pointing: pointing
      mass_min: mass_min
      mass_max: mass_max
      bins: bins
    out: [counts]

  merge:
    run: tools/merge.cwl
    in:
      parts: analyse/part
      counts: analyse/counts
      simulated: analyse_simulation/counts
    out: [merged, summary]

  fit:
    run: tools/fit.cwl
    in:
      merged: merge/merged
      summary: merge/summary
      background: background
      background_order: background_order
    out: [spectrum, result]

  plot:
    run: tools/plot.cwl
    in:
      spectrum: fit/spectrum
      result: fit/result
    out: [spectrum_plot, candidates_plot]

  validate:
    run: tools/validate.cwl
    in:
      summary: merge/summary
      result: fit/result
      tolerance: tolerance
    out: [verdict]

  report:
    run: tools/report.cwl
    in:
      summary: merge/summary
      result: fit/result
      verdict: validate/verdict
      plots: {source: [plot/spectrum_plot, plot/candidates_plot], linkMerge: merge_flattened}
      files: files
      events_per_file: events_per_file
      beam_energy: beam_energy
      lambda_rate: lambda_rate
      seed: seed
      simulation_events: simulation_events
      reader: reader
      momentum_resolution: momentum_resolution
      identification: identification
      track_distance: track_distance
      decay_length: decay_length
      pointing: pointing
      mass_min: mass_min
      mass_max: mass_max
      bins: bins
      background: background
      background_order: background_order
      tolerance: tolerance
    out: [report]

  stage_out:
    run: tools/stage_out.cwl
    in:
      summary: merge/summary
      result: fit/result
      verdict: validate/verdict
      files: {source: [fit/spectrum, plot/spectrum_plot, plot/candidates_plot, report/report], linkMerge: merge_flattened}
    out: [result_document, spectrum_file, verdict_file, spectrum_plot, candidates_plot, report_page, checksum_list]

outputs:
  result_document:
    type: File
    label: Numbers of the run
    outputSource: stage_out/result_document
  spectrum_file:
    type: File
    label: Data, fit, candidates, parameters (ROOT)
    outputSource: stage_out/spectrum_file
  verdict_file:
    type: File
    label: Verdict of the validation
    outputSource: stage_out/verdict_file
  spectrum_plot:
    type: File
    label: Spectrum with fit and pulls
    outputSource: stage_out/spectrum_plot
  candidates_plot:
    type: File
    label: Phase space and decay length of the candidates
    outputSource: stage_out/candidates_plot
  report_page:
    type: File
    label: Report (HTML)
    outputSource: stage_out/report_page
  checksum_list:
    type: File
    label: Sizes and checksums of the results
    outputSource: stage_out/checksum_list
