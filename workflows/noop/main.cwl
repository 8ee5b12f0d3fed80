#!/usr/bin/env cwl-runner
# The Snakefile's shapes (many units, a fan-in, a verdict) with the same scripts and the same bytes.
# In one go; map.cwl makes the units of one slice only, and join.cwl all the rest of units that were made before.
cwlVersion: v1.2
class: Workflow
label: Nothing, in parallel
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
  scripts: {type: Directory, default: {class: Directory, location: scripts}}
  unit_script: {type: File, default: {class: File, location: scripts/unit.sh}} # alone: a folder is looked through once a unit
outputs:
  files: {type: Directory, outputSource: folder/folder}
  document: {type: File, outputSource: summary/document}
  judgement: {type: File, outputSource: verdict/document}
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
  fan_in:
    scatter: group
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, group: list/groups}
    out: [document]
    run: tools.cwl#one_group
  summary:
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, groups: fan_in/document}
    out: [document]
    run: tools.cwl#all_units
  verdict:
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, summary: summary/document}
    out: [document]
    run: tools.cwl#check
