rule count:
    input: "resources/list.txt"
    output: "counts/count.txt"
    group: "all"
    shell: "wc -l < {input} > {output}"
