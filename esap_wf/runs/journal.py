"""The change journal of a store: one line for each change of a run, one file a day (UTC).

Indices follow it; it is never the truth. A change is announced *before* it is made, so nothing that happened
is missing from it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from esap_wf import files
from esap_wf.formats import reading

SUFFIX = ".jsonl"


class Change(msgspec.Struct, frozen=True):
    """A run is about to have revision `rev`. Unknown fields are ignored: a newer writer may say more."""

    run: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    rev: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
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
    files.append_line(
        folder / (segment_of(now) + SUFFIX),
        _encoder.encode(Change(run=run, rev=rev, at=round(now, 3))),
        mode=mode,
    )


def sizes(folder: Path) -> dict[str, int]:
    """
    Bytes in each segment, the one last written to at the end.

    All of them, not the last days': a host whose clock is wrong appends to any day. That is one stat a day of
    the store's life.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    try:
                        about = entry.stat()
                    except OSError:
                        continue
                    found.append((about.st_mtime_ns, entry.name.removesuffix(SUFFIX), about.st_size))
    except OSError:
        pass
    return {name: size for _, name, size in sorted(found)}


def read_segment(folder: Path, segment: str, offset: int = 0) -> Reading:
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
        Changes, the next offset and the number of lines that nobody can read. A last line without its newline
        is left for the next time.
    """
    try:
        with reading.opened(folder / (segment + SUFFIX)) as file:
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
        except files.BROKEN:
            garbage += 1
    return Reading(changes=changes, offset=offset + end, garbage=garbage)
