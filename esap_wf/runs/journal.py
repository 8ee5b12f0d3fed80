"""
The change journal of a store: one line for each change of a run, one file a day (UTC). Imports files and errors only.

Indices follow it; it is never the truth. A change is announced *before* it is made, so nothing that happened is missing from it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from esap_wf import files

SUFFIX = ".jsonl"


class Change(msgspec.Struct, frozen=True):
    """A run is about to have revision `rev`. Unknown fields are ignored: a newer writer may say more."""

    run: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    rev: int
    at: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read gave."""

    changes: list[Change] = field(default_factory=list)
    offset: int = 0
    garbage: int = 0


_decoder = msgspec.json.Decoder(Change)
_encoder = msgspec.json.Encoder()


def segment_of(moment: float) -> str:
    """Name of the day's segment."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def announce(folder: Path, run: str, rev: int, *, mode: int | None = None) -> None:
    """
    Append that a run is about to have a revision.

    Parameters
    ----------
    folder : Path
        ``journal/`` of the store.
    run : str
        Run id.
    rev : int
        The revision that is written next.
    mode : int, optional
        Permissions of a new segment.
    """
    now = time.time()
    files.append_line(folder / (segment_of(now) + SUFFIX), _encoder.encode(Change(run=run, rev=rev, at=round(now, 3))), mode=mode)


def segments(folder: Path) -> list[str]:
    """All days that have a segment, oldest first."""
    try:
        return sorted(p.stem for p in folder.iterdir() if p.suffix == SUFFIX and not p.name.startswith("."))
    except OSError:
        return []


def size(folder: Path, segment: str) -> int:
    """Bytes in a segment, 0 if there is none."""
    try:
        return (folder / (segment + SUFFIX)).stat().st_size
    except OSError:
        return 0


def read(folder: Path, segment: str, offset: int = 0) -> Reading:
    """
    Read on from a position.

    Parameters
    ----------
    folder : Path
        ``journal/`` of the store.
    segment : str
        The day.
    offset : int
        Bytes that were read before.

    Returns
    -------
    Reading
        Changes, the next offset and the number of lines that nobody can read. A last line without its newline is left for the next time.
    """
    try:
        with (folder / (segment + SUFFIX)).open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return Reading(offset=offset)
    end = data.rfind(b"\n") + 1
    changes = []
    garbage = 0
    for line in data[:end].splitlines():
        if not line:
            continue
        try:
            changes.append(_decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            garbage += 1
    return Reading(changes=changes, offset=offset + end, garbage=garbage)
