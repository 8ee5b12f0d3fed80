# The steps: for main.cwl, which runs all of them, and for map.cwl and join.cwl, which run some. No expression needs JavaScript.
# A tool's inputs reach its script as inputs.json: a text in a file, so that any number of files fits and no shell sees a value.
cwlVersion: v1.2
$graph:
  - id: list_units # which units and groups there are; of a slice, its units
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
      slice: int?
      slices: int?
    outputs: # from cwl.output.json, which the script writes
      units:
        type:
          type: array
          items:
            type: record
            fields: {key: string, seconds: string, payload: string, fails: int}
      groups: string[]
      values: File
  - id: one_unit
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
  - id: list_shards # the units as the shard runner reads them, and the parts of them that are shards
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, shards]
    inputs:
      scripts: Directory
      units: int
      seconds: double
      output_bytes: long
      group_size: int
      fail_unit: int?
      exit_code: int
      units_table: File?
      shard_size: int
    outputs:
      table: File
      parts: string[]
      groups: string[]
      values: File
  - id: one_shard # results are kept beside the journal, and given to this job at its end
    class: CommandLineTool
    baseCommand: [python3, -SB]
    arguments:
      - $(inputs.runner.path)
      - --step=unit
      - --units=$(inputs.table.path)
      - --part=$(inputs.part)
      - --result=units/{unit}.dat
      - --log=logs/{unit}.log
      - --manifest=manifest.json
      - --slots=$(runtime.cores)
      - --give=.
      - --
      - bash
      - $(inputs.script.path)
      - "{unit}"
      - "{result}"
      - $(inputs.output_bytes)
      - "{seconds}"
      - "{fails}"
      - payload={payload}
    inputs: {runner: Directory, script: File, table: File, part: string, output_bytes: long}
    outputs:
      made: {type: Directory, outputBinding: {glob: units}}
      manifest: {type: File, outputBinding: {glob: manifest.json}}
  - id: shard_folder # one folder of what all shards have made
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, folders]
    inputs: {scripts: Directory, folders: "Directory[]"}
    outputs:
      folder: {type: Directory, outputBinding: {glob: units}}
  - id: unit_folder # what is published: one folder of all units
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, folder]
    inputs: {scripts: Directory, files: "File[]"}
    outputs:
      folder: {type: Directory, outputBinding: {glob: units}}
  - id: one_group
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, group, $(inputs.group).json]
    inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, group: string}
    outputs:
      document: {type: File, outputBinding: {glob: $(inputs.group).json}}
  - id: all_units
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, summary, summary.json]
    inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, groups: "File[]"}
    outputs:
      document: {type: File, outputBinding: {glob: summary.json}}
  - id: check
    class: CommandLineTool
    requirements:
      InitialWorkDirRequirement: {listing: [{entryname: inputs.json, entry: "$(inputs)\n"}]}
    baseCommand: [python3, -SB]
    arguments: [$(inputs.scripts.path)/cwl_steps.py, verdict, verdict.json]
    inputs: {scripts: Directory, values: File, units_table: File?, folder: Directory, summary: File}
    outputs:
      document: {type: File, outputBinding: {glob: verdict.json}}
