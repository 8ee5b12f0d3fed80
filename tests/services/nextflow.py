"""Nextflow for the tests: got by Maven as `esap-wf engines install nextflow` gets it, kept between sessions by content.

``python tests/services/nextflow.py`` gets it; tests of several folders use the fixture `nextflow`.
"""

from __future__ import annotations

import shutil
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from helpers.paths import CACHE

from esap_wf.config import Config
from esap_wf.engines.nextflow import installations
from esap_wf.engines.nextflow import installer as install
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.errors import EsapError

HOME = CACHE


@lru_cache(maxsize=1)
def found() -> tuple[Path | None, str]:
    """The program, or why there is none."""
    config = Config(store=HOME / "store", cache=HOME, source=HOME / "config.toml")
    java = installations.java_of(None, config)
    if java is None:
        return None, "there is no Java"
    version = installations.java_version(java, HOME)
    if version is None or installations.major(version) < installations.java_wanted(install.VERSION):
        return None, f"Java {version} at {java} is too old for Nextflow"
    if not (install.location(HOME) / "nextflow").is_file() and shutil.which("mvn") is None:
        return None, "Nextflow is not installed, and there is no Maven (mvn) to get it"
    try:
        return Nextflow().install(config) / "nextflow", ""
    except EsapError as error:
        return None, " ".join([error.message, *(p.what for p in error.problems)])


def path() -> Path:
    """The program; the test is skipped by name if there is none."""
    program, why = found()
    if program is None:
        pytest.skip(f"nextflow: {why}")
    return program


@pytest.fixture(scope="session", name="nextflow")
def nextflow_fixture() -> Path:
    """Path of a real Nextflow."""
    return path()


if __name__ == "__main__":
    program, why = found()
    print(program or f"nextflow: {why}")
    sys.exit(0 if program else 1)
