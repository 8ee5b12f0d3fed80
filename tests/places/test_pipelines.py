"""Pipelines that were not written for esap-wf, with inputs of one's own: the same results at the toy place as here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.conftest import end
from helpers.files import write_files
from services import engines

from esap_wf.engines.nextflow import installer

from .elsewhere import Elsewhere

pytestmark = [pytest.mark.integration]

SNAKEMAKE = {
    "Snakefile": """\
configfile: "config/config.yaml"
rule all:
    input: "results/sorted.txt"
rule sort:
    input: config["samples"]
    output: "results/sorted.txt"
    shell: "sort {input:q} > {output:q}"
""",
    "config/config.yaml": "samples: data/default.txt\n",
    "data/default.txt": "b\na\n",
}
CWL = {
    "tool.cwl": """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: sort
inputs:
  samples: {type: File, inputBinding: {position: 1}}
stdout: sorted.txt
outputs:
  sorted: {type: stdout}
"""
}
NEXTFLOW = {
    "main.nf": """\
params.samples = "$projectDir/default.txt"
process sorted {
    publishDir 'results'
    input: path samples
    output: path 'sorted.txt'
    script: "sort $samples > sorted.txt"
}
workflow { sorted(Channel.fromPath(params.samples)) }
""",
    "default.txt": "b\na\n",
}
PIPELINES = {"snakemake": ("", SNAKEMAKE), "cwl": ("tool.cwl", CWL), "nextflow": ("main.nf", NEXTFLOW)}


NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"language_info": {"name": "python"}},
    "cells": [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": tags},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, (tags, source) in enumerate(
            [(["parameters"], "samples = 'default.txt'"), ([], "print(sorted(open(samples).read().split()))")]
        )
    ],
}


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def there(tmp_path: Path, toy_environment: dict[str, str], engine: str) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path, dict(toy_environment), engines={engine: str(engines.program(engine))})
    with (tmp_path / "config.toml").open("a") as config:
        if engine == "nextflow":  # the cluster does not ask it
            config.write(f'version = "{installer.VERSION}"\n')
        config.write(engines.configuration(engine))
    yield made
    made.cluster.come_back()
    end(made)
    made.cluster.end()


@pytest.mark.parametrize("engine", PIPELINES, indirect=True)
def test_a_file_of_ones_own_is_read_there_as_here(there: Elsewhere, engine: str) -> None:
    start, files = PIPELINES[engine]
    write_files(there.root / "pipeline", files)
    mine = there.root / "my files" / "my own.txt"
    mine.parent.mkdir()
    mine.write_text("z\nx\ny\n")
    pipeline = str(there.root / "pipeline" / start)
    for given in (["--input", f"samples={mine}"], []) if engine != "cwl" else ([f"--samples={mine}"],):
        made = {}
        for place in ("local", "toy"):
            run = there.ok("run", pipeline, *given, "--backend", place, "--if-exists", "rerun")["run"]
            made[place] = there.results(run)
        assert made["toy"] == made["local"] and made["local"]


@pytest.mark.parametrize("engine", ["notebook"], indirect=True)
def test_a_notebook_finds_its_kernel_and_a_file_of_ones_own(there: Elsewhere, engine: str) -> None:
    mine = there.root / "mine.txt"
    mine.write_text("z\nx\n")
    (there.root / "sorting.ipynb").write_text(json.dumps(NOTEBOOK))
    words = [str(there.root / "sorting.ipynb"), f"--samples={mine}", "--backend", "toy"]
    run = there.ok("run", *words)["run"]
    executed = (there.run(run).dir / "outputs/notebook.ipynb").read_text()
    assert "['x', 'z']" in executed
