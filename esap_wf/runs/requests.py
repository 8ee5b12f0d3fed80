"""
Further requests that a run answers: who asks for the same again may call it otherwise and want the results
elsewhere. One file of lines beside ``run.json``, appended to only, which itself never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError
from esap_wf.formats import reading
from esap_wf.models import Model
from esap_wf.models.run import RunRecord

FILE = "requests.jsonl"


class Further(Model, frozen=True, kw_only=True):
    """One line: what a later request asked for that the run doesn't have by itself."""

    at: str
    by: str = ""
    name: str | None = None
    tags: list[str] = []
    results: str | None = None


def read_further(folder: Path) -> list[Further]:
    """
    The lines of a run directory, oldest first; without those that nobody can read, and without a last one
    that isn't whole.
    """
    try:
        data = reading.read_bytes(folder / FILE)
    except NotFoundError:
        return []
    found = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Further))
        except files.BROKEN:
            continue
    return found


def append(folder: Path, further: Further, *, mode: int | None = None) -> None:
    """Add one line; `mode` are the permissions of a new file."""
    files.append_line(folder / FILE, msgspec.json.encode(further), mode=mode, sync=True)


def names(record: RunRecord, further: Iterable[Further]) -> dict[str, str]:
    """Names of a run, its own first, and since when it bears each."""
    found = {record.name: record.created} if record.name else {}
    for line in further:
        if line.name:
            found[line.name] = line.at
    return found


def tags(record: RunRecord, further: Iterable[Further]) -> list[str]:
    """Tags of a run, its own first."""
    return list(dict.fromkeys([*record.tags, *(tag for line in further for tag in line.tags)]))
