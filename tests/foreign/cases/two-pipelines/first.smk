rule all:
    input: "told.txt"

rule tell:
    output: "told.txt"
    shell: "echo first > {output}"
