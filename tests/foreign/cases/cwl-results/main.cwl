cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs:
  given: {type: File, default: {class: File, location: given.txt}}
  word: {type: string, default: "two\nlines"}
steps:
  index:
    in: {file: given}
    out: [indexed]
    run:
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [$(inputs.file)]}}
      inputs: {file: File}
      baseCommand: [bash, -c, 'mkdir -p "$0.d/e"; echo i > $0.idx; echo j > $0.d/e/j.txt']
      arguments: [$(inputs.file.basename)]
      outputs:
        indexed: {type: File, secondaryFiles: [.idx, .d], outputBinding: {glob: $(inputs.file.basename)}}
  literal:
    in: {word: word}
    out: [made, folder]
    run:
      class: ExpressionTool
      inputs: {word: string}
      outputs: {made: File, folder: Directory}
      expression: |
        ${ return {"made": {"class": "File", "basename": "literal.txt", "contents": inputs.word},
                   "folder": {"class": "Directory", "basename": "of literals", "listing": [
                     {"class": "File", "basename": "inner.txt", "contents": "inner"}]}}; }
outputs:
  same: {type: File, outputSource: given}
  indexed: {type: File, secondaryFiles: [.idx, .d], outputSource: index/indexed}
  literal: {type: File, outputSource: literal/made}
  folder: {type: Directory, outputSource: literal/folder}
  word: {type: string, outputSource: word}
