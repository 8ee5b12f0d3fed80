"""cwltool and Toil for the tests: installed as `esap-wf engines install` does it, kept between sessions by content.

``python tests/services/cwl.py`` gets both; tests of several folders use `cwltool()` and `toil()`.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import pytest
from helpers.paths import CACHE

from esap_wf.config import Config
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.cwl.toil import Toil
from esap_wf.errors import EsapError

HOME = CACHE
PROGRAMS = {"cwl": (Cwltool, "cwltool"), "toil": (Toil, "toil-cwl-runner")}


@lru_cache(maxsize=2)
def found(engine: str) -> tuple[Path | None, str]:
    """The program of an engine, or why there is none."""
    make, program = PROGRAMS[engine]
    try:
        return make().install(
            Config(store=HOME / "store", cache=HOME, source=HOME / "config.toml")
        ) / "bin" / program, ""
    except EsapError as error:
        return None, " ".join([error.message, *(p.what for p in error.problems)])[:300]


def path(engine: str) -> Path:
    """The program; the test is skipped by name if it can't be had."""
    program, why = found(engine)
    if program is None:
        pytest.skip(f"{PROGRAMS[engine][1]}: {why}")
    return program


def cwltool() -> Path:
    """A real cwltool."""
    return path("cwl")


def toil() -> Path:
    """A real toil-cwl-runner."""
    return path("toil")


if __name__ == "__main__":
    all_found = [found(engine) for engine in PROGRAMS]
    for name, (program, why) in zip(PROGRAMS, all_found, strict=True):
        print(f"{name}: {program or why}")
    sys.exit(0 if all(program for program, _ in all_found) else 1)
