cwlVersion: v1.2
class: ExpressionTool
requirements:
  InlineJavascriptRequirement: {}
inputs: {n: int}
outputs: {twice: int}
expression: "$({'twice': 2 * inputs.n})"
