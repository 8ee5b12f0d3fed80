with open(snakemake.output[0], "w") as out:
    out.write(f"{snakemake.params.title} {snakemake.params.lengths}\n")
    out.writelines(f"{path}: {open(path).read()}" for path in snakemake.input)
