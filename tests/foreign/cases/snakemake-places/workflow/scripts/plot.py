with open(snakemake.output[0], "w") as out:
    out.write(open(snakemake.input[0]).read())
