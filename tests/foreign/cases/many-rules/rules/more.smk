rule name:
    output: "results/näme with space+1.txt"
    params: text=config["text"]
    shell: "printf %s {params.text:q} > {output:q}"

rule multi:
    output: multiext("results/multi", ".a", ".b")
    shell: "echo multi > {output[0]}; touch {output[1]}; mkdir -p scratch/hollow"
