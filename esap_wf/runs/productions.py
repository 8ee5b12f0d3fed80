"""The record of productions: which science was computed, when, by whom, in which run.

One file of lines a workflow, appended to only: it outlives the runs, so "has this been produced before?" has
an answer after cleaning up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import Problem, RefusedError
from esap_wf.formats import reading

#: Bytes at the end of a record in which an entry of a moment ago is looked for.
TAIL = 64 * 1024


def append(folder: Path, workflow: str, entry: dict[str, Any], *, mode: int | None = None) -> None:
    """
    Add one entry.

    Parameters
    ----------
    folder : Path
        ``records/`` of the store.
    workflow : str
        Its name.
    entry : dict
        Science digest, values, run id, owner, when.
    mode : int, optional
        Permissions of a new file.
    """
    path = folder / f"{files.safe_name(workflow)}.jsonl"
    files.append_line(path, msgspec.json.encode(entry), mode=mode, sync=True)


class Production(msgspec.Struct, frozen=True):
    """What a duplicate check asks of an entry."""

    run: str
    science: str
    owner: str = ""
    created: str = ""


_decoder = msgspec.json.Decoder(Production)


def size(folder: Path, workflow: str) -> int:
    """Bytes of the record of a workflow, 0 if there is none."""
    try:
        return (folder / f"{files.safe_name(workflow)}.jsonl").stat().st_size
    except OSError:
        return 0


def follow(folder: Path, workflow: str, offset: int) -> Iterator[tuple[Production | None, int]]:
    """
    Read on from a position, line by line: a record grows for years.

    Yields
    ------
    entry : Production or None
        None for a line that nobody can read, or that names no science. A last line without its newline is
        left for the next time.
    offset : int
        Bytes that were read up to its end.
    """
    try:
        with reading.opened(folder / f"{files.safe_name(workflow)}.jsonl") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    yield _decoder.decode(line), offset
                except files.BROKEN:
                    yield None, offset
    except OSError:
        return


def lately(folder: Path, workflow: str, run: str) -> bool:
    """Whether a run is among the last entries: a supervisor died between its line and what it wrote next."""
    start = max(0, size(folder, workflow) - TAIL)
    return any(entry is not None and entry.run == run for entry, _ in follow(folder, workflow, start))


def read_productions(folder: Path, workflow: str) -> list[dict[str, Any]]:
    """All entries of a workflow, oldest first, one a run; broken lines are left out."""
    path = folder / f"{files.safe_name(workflow)}.jsonl"
    found = []
    try:
        with reading.opened(path) as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RefusedError(
            f"cannot read {path}", [Problem(str(path), error.strerror or str(error))]
        ) from error
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except files.BROKEN:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    # a supervisor that died after its line may have written it twice
    return list({str(entry.get("run", number)): entry for number, entry in enumerate(found)}.values())
