"""
The record of productions: which science was computed, when, by whom, in which run. `Store` calls this; it imports files and errors.

One file of lines a workflow, appended to only: it outlives the runs, so "has this been produced before?" has an answer after cleaning up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import Problem, RefusedError


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


def read(folder: Path, workflow: str) -> list[dict[str, Any]]:
    """All entries of a workflow, oldest first; broken lines are left out."""
    path = folder / f"{files.safe_name(workflow)}.jsonl"
    found = []
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RefusedError(f"cannot read {path}", [Problem(str(path), error.strerror or str(error))]) from error
    for line in lines:
        try:
            entry = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found
