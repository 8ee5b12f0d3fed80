"""The real engines for the tests, and the configuration that names them."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.paths import CACHE, ROOT
from services import cwl, nextflow

from esap_wf.engines import programs
from esap_wf.errors import EsapError, UnavailableError
from esap_wf.software import environments


def program(engine: str) -> Path:
    """Path of an engine's program; installed into the cache of the tests if it isn't there. Skips by name if it can't be had."""
    if engine == "snakemake":
        return Path(sys.prefix) / "bin" / "snakemake"
    if engine == "nextflow":
        return Path(nextflow.path())
    if engine == "notebook":
        return _papermill()
    return Path(cwl.cwltool() if engine == "cwl" else cwl.toil())


def _papermill() -> Path:
    try:
        return (
            environments.build(programs.REQUIREMENTS / "notebook.txt", CACHE / "cache") / "bin" / "papermill"
        )
    except UnavailableError as error:
        pytest.skip(f"papermill can't be installed: {error.problems[0].hint}")


def snakemake_for_slurm() -> Path:
    """A Snakemake with the plug-in for Slurm, by which each of its starts takes half as long again: in an environment of its own."""
    try:
        made = environments.build(Path(__file__).with_name("snakemake_slurm.txt"), CACHE)
    except UnavailableError as error:
        pytest.skip(f"Snakemake's plug-in for Slurm can't be installed: {error.problems[0].hint}")
    return made / "bin" / "snakemake"


def configuration(*engines: str, slurm: bool = False) -> str:
    """``[engines.NAME]`` tables; with `slurm` a Snakemake that can submit to it."""
    found = {
        name: snakemake_for_slurm() if slurm and name == "snakemake" else program(name) for name in engines
    }
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    return "".join(f'[engines.{name}]\npath = "{path}"\n' for name, path in found.items())


def install() -> None:
    """Get every engine and the software of the workflows, at the same time, and say which engines there are."""
    with ThreadPoolExecutor(4) as pool:
        found = {
            engine: pool.submit(program, engine)
            for engine in ("snakemake", "nextflow", "cwl", "toil", "notebook")
        }
        found["snakemake for Slurm"] = pool.submit(snakemake_for_slurm)
        built = {
            path.parent.name: pool.submit(environments.build, path, CACHE)
            for path in ROOT.glob("workflows/*/requirements.txt")
        }
    for engine, got in found.items():
        try:
            print(f"services: {engine}: {got.result()}")
        except pytest.skip.Exception as reason:
            print(f"services: no {engine}: {reason}", file=sys.stderr)
    for name, environment in built.items():
        try:
            environment.result()
        except EsapError as error:
            print(f"services: no software of {name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    install()
