"""Helpers of the tests of several folders: toy workflows, and what `esap_wf.testing` has for everybody."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from esap_wf.testing.places import COMMAND, Done, Place, inside, of_run, until

__all__ = [
    "CACHE",
    "COMMAND",
    "ROOT",
    "SNAKEFILE",
    "Done",
    "Place",
    "inside",
    "of_run",
    "until",
    "write_workflow",
]

ROOT = Path(__file__).parents[1]
#: What is kept between sessions, by content. Set before any test changes HOME.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esap-wf-tests"

SNAKEFILE = """\
rule all:
    input: "outputs/result.txt"

rule make:
    output: "outputs/result.txt"
    log: "logs/make/all.log"
    shell: "echo made > {output} 2> {log}"
"""


def write_workflow(
    folder: Path, properties: dict[str, Any] | None = None, manifest: dict[str, Any] | None = None,
    schema: dict[str, Any] | None = None, **files: str,
) -> Path:  # fmt: skip
    """A small complete workflow; `manifest` and `schema` add to or replace their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "schema_version": 1, "name": folder.name, "title": "Toy", "version": "1.0.0",
        "implementations": [{"engine": "snakemake", "file": "Snakefile"}], "software": [{"installed": ["python3"]}],
        "outputs": [{"name": "result", "path": "outputs/result.txt"}],
    }  # fmt: skip
    said |= manifest or {}
    described = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties or {},
        **(schema or {}),
    }
    (folder / "workflow.yaml").write_text(
        json.dumps({k: v for k, v in said.items() if v is not None}, indent=1)
    )
    (folder / "params.schema.json").write_text(json.dumps(described, indent=1))
    for name, text in {"Snakefile": SNAKEFILE, "README.md": "toy\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
