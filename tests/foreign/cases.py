"""The folders of ``cases/``: small pipelines that nobody wrote for esap-wf, each with a table of what is run in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from foreign import bare, differential
from foreign.differential import Asked
from helpers.command_line import Place

CASES = Path(__file__).parent / "cases"
TABLE = "case.yaml"


class Case(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``case.yaml``."""

    #: What it shows, in one line.
    about: str
    engines: list[str]
    steps: list[Asked]
    #: Engines for which it is run in `make soak` only.
    soak: list[str] = []
    #: What is run, if it is not what lies beside the table; relative to this folder.
    folder: str = ""
    repository: bool = False
    #: Programs without which it says nothing.
    needs: list[str] = []
    #: A shell line run in the folder first: for what a repository can't hold.
    prepare: str = ""


def read(name: str) -> Case:
    """One table; a wrong key is an error."""
    return msgspec.yaml.decode((CASES / name / TABLE).read_bytes(), type=Case)


def of(*engines: str, soak: bool = False) -> list[Any]:
    """Parameters of a test: engine and name of each case; with `soak` of the long ones, too."""
    found = [
        (engine, folder.name, read(folder.name)) for engine in engines for folder in sorted(CASES.iterdir())
    ]
    return [
        pytest.param(engine, name, id=f"{name}-{engine}")
        for engine, name, case in found
        if engine in case.engines and (soak or not _is_long(case, engine))
    ]


def _is_long(case: Case, engine: str) -> bool:
    return engine in case.soak or all(asked.soak for asked in case.steps)


def check(name: str, engine: str, tmp_path: Path, cache: Path, soak: bool = False) -> None:
    """
    Run the steps of a case one after the other in one store, with `soak` all of them, and fail with what differs.

    Differences of a step that is `owed` make an expected failure; such a step without differences is a failure.
    """
    case = read(name)
    for program in case.needs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    place = differential.configured(Place(tmp_path, {"ESAP_WF_CACHE": str(cache)}), engine)
    given = _given(name, case, tmp_path / "given")
    copy = bare.copied(given, tmp_path / "case", case.repository)
    owed, found = [], []
    for number, asked in enumerate(case.steps, 1):
        if (asked.engines and engine not in asked.engines) or (asked.soak and not soak):
            continue
        expected = differential.alone(given, asked, engine, case.repository)
        if (
            expected and expected.code and not asked.because
        ):  # else a case would be green because both fail, for whatever reasons
            found.append(
                f"step {number} ({asked.run}): the bare engine fails, and the table does not say why: {expected.printed[-1500:]}"
            )
        lines = differential.differences(expected, differential.ours(place, copy, asked, engine), asked)
        lines = [f"step {number} ({asked.run}): {line}" for line in lines]
        if not asked.owed:
            found += lines
        elif lines:
            owed += [f"{asked.owed}: {line}" for line in lines]
        else:
            found.append(
                f"step {number} ({asked.run}): nothing differs any more: take `owed: {asked.owed}` out of {name}/{TABLE}"
            )
    assert not found, "\n".join([case.about, *found])
    if owed:
        pytest.xfail("\n".join(owed))


def _given(name: str, case: Case, place: Path) -> Path:
    """The folder without its table."""
    source = CASES / (case.folder or name)
    shutil.copytree(
        source, place, symlinks=True, ignore=lambda folder, _: [TABLE] if Path(folder) == source else []
    )
    if case.prepare:
        subprocess.run(["bash", "-ec", case.prepare], cwd=place, check=True)
    return place
