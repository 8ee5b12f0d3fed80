"""
Event files: hits of photomultipliers by event, in HDF5. README.md, "Event files", is the specification.

Every step reads one such file and writes one; what was cut is counted in it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT = "km3net-events/2"
#: as before, but `time` of an event was its own, not that of its slice
OLD = "km3net-events/1"
Table = NDArray[Any]

EVENTS = np.dtype([("run_id", "i4"), ("frame_index", "i4"), ("trigger_counter", "i8"), ("time", "f8")])
RAW = np.dtype(
    [
        ("event", "i4"),
        ("dom_id", "i4"),
        ("channel_id", "u1"),
        ("triggered", "u1"),
        ("time", "f8"),
        ("tot", "f4"),
    ]
)
PLACE = [("pos_x", "f8"), ("pos_y", "f8"), ("pos_z", "f8"), ("dir_x", "f8"), ("dir_y", "f8"), ("dir_z", "f8")]
HITS = np.dtype([*RAW.descr, *PLACE])
#: of a track; of the truth and of a reconstruction that a file comes with, one row an event, NaN where there
#: is none
TRACK = np.dtype([*PLACE, ("time", "f8"), ("energy", "f8"), ("likelihood", "f8")])
FACTS = {"detector_id", "calibrated", "simulated", "kind", "source"}
UNITS = {
    "events": {"time": "s"},
    "hits": {"time": "ns", "tot": "ns", "pos_x": "m", "pos_y": "m", "pos_z": "m"},
    "tracks": {"time": "ns", "energy": "GeV", "pos_x": "m", "pos_y": "m", "pos_z": "m"},
}


class EventFileError(ValueError):
    """A file that is none of those that can be read."""


@dataclass
class EventFile:
    """Content of a file. ``hits["event"]`` is the row in ``events``; hits of one event stand together."""

    events: Table
    hits: Table
    truth: Table | None = None
    reference: Table | None = None
    #: ``detector_id``, ``calibrated``, ``simulated`` (by us), ``kind`` (`toy`, `simulation` of others,
    #: `data`), ``source``
    facts: dict[str, Any] = field(default_factory=dict)
    #: events left after each cut, in order: [name, number]
    flow: list[list[Any]] = field(default_factory=list)

    def bounds(self) -> NDArray[np.int64]:
        """First hit of each event, and the end: hits of event i are ``bounds[i]:bounds[i + 1]``."""
        return np.searchsorted(self.hits["event"], np.arange(len(self.events) + 1))

    def keep_hits(self, wanted: NDArray[np.bool_]) -> None:
        """Drop other hits."""
        self.hits = self.hits[wanted]

    def keep_events(self, wanted: NDArray[np.bool_], why: str) -> None:
        """Drop other events and their hits, and count what is left."""
        number = np.cumsum(wanted) - 1
        self.hits = self.hits[wanted[self.hits["event"]]]
        self.hits["event"] = number[self.hits["event"]]
        self.events = self.events[wanted]
        self.truth = None if self.truth is None else self.truth[wanted]
        self.reference = None if self.reference is None else self.reference[wanted]
        self.flow.append([why, len(self.events)])


def nothing(number: int) -> Table:
    """Tracks of ``number`` events of which nothing is known."""
    return np.full(number, np.nan, dtype=TRACK)


def direction(tracks: Table) -> NDArray[np.float64]:
    """Directions of tracks or photomultipliers, shape (n, 3)."""
    return np.stack([tracks[f"dir_{k}"] for k in "xyz"], axis=1).astype(float)


def position(tracks: Table) -> NDArray[np.float64]:
    """Positions (m) of tracks or hits, shape (n, 3)."""
    return np.stack([tracks[f"pos_{k}"] for k in "xyz"], axis=1).astype(float)


def write(path: Path, content: EventFile) -> None:
    """Write a file, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.part")
    tables = {
        "events": content.events,
        "hits": content.hits,
        "truth": content.truth,
        "reference": content.reference,
    }
    with h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["facts"] = json.dumps(content.facts, sort_keys=True)
        file.attrs["flow"] = json.dumps(content.flow)
        for name, table in tables.items():
            if table is not None:
                data = file.create_dataset(
                    name,
                    data=table,
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                    chunks=True,
                    maxshape=(None,),
                )
                data.attrs["units"] = json.dumps(UNITS.get(name, UNITS["tracks"]))
    temporary.replace(path)


def read(path: Path) -> EventFile:
    """
    Read a file.

    Raises
    ------
    EventFileError
        It is no event file, or its tables lack columns.
    """
    with h5py.File(path, "r") as file:
        if (found := file.attrs.get("format")) != FORMAT:
            if found == OLD:
                raise EventFileError(
                    f"an event file of the format {OLD}; in {FORMAT} `time` is the beginning of the time "
                    "slice: write it anew"
                )
            holds = ", ".join(sorted(map(str, file))[:5]) or "nothing"
            raise EventFileError(
                f"an HDF5 file of another kind: its attribute `format` is {found!r}, not {FORMAT!r} (it "
                f"holds {holds})"
            )
        tables: dict[str, Table | None] = {}
        for name, kinds in (
            ("events", [EVENTS]),
            ("hits", [RAW, HITS]),
            ("truth", [TRACK]),
            ("reference", [TRACK]),
        ):
            table = file[name][:] if name in file else None
            if table is None and name in ("events", "hits"):
                raise EventFileError(f"no table `{name}`")
            if table is not None and table.dtype.names not in [k.names for k in kinds]:
                raise EventFileError(
                    f"table `{name}` has the columns {', '.join(table.dtype.names or ())}, not "
                    f"{', '.join(kinds[0].names or ())}"
                )
            if table is not None and name not in ("events", "hits") and len(table) != len(tables["events"]):  # type: ignore[arg-type]
                raise EventFileError(
                    f"table `{name}` has {len(table)} rows for {len(tables['events'])} events"
                )  # type: ignore[arg-type]
            tables[name] = table
        found = EventFile(
            **tables, facts=json.loads(file.attrs["facts"]), flow=json.loads(file.attrs["flow"])
        )  # type: ignore[arg-type]
    if missing := FACTS - set(found.facts):
        raise EventFileError(f"its attribute `facts` lacks {', '.join(sorted(missing))}")
    rows = found.hits["event"]
    if len(rows) and (np.any(np.diff(rows) < 0) or rows[0] < 0 or rows[-1] >= len(found.events)):
        raise EventFileError("table `hits`: column `event` does not ascend from 0 to the number of events")
    return found
