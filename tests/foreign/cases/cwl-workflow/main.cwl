cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  InlineJavascriptRequirement: {}
  SubworkflowFeatureRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  words: {type: "string[]", default: [one, two]}
  last: {type: boolean, default: false}
steps:
  write:
    run: tools/write.cwl
    scatter: word
    in: {word: words}
    out: [file]
  join:
    run: tools/join.cwl
    in: {files: write/file}
    out: [joined, count]
  maybe:
    run: tools/write.cwl
    when: $(inputs.really)
    in: {word: {default: never}, really: last}
    out: [file]
outputs:
  each: {type: "File[]", outputSource: write/file}
  joined: {type: File, outputSource: join/joined}
  count: {type: int, outputSource: join/count}
  maybe: {type: "File?", outputSource: maybe/file}
