"""
Nextflow (docs/nextflow.md). The engine is `engine.Nextflow`; its scripts are read by `interface`, its log and
trace by `events`.
"""
