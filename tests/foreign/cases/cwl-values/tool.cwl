cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
inputs:
  n: {type: int, default: 3}
baseCommand: [bash, -c, 'mkdir -p tree/deep hollow; echo 1 > tree/deep/one.txt; echo two > a.log; echo three > b.log; touch zero.txt; echo x > "we ird+#1é.txt"']
outputs:
  tree: {type: Directory, outputBinding: {glob: tree}}
  hollow: {type: Directory, outputBinding: {glob: hollow}}
  missing: {type: "File?", outputBinding: {glob: nothing.txt}}
  logs: {type: "File[]", outputBinding: {glob: "*.log"}}
  zero: {type: File, outputBinding: {glob: zero.txt}}
  weird: {type: File, outputBinding: {glob: "we*"}}
  number: {type: int, outputBinding: {outputEval: "$(inputs.n + 1)"}}
  text: {type: string, outputBinding: {outputEval: "$('it is ' + inputs.n)"}}
  list: {type: "float[]", outputBinding: {outputEval: "$([0.5, 2, 1e3])"}}
  record:
    type:
      type: record
      fields: {a: int, b: "string?"}
    outputBinding: {outputEval: "$({'a': 1, 'b': null})"}
  truth: {type: boolean, outputBinding: {outputEval: "$(false)"}}
