"""The real engines for the tests, and the configuration that names them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from services import cwl, nextflow


def program(engine: str) -> Path:
    """Path of an engine's program; installed into the cache of the tests if it isn't there. Skips by name if it can't be had."""
    if engine == "snakemake":
        return Path(sys.prefix) / "bin" / "snakemake"
    if engine == "nextflow":
        return Path(nextflow.path())
    return Path(cwl.cwltool() if engine == "cwl" else cwl.toil())


def configuration(*engines: str) -> str:
    """``[engines.NAME]`` tables."""
    found = {name: program(name) for name in engines}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    return "".join(f'[engines.{name}]\npath = "{path}"\n' for name, path in found.items())


def install() -> None:
    """Get every engine and say which there are."""
    for engine in ("snakemake", "nextflow", "cwl", "toil"):
        try:
            print(f"services: {engine}: {program(engine)}")
        except pytest.skip.Exception as reason:
            print(f"services: no {engine}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    install()
