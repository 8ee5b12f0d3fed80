#!/usr/bin/env cwl-runner
# The units of one slice, as main.cwl makes them.
cwlVersion: v1.2
class: Workflow
label: The units of a slice
requirements:
  ScatterFeatureRequirement: {}
inputs:
  units: {type: int, default: 4}
  seconds: {type: double, default: 0}
  output_bytes: {type: long, default: 16}
  group_size: {type: int, default: 0}
  fail_unit: int?
  exit_code: {type: int, default: 3}
  units_table: File?
  slice: int # from 1
  slices: int
  scripts: {type: Directory, default: {class: Directory, location: scripts}}
  unit_script: {type: File, default: {class: File, location: scripts/unit.sh}} # alone: a folder is looked through once a unit
outputs:
  files: {type: Directory, outputSource: folder/folder}
steps:
  list:
    in:
      scripts: scripts
      units: units
      seconds: seconds
      output_bytes: output_bytes
      group_size: group_size
      fail_unit: fail_unit
      exit_code: exit_code
      units_table: units_table
      slice: slice
      slices: slices
    out: [units, groups, values]
    run: tools.cwl#list_units
  unit:
    scatter: unit
    in: {script: unit_script, unit: list/units, output_bytes: output_bytes}
    out: [file]
    run: tools.cwl#one_unit
  folder:
    in: {scripts: scripts, files: unit/file}
    out: [folder]
    run: tools.cwl#unit_folder
