"""The record of what runs used: written by the owner of a run at its end, read by planning for the next
estimate.

One file of lines a workflow, appended to only, read from its end.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.formats import reading

#: Bytes at the end of a record that are read: the last runs tell most.
TAIL = 16 * 1024
#: Runs that count.
KEPT = 10
#: This machine, as a place.
LOCAL = "local"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one COMPLETED run used, and what had been expected.

    Parameters
    ----------
    run : str
    version : str
        Of the workflow.
    engine : str
    units : int
    input_bytes : int
    cpu_seconds : float
        Of the engine and all its jobs.
    memory_bytes : int
        Largest resident memory of one process.
    wall_seconds : float
    core_seconds : float
        What the workflow's own model said.
    place : str
        Where.
    unit_seconds : float
        How long one unit of a shard took on average; 0: nobody says.
    """

    run: str
    version: str
    engine: str
    units: int
    input_bytes: int
    cpu_seconds: float
    memory_bytes: int
    wall_seconds: float
    core_seconds: float
    place: str = LOCAL
    unit_seconds: float = 0.0


_decode = msgspec.json.Decoder(Measurement).decode


def _path(folder: Path, workflow: str) -> Path:
    return folder / f"{files.safe_name(workflow)}.measured"


def append(folder: Path, workflow: str, measured: Measurement, *, mode: int | None = None) -> None:
    """Add one run to the record of its workflow; lost in a power cut, nothing is wrong."""
    files.append_line(_path(folder, workflow), msgspec.json.encode(measured), mode=mode)


def lately(folder: Path, workflow: str, place: str = LOCAL) -> list[Measurement]:
    """
    The last runs of a workflow at a place, oldest first; empty if there are none, or if nobody may read them.
    """
    found: dict[str, Measurement] = {}
    for line in reading.tail(_path(folder, workflow), TAIL).split("\n"):
        try:
            one = _decode(line)
        except files.BROKEN:
            continue
        if one.place == place:
            found[one.run] = one
    return list(found.values())[-KEPT:]
