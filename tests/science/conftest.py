"""Fixtures of the science tests: the workflow's software environment, and one tiny production that all tests read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from helpers import kept
from helpers.paths import CACHE, ROOT
from science.irf import PROGRAMS, TINY, WORKFLOW, Run

from esap_wf.software import environments


@pytest.fixture(scope="session")
def irf_python() -> Path:
    """Python of the workflow's environment, built once by esap-wf itself."""
    return environments.build(WORKFLOW / "requirements.txt", CACHE) / "bin" / "python"


@pytest.fixture(scope="session")
def environment(irf_python: Path) -> dict[str, str]:
    """Environment variables in which `python` is that of the workflow."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "PYTHONPATH"))}
    return {**kept, "PATH": f"{irf_python.parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def script(irf_python: Path, environment: dict[str, str]) -> Run:
    """Call one script of the workflow: ``script(name, *arguments, cwd=…, text=…)``."""

    def call(name: str, *arguments: object, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(irf_python), "-B", str(WORKFLOW / "scripts" / f"{name}.py"), *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, input=text, capture_output=True, text=True, env=environment, timeout=170
        )

    return call


@pytest.fixture(scope="session")
def code(irf_python: Path, environment: dict[str, str]) -> Run:
    """Run lines of Python that import the workflow's modules: ``code(text, *arguments, cwd=…)``."""

    def call(text: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        start = f"import sys; sys.path.insert(0, {str(WORKFLOW / 'scripts')!r})\n"
        command = [str(irf_python), "-B", "-c", start + text, *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=170)

    return call


@pytest.fixture(scope="session")
def program(irf_python: Path, environment: dict[str, str]) -> Run:
    """Run a program of programs/irf, which imports the workflow's modules: ``program(name, *arguments, cwd=…)``."""

    def call(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [str(irf_python), "-B", str(PROGRAMS / f"{name}.py"), *map(str, arguments)]
        importing = {**environment, "PYTHONPATH": str(WORKFLOW / "scripts")}
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=importing, timeout=170)

    return call


@pytest.fixture(scope="session")
def snakemake(environment: dict[str, str]) -> Run:
    """Run a workflow with the bare engine: ``snakemake(folder, config, file=…, directory=…)``."""
    program = Path(sys.prefix) / "bin" / "snakemake"
    if not program.exists():
        pytest.skip("no snakemake in this environment")

    def call(
        folder: Path, config: dict[str, Any], *targets: str, file: Path = WORKFLOW / "Snakefile"
    ) -> subprocess.CompletedProcess[str]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        command = [
            program,
            "--snakefile",
            file,
            "--directory",
            folder,
            "--configfile",
            folder / "config.json",
            "--cores",
            "2",
            *targets,
        ]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=environment, timeout=170
        )

    return call


@pytest.fixture(scope="session")
def production(snakemake: Run) -> Path:
    """Run directory of one tiny production, kept between sessions; tests read it and change nothing in it."""

    def make(folder: Path) -> None:
        done = snakemake(folder, TINY)
        assert done.returncode == 0, done.stderr[-3000:]

    return kept.made("irf", [WORKFLOW, ROOT / "rules", TINY, environments.abi(), version("snakemake")], make)


@pytest.fixture(scope="session")
def point_like(production: Path, snakemake: Run) -> Path:
    """The same for a point-like response, from the same events: only what follows from `kind` is made again."""

    def make(folder: Path) -> None:
        shutil.copytree(production / "work" / "events", folder / "work" / "events")
        done = snakemake(folder, {**TINY, "kind": "point-like"})
        assert done.returncode == 0, done.stderr[-3000:]

    return kept.made("irf-point-like", [production.parent.name], make)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A production database of one's own."""
    path = tmp_path / "database" / "productions.json"
    path.parent.mkdir()
    content = json.loads((WORKFLOW / "data" / "productions.json").read_text())
    path.write_text(json.dumps({**content, "read_only": False}))
    yield path
