cwlVersion: v1.2
class: CommandLineTool
requirements:
  ResourceRequirement: {coresMin: 2, ramMin: 1500}
  InitialWorkDirRequirement:
    listing:
      - {entryname: count.sh, entry: 'cat "$@" > joined.txt; echo -n $# > count'}
  InlineJavascriptRequirement: {}
inputs: {files: {type: "File[]", inputBinding: {}}}
baseCommand: [bash, count.sh]
outputs:
  joined: {type: File, outputBinding: {glob: joined.txt}}
  count: {type: int, outputBinding: {glob: count, loadContents: true, outputEval: "$(parseInt(self[0].contents))"}}
