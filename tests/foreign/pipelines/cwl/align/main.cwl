#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: Align all reads
doc: Sorts each file of reads by a reference with an index beside it.

$namespaces:
  edam: http://edamontology.org/
  s: https://schema.org/
s:author:
  - class: s:Person
    s:name: The Author
s:license: https://spdx.org/licenses/Apache-2.0
s:softwareVersion: "1.4"

requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  InlineJavascriptRequirement:
    expressionLib:
      - $include: lib.js
  SchemaDefRequirement:
    types:
      - $import: types/settings.yml

inputs:
  reads:
    type: File[]
    label: Files of reads
    format: edam:format_1930
  reference:
    type: File
    secondaryFiles:
      - .fai
      - pattern: ^.dict
        required: true
      - .note?
  settings: types/settings.yml#settings
  header:
    type: File
    default: {class: File, location: types/header.txt}
  extra: Directory?

steps:
  sort:
    run: tools/sort.cwl
    scatter: reads
    in: {reads: reads, settings: settings, reference: reference}
    out: [sorted]
  merge:
    run: tools/merge.cwl
    in: {files: sort/sorted, header: header}
    out: [merged]

outputs:
  merged:
    type: File
    outputSource: merge/merged
