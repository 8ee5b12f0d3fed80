#!/usr/bin/env cwl-runner
# The Snakefile's shapes (many units, a fan-in, a verdict) with the same scripts and the same bytes. No expression needs JavaScript.
# A tool's inputs reach its script as inputs.json: a text in a file, so that any number of files fits and no shell sees a value.
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
  list: # which units and groups there are
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
    run:
      id: list_units
      class: CommandLineTool
      requirements:
        InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
      baseCommand: [python3, -SB]
      arguments: [$(inputs.scripts.path)/cwl_steps.py, list]
      inputs:
        scripts: Directory
        units: int
        seconds: double
        output_bytes: long
        group_size: int
        fail_unit: int?
        exit_code: int
        units_table: File?
      outputs: # from cwl.output.json, which the script writes
        units:
          type:
            type: array
            items:
              type: record
              fields: {key: string, seconds: string, payload: string, fails: int}
        groups: string[]
        values: File
  unit:
    scatter: unit
    in: {script: unit_script, unit: list/units, output_bytes: output_bytes}
    out: [file]
    run:
      id: one_unit
      class: CommandLineTool
      baseCommand: bash
      arguments:
        - $(inputs.script.path)
        - $(inputs.unit.key)
        - ./$(inputs.unit.key).dat
        - $(inputs.output_bytes)
        - $(inputs.unit.seconds)
        - $(inputs.unit.fails)
        - payload=$(inputs.unit.payload)
      inputs:
        script: File
        unit:
          type:
            type: record
            fields: {key: string, seconds: string, payload: string, fails: int}
        output_bytes: long
      outputs:
        file: {type: File, outputBinding: {glob: $(inputs.unit.key).dat}}
  folder: # what is published: one folder of all units
    in: {scripts: scripts, files: unit/file}
    out: [folder]
    run:
      id: unit_folder
      class: CommandLineTool
      requirements:
        InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
      baseCommand: [python3, -SB]
      arguments: [$(inputs.scripts.path)/cwl_steps.py, folder]
      inputs: {scripts: Directory, files: "File[]"}
      outputs:
        folder: {type: Directory, outputBinding: {glob: units}}
  fan_in:
    scatter: group
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, group: list/groups}
    out: [document]
    run:
      id: one_group
      class: CommandLineTool
      requirements:
        InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
      baseCommand: [python3, -SB]
      arguments: [$(inputs.scripts.path)/cwl_steps.py, group, $(inputs.group).json]
      inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, group: string}
      outputs:
        document: {type: File, outputBinding: {glob: $(inputs.group).json}}
  summary:
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, groups: fan_in/document}
    out: [document]
    run:
      id: all_units
      class: CommandLineTool
      requirements:
        InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
      baseCommand: [python3, -SB]
      arguments: [$(inputs.scripts.path)/cwl_steps.py, summary, summary.json]
      inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, groups: "File[]"}
      outputs:
        document: {type: File, outputBinding: {glob: summary.json}}
  verdict:
    in: {scripts: scripts, values: list/values, units_table: units_table, folder: folder/folder, summary: summary/document}
    out: [document]
    run:
      id: check
      class: CommandLineTool
      requirements:
        InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
      baseCommand: [python3, -SB]
      arguments: [$(inputs.scripts.path)/cwl_steps.py, verdict, verdict.json]
      inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, summary: File}
      outputs:
        document: {type: File, outputBinding: {glob: verdict.json}}
