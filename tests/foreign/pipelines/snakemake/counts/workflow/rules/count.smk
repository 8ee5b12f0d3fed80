rule count:
    input:
        lambda wildcards: SAMPLES[wildcards.sample]["file"],
    output:
        "results/counts/{sample}.txt",
    log:
        "logs/count/{sample}.log",
    params:
        minimum=config["minimum"],
        factor=config["min-factor"],
    shell:
        "mkdir -p resources && echo {wildcards.sample} > resources/{wildcards.sample}.seen; "
        "sh workflow/scripts/count.sh {params.minimum} {params.factor} < {input} > {output} 2> {log}"
