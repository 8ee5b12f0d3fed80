cwlVersion: v1.2
$graph:
  - {class: CommandLineTool, id: main, baseCommand: [echo, whole], inputs: [], outputs: {said: {type: stdout}}, stdout: whole.txt}
  - {class: CommandLineTool, id: other, baseCommand: [echo, part], inputs: [], outputs: {said: {type: stdout}}, stdout: part.txt}
