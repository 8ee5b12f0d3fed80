#!/usr/bin/env cwl-runner
# What main.cwl makes of its units, of units that map.cwl has made.
cwlVersion: v1.2
class: Workflow
label: What is made of the units
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
  unit_files: File[]
  scripts: {type: Directory, default: {class: Directory, location: scripts}}
outputs:
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
  folder:
    in: {scripts: scripts, files: unit_files}
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
