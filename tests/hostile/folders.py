"""Whole folders of every kind that esap-wf reads, to be spoilt: small, and valid as they stand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.workflows import SNAKEFILE, write_workflow

OLD_RUN = Path(__file__).parents[1] / "data" / "run-v1"
RUN = "00000000000000a1"

#: Verbs with their arguments; ``.`` is the folder.
Verbs = list[tuple[str, ...]]
LOOKS: Verbs = [
    ("show", "."),
    ("validate", "."),
    ("init", "."),
    ("show", ".", "--json"),
    ("run", ".", "--help"),
]


def texts(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content, indent=1))


def house(folder: Path) -> Verbs:
    properties = {
        "n": {"type": "integer", "title": "N", "default": 2, "minimum": 1, "unit": "s", "group": "Numbers"},
        "kind": {"type": "string", "title": "Kind", "enum": ["a", "b"], "default": "a"},
        "l": {"type": "array", "items": {"type": "number"}, "title": "List", "default": [1]},
    }
    manifest = {
        "rules": [{"that": "n < 100 and len(l) == 1", "message": "too many", "parameters": ["n"]}],
        "inputs": {
            "t": {"title": "T", "rows": "rows.json", "extensions": [".csv", ".json"], "default": "t.csv"},
            "d": {"title": "D", "default": "d.json"},
        },
        "select": [{"from": "d", "table": "rows", "match": {"k": "kind"}, "columns": ["v"]}],
        "units": {"axis": "row", "count": "n", "table": "t", "steps": ["make"]},
        "resources": {
            "default": "small",
            "sizes": {"small": {"cores": 1, "memory": "1 GB", "disk": "1 GB", "wall": "1 h"}},
            "estimate": {"core_seconds": "n * units", "memory_bytes": "1e8 + input_bytes"},
        },
        "identity": {"parameters": ["n"], "inputs": ["t"]},
        "authors": [{"name": "A", "orcid": "0000-0002-1825-0097"}],
        "outputs": [
            {
                "name": "result",
                "path": "outputs/result.txt",
                "schema": "rows.json",
                "verdict": "outputs/v.json",
            }
        ],
        "citation": ["10.5281/zenodo.1"],
        "license": "MIT",
        "keywords": ["x"],
        "software": [{"installed": ["python3"]}, {"python": "requirements.txt"}],
    }
    write_workflow(folder, properties, manifest)
    row = {
        "type": "object",
        "properties": {"k": {"type": "integer"}, "p": {"type": "string"}},
        "required": ["k"],
    }
    record = {
        "name": "x",
        "author": [{"givenName": "A", "@id": "https://orcid.org/0000-0002-1825-0097"}],
        "license": "MIT",
        "version": "1",
    }
    saved = {
        "metadata": {"title": "x", "creators": [{"name": "A", "affiliation": "B"}], "keywords": ["a"]},
        "doi": "10.5281/zenodo.1",
    }
    request = {
        "workflow": ".",
        "parameters": {"n": 3, "l": [1.5]},
        "inputs": {"t": ["t.csv"]},
        "tags": ["x"],
        "name": "me",
    }
    texts(
        folder,
        {
            "rows.json": row,
            "t.csv": "k,p\n1,a\n2,b\n",
            "d.json": {"rows": [{"k": "a", "v": 1}]},
            "codemeta.json": record,
            "ossr.json": saved,
            "requirements.txt": "numpy==2.0.0\n",
            "params.yaml": {"n": 3},
            "request.json": request,
        },
    )
    given = [("validate", ".", "--params", f) for f in ("params.yaml", "request.json")]
    return [
        *LOOKS,
        ("lint", "."),
        ("plan", "."),
        ("plan", ".", "--params", "request.json"),
        *given,
        ("validate", ".", "--input", "t=t.csv"),
    ]


def snakemake(folder: Path) -> Verbs:
    head = 'configfile: "config/config.yaml"\nfrom snakemake.utils import validate\nvalidate(config, "schemas/c.yaml")\n'
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "default": 1, "title": "N"}, "o": {"properties": {"x": {}}}},
    }
    texts(
        folder,
        {
            "Snakefile": head + 'include: "rules/a.smk"\nx = config["n"]\n' + SNAKEFILE,
            "rules/a.smk": "rule b:\n    output: 'b'\n",
            "config/config.yaml": {"n": 1, "samples": "samples.tsv", "o": {"x": [1, 2]}},
            "schemas/c.yaml": schema,
            "samples.tsv": "a\tb\n1\t2\n",
            "codemeta.json": {"name": "x"},
        },
    )
    return LOOKS


def nextflow(folder: Path) -> Verbs:
    schema = {
        "$defs": {
            "io": {
                "title": "IO",
                "type": "object",
                "required": ["input"],
                "properties": {
                    "input": {
                        "type": "string",
                        "format": "file-path",
                        "schema": "assets/schema_input.json",
                        "exists": True,
                    },
                    "n": {
                        "type": "integer",
                        "default": 1,
                        "minimum": 1,
                        "enum": [1, 2],
                        "hidden": True,
                        "help_text": "x",
                    },
                },
            }
        },
        "allOf": [{"$ref": "#/$defs/io"}],
        "title": "x",
        "description": "y",
    }
    rows = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "sample": {"type": "string", "meta": ["id"]},
                "reads": {"type": "string", "format": "file-path", "exists": False},
            },
            "required": ["sample"],
        },
        "uniqueEntries": ["sample"],
    }
    texts(
        folder,
        {
            "main.nf": 'include { A } from "./modules/a"\nparams.n = 1\nworkflow { A(params.n) }\n',
            "nextflow_schema.json": schema,
            "nextflow.config": "params { n = 1\n outdir = 'r' }\nmanifest { name = 'x'; version = '1.0' }\nincludeConfig 'conf/a.config'\n",
            "conf/a.config": "process { container = 'a:1' }\n",
            "assets/schema_input.json": rows,
            "s.csv": "sample,reads\na,/x\nb,/y\n",
            "modules/a.nf": 'process A { input: val x\n output: path \'o\'\n script: """echo $x""" }\n',
        },
    )
    return [*LOOKS, ("validate", ".", "--input", "s.csv")]


def cwl(folder: Path) -> Verbs:
    tool = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": ["echo"],
        "requirements": [{"$import": "types.yml"}],
        "inputs": {
            "x": {"type": "string?", "default": "a", "doc": "X"},
            "f": {"type": "File?", "secondaryFiles": [".bai?"]},
        },
        "outputs": {"o": {"type": "stdout"}},
        "hints": {"DockerRequirement": {"dockerPull": "a:1"}},
    }
    flow = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "inputs": {"x": "string"},
        "outputs": {"o": {"type": "File", "outputSource": "s/o"}},
        "steps": {"s": {"run": "tool.cwl", "in": {"x": "x"}, "out": ["o"]}},
    }
    types = {"class": "SchemaDefRequirement", "types": [{"name": "t", "type": "enum", "symbols": ["a"]}]}
    texts(folder, {"main.cwl": flow, "tool.cwl": tool, "types.yml": types, "job.yml": {"x": "b"}})
    return [*LOOKS, ("validate", ".", "--params", "job.yml"), ("show", "main.cwl"), ("validate", "tool.cwl")]


def notebook(folder: Path) -> Verbs:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n"]},
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]},
            "source": ["n = 1  # N\nf = 'a.csv'\n"],
            "outputs": [],
        },
    ]
    texts(
        folder,
        {
            "x.ipynb": {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells},
            "requirements.txt": "ipykernel==6.0\n",
        },
    )
    return [("show", "x.ipynb"), ("validate", "x.ipynb"), ("init", "x.ipynb"), ("run", "x.ipynb", "--help")]


def tasks(folder: Path) -> Verbs:
    task = {
        "command": ["echo", "{n}", ["-i", "{t}"]],
        "image": "a:1",
        "parameters": {"n": {"type": "integer", "default": 1}},
        "inputs": {"t": {"title": "T", "required": False}},
        "outputs": [{"name": "o", "path": "o.txt"}],
    }
    step = {"environment": "a:1", "commands": ["echo ${n} > o.txt"]}
    reana = {
        "inputs": {"parameters": {"n": 1}, "files": ["in.txt"]},
        "outputs": {"files": ["o.txt"]},
        "workflow": {"type": "serial", "specification": {"steps": [step]}},
    }
    texts(
        folder,
        {
            "a/task.yaml": task,
            "b/reana.yaml": reana,
            "b/in.txt": "x",
            "c/image.yaml": {"schema_version": 1, "name": "x:1"},
        },
    )
    return [(verb, place) for place in ("a", "b") for verb in ("show", "validate", "init")]


def settings(folder: Path) -> Verbs:
    config = '[backends.x]\nkind = "local"\n[containers]\nruntimes = ["podman"]\n[engines.snakemake]\npath = "/usr/bin/true"\n'
    texts(folder, {"config.toml": f'workflows = ["{folder}/w"]\n' + config})
    write_workflow(folder / "w" / "toy")
    return [("workflows",), ("show", "toy"), ("validate", "hello"), ("workflows", "--json"), ("list",)]


def store(folder: Path) -> Verbs:
    made = folder / "store" / "runs" / RUN[:2] / RUN
    shutil.copytree(OLD_RUN, made)
    about = {"schema_version": 1, "id": "0123456789abcdef", "shared": False}
    texts(
        folder,
        {
            "store/store.json": about,
            "store/journal/2026-11-01.log": f"{RUN} 1\n",
            "store/claims/x": "",
            "store/tombstones/x": "",
            "store/records/hello.jsonl": {
                "run": RUN,
                "science": "x",
                "owner": "me",
                "created": "2026-11-01T00:00:00Z",
            },
            "store/tmp/x": "",
        },
    )
    verbs: Verbs = [
        ("list",),
        ("list", "--json"),
        ("index", "rebuild"),
        ("store", "clean"),
        ("list", "--phase", "ERROR"),
    ]
    verbs += [(verb, RUN) for verb in ("status", "results", "logs", "rm")] + [
        (verb, RUN, "--json") for verb in ("status", "results", "logs")
    ]
    return [
        *verbs,
        ("diff", RUN, RUN),
        ("status", "old-run"),
        ("cancel", RUN, "--wait", "1"),
        ("results", RUN, "--copy-to", "out"),
    ]


FOLDERS: dict[str, Callable[[Path], Verbs]] = {
    f.__name__: f for f in (house, snakemake, nextflow, cwl, notebook, tasks, settings, store)
}
