#!/usr/bin/env cwl-runner
# What main.cwl makes, with `shard_size` units in one job. The journal is kept where $SHARD_JOURNAL says, if a job can see that folder.
cwlVersion: v1.2
class: Workflow
label: Nothing, in parallel, in shards
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
  shard_size: int
  scripts: {type: Directory, default: {class: Directory, location: scripts}}
  unit_script: {type: File, default: {class: File, location: scripts/unit.sh}}
  runner: {type: Directory, default: {class: Directory, location: ../../rules/shard}}
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
      shard_size: shard_size
    out: [table, parts, groups, values]
    run: tools.cwl#list_shards
  unit_shard:
    scatter: part
    in: {runner: runner, script: unit_script, table: list/table, part: list/parts, output_bytes: output_bytes}
    out: [made, manifest]
    run: tools.cwl#one_shard
  folder:
    in: {scripts: scripts, folders: unit_shard/made}
    out: [folder]
    run: tools.cwl#shard_folder
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
