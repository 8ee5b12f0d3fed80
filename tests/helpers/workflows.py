"""Small workflows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.files import write_files

SNAKEFILE = """\
rule all:
    input: "outputs/result.txt"

rule make:
    output: "outputs/result.txt"
    log: "logs/make/all.log"
    shell: "echo made > {output} 2> {log}"
"""


def write_workflow(
    folder: Path,
    properties: dict[str, Any] | None = None,
    manifest: dict[str, Any] | None = None,
    schema: dict[str, Any] | None = None,
    *,
    files: Mapping[str, str] | None = None,
) -> Path:
    """
    Write a complete workflow of one Snakemake rule.

    Parameters
    ----------
    folder : Path
        It is made; its name is that of the workflow.
    properties : dict, optional
        The JSON Schema of each parameter; without any, it has none.
    manifest, schema : dict, optional
        Keys of workflow.yaml and of params.schema.json, in addition or in place of those here; None takes one away.
    files : mapping, optional
        Texts of further files, or of the Snakefile.
    """
    described = {
        "schema_version": 1,
        "name": folder.name,
        "title": "Toy",
        "version": "1.0.0",
        "implementations": [{"engine": "snakemake", "file": "Snakefile"}],
        "software": [{"installed": ["python3"]}],
        "outputs": [{"name": "result", "path": "outputs/result.txt"}],
        **(manifest or {}),
    }
    parameters = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties or {},
        **(schema or {}),
    }
    documents = {
        "workflow.yaml": json.dumps({k: v for k, v in described.items() if v is not None}, indent=1),
        "params.schema.json": json.dumps(parameters, indent=1),
    }
    return write_files(folder, documents | {"Snakefile": SNAKEFILE, "README.md": "toy\n", **(files or {})})
