"""
Snakemake. The engine is `engine.Snakemake`; its Snakefile is read by `interface`, its record by `events`.
"""
