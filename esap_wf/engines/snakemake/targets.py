"""
What Snakemake itself said that it was asked for, and what it must not write: its logger plug-in hears the one
and heeds the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.engines import Results, following
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.runs.trees import given_to

_LONGEST = 4096


def results(record: Path, run: Path) -> Results | None:
    """Files of the targets in the plug-in's record; None if it names none."""
    names: list[str] = []
    for line in following.all_lines(record):
        if b'"event":"targets"' in line:
            names += msgspec.json.decode(line)["files"]
    if not names:
        return None
    base, real = directory(record) or run, os.path.realpath(run)
    paths = [name if "://" in name else os.path.normpath(base / name) for name in names]
    return Results([p.removeprefix(f"{real}/") for p in paths], appeared="if empty")


def directory(record: Path) -> Path | None:
    """Where Snakemake worked, by the plug-in's record: `workdir` in a Snakefile may lead anywhere."""
    for line in following.all_lines(record):
        if b'"event":"workflow_started"' in line:
            folder = msgspec.json.decode(line).get("directory")
            return Path(folder) if folder else None
    return None


def _files_in(values: Any) -> Iterator[Path]:
    """
    Files that parameters name: what a user has must not be written over either if it is where a rule writes.
    """
    if isinstance(values, str):
        if (
            values.startswith("/")
            and "\0" not in values
            and len(values) < _LONGEST
            and Path(values).is_file()
        ):
            yield Path(values)
    elif isinstance(values, (dict, list)):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _files_in(value)


def protect(run: Path, epoch: int) -> Path | None:
    """Write down for the plug-in what the user gave the run."""
    try:
        plan = files.read_json(run / "plan.json", Plan)
    except EsapError:
        return None
    before = (run / "run.json").stat().st_mtime  # a resumed run may have a newer plan
    # not what the run itself made
    given = [*given_to(plan), *(p for p in _files_in(plan.parameters) if p.stat().st_mtime < before)]
    if not given:
        return None
    given_files = {
        "files": [str(p) for p in given if not p.is_dir()],
        "folders": [str(p) for p in given if p.is_dir()],
        "before": before,
    }
    path = run / "engine" / f"{epoch}.inputs.json"
    files.write_atomic(path, msgspec.json.encode(given_files), sync=False)
    return path
