"""The record of what runs used: written by the owner of a run at its end, read by planning for the next
estimate.

One file of lines a workflow, appended to only, read from its end.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.formats import reading
from esap_wf.models.run import Raised

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


class RaisedBefore(msgspec.Struct, frozen=True, kw_only=True):
    """
    What jobs of a COMPLETED run had to be given beyond its plan, by step.

    Parameters
    ----------
    version, engine, size, place : str
        Of the workflow, and with what it ran where.
    steps : dict
    """

    version: str
    engine: str
    size: str
    place: str
    steps: dict[str, Raised]


_decode = msgspec.json.Decoder(Measurement).decode
_decode_raised = msgspec.json.Decoder(RaisedBefore).decode


def _path(folder: Path, workflow: str) -> Path:
    return folder / f"{files.safe_name(workflow)}.measured"


def append(folder: Path, workflow: str, measured: Measurement, *, mode: int | None = None) -> None:
    """Add one run to the record of its workflow; lost in a power cut, nothing is wrong."""
    files.append_line(_path(folder, workflow), msgspec.json.encode(measured), mode=mode)


def keep_raised(folder: Path, workflow: str, told: RaisedBefore, *, mode: int | None = None) -> None:
    """Add what the jobs of a run had to be given, for the next plan."""
    files.append_line(_raised_path(folder, workflow), msgspec.json.encode(told), mode=mode)


def raised_before(
    folder: Path, workflow: str, version: str, engine: str, size: str, place: str
) -> dict[str, Raised]:
    """What jobs of such a run had to be given when it ran last; nothing if they never ran out of anything."""
    found: dict[str, Raised] = {}
    for line in reading.tail(_raised_path(folder, workflow), TAIL).split("\n"):
        try:
            one = _decode_raised(line)
        except files.BROKEN:
            continue
        if (one.version, one.engine, one.size, one.place) == (version, engine, size, place):
            found |= one.steps
    return found


def _raised_path(folder: Path, workflow: str) -> Path:
    return folder / f"{files.safe_name(workflow)}.raised"


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
