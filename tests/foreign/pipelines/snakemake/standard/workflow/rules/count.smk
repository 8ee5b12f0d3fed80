rule count:
    input:
        "data/{sample}.txt",
    output:
        counts="results/{sample}/counts.tsv",
        bam=temp("results/{sample}/x.bam"),
    log:
        "logs/count/{sample}.log",
    conda:
        "../envs/count.yaml"
    container:
        "docker://quay.io/biocontainers/samtools:1.17"
    threads: 4
    shell:
        "wc -l {input} > {output.counts} 2> {log}"
