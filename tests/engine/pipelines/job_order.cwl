
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {ex: "http://example.org/formats#"}
requirements: {InlineJavascriptRequirement: {}, EnvVarRequirement: {envDef: {WHERE: document}}}
inputs:
  renamed: {type: File, secondaryFiles: [.idx]}
  typed: {type: File, format: ["ex:other", "ex:seq"]}
  literal: File
  folder: Directory
  spaced: File
  none: {type: "File[]"}
  either: [File, "File[]"]
  text: string
  numbers: {type: {type: array, items: double}}
  free: Any
  preset: {type: int, default: 7}
  record: {type: {type: record, name: r, fields: {a: int, f: File}}}
baseCommand: [bash, -c]
arguments:
  - 'mkdir -p made/in empty; echo x > "made/in/a b.txt"; echo y > main.dat; echo z > main.dat.idx; touch other.dat; echo "$WHERE" "$@"'
  - tool
  - $(inputs.text)
  - $(inputs.free)
  - $(inputs.preset)
  - {prefix: -n, valueFrom: $(inputs.numbers)}
outputs:
  line: stdout
  told:
    type: Any
    outputBinding:
      outputEval: |
        ${
          function plain(v) {
            if (v === null || typeof v !== "object") return v;
            if (Array.isArray(v)) return v.map(plain);
            var found = {};
            Object.keys(v).sort().forEach(function (k) {
              if (["location", "path", "dirname"].indexOf(k) < 0) found[k === "class" ? "kind" : k] = plain(v[k]);
            });
            return found;
          }
          return plain(inputs);
        }
  made: {type: Directory, outputBinding: {glob: made}}
  empty: {type: Directory, outputBinding: {glob: empty}}
  gone: {type: "File?", outputBinding: {glob: nowhere}}
  withIndex: {type: File, secondaryFiles: [.idx], outputBinding: {glob: main.dat}}
  list: {type: "int[]", outputBinding: {outputEval: "$([1, 2])"}}
  mixed:
    type:
      type: record
      name: m
      fields: {n: {type: int, outputBinding: {outputEval: "$(3)"}}, f: {type: File, outputBinding: {glob: other.dat}}}
stdout: line.txt
