"""
Validation of any GADF IRF file, with the rules that the production `irf` applies to its own.

Runs alone: `snakemake --snakefile workflows/irf/validate.smk --directory RUN --config 'inputs={"irf": ["/data/irf.fits"]}'`.
"""

import json
from pathlib import Path

HERE = Path(str(workflow.current_basedir.get_path_or_uri(secret_free=True))).resolve()
DEFAULTS = {n: r["default"] for n, r in json.loads((HERE / "irf-validate.params.schema.json").read_text())["properties"].items()}
IRF = (config.get("inputs") or {}).get("irf")
if not IRF:
    raise WorkflowError("irf-validate: no input; give the configuration `inputs: {irf: [PATH]}`")
# one file, or all files that hold the tables of the response
IRF = [IRF] if isinstance(IRF, str) else list(IRF)


localrules:
    all,
    verdict,


rule all:
    input:
        "work/verdict.txt",
        "outputs/validation.json",
        "outputs/validation.md",


rule validate:
    # succeeds with an invalid IRF too: an engine would delete the verdict of a rule that fails
    input:
        irf=IRF,
    output:
        json="outputs/validation.json",
        markdown="outputs/validation.md",
    log:
        "logs/validate/all.log",
    params:
        python=HERE / "scripts/validate.py",
        parameters=json.dumps({"parameters": {name: config.get(name, value) for name, value in DEFAULTS.items()}}, sort_keys=True),
    threads: 1
    resources:
        mem_mb=500,
        runtime=15,
    shell:
        "OMP_NUM_THREADS=1 python -B {params.python:q} --irf {input.irf:q} --parameters /dev/stdin --out {output.json:q}"
        " --page {output.markdown:q} <<< {params.parameters:q} > {log:q} 2>&1"


rule verdict:
    input:
        validation="outputs/validation.json",
    output:
        "work/verdict.txt",
    log:
        "logs/verdict/all.log",
    params:
        python=HERE / "scripts/verdict.py",
    resources:
        mem_mb=100,
        runtime=5,
    shell:
        "python -B {params.python:q} --validation {input.validation:q} --out {output:q} 2>&1 | tee {log:q}"
