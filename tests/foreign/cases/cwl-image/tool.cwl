cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerPull: "localhost/no-such-image:1"}
baseCommand: [echo, hello]
inputs: {}
outputs: {said: stdout}
stdout: said.txt
