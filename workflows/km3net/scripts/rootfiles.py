"""
Event files of KM3NeT in ROOT: offline (aanet, read with km3io) and online (data acquisition, read with
uproot).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import awkward as ak  # noqa: E402  km3io warns about what it can't read
import eventfile  # noqa: E402
import km3io  # noqa: E402
import numpy as np  # noqa: E402
import uproot  # noqa: E402
from eventfile import EventFile, EventFileError  # noqa: E402

#: trees of events -> the branch by which KM3NeT's are known
TREES = {"E": "Evt", "KM3NET_EVENT": "KM3NET_EVENT"}
#: type of the muon track fit of Jpp
JPP_MUON = km3io.definitions.reconstruction["JPP_RECONSTRUCTION_TYPE"]
#: an offline file without calibration has all hits in the origin
ORIGIN = ("pos_x", "pos_y", "pos_z")

# Layout of the online classes, whose dictionaries uproot can't follow: KM3NETDAQ::JDAQKeyHit,
# JDAQTriggeredHit, JDAQEventHeader. Each class begins with its length (4 bytes, a flag included) and version
# (2 bytes).
_HIT = [("dom_id", ">i4"), ("channel_id", "u1"), ("time", "<u4"), ("tot", "u1")]
_VERSION = [("", ">u4"), ("", ">u2")]


def _layout(*parts: list[tuple[str, str]]) -> np.dtype[Any]:
    fields = [f for part in parts for f in part]
    return np.dtype([(name or f"skip{i}", kind) for i, (name, kind) in enumerate(fields)])


SNAPSHOT = _layout(_HIT)
TRIGGERED = _layout(_HIT, _VERSION, [("mask", ">u8")])
HEADER = _layout(
    _VERSION,
    _VERSION,
    _VERSION,
    [("detector_id", ">i4"), ("run_id", ">i4"), ("frame_index", ">i4")],
    _VERSION,
    [("seconds", ">u4"), ("cycles", ">u4")],
    _VERSION,
    [("trigger_counter", ">u8")],
    _VERSION,
    [("mask", ">u8"), ("overlays", ">u4")],
)
#: programs of Jpp that only ever write simulated events, and how KM3NeT names files of simulations, which
#: later programs' commands repeat
SIMULATORS = {"JSirene", "JTriggerEfficiency", "JKM3Sim"}
SIMULATED_NAME = re.compile(r"(?:^|[\s/])mcv\d|\.mc\.")
#: lines of an offline file's header that only a generator writes
GENERATED = {"simul", "physics", "genvol", "genhencut", "can", "fixedcan"}
#: s, of the clock whose cycles are counted
CYCLE = 16e-9


def read(path: Path) -> EventFile:
    """
    Read a ROOT file of either kind.

    Raises
    ------
    EventFileError
        It has no events of KM3NeT.
    """
    try:
        with uproot.open(path) as file:
            kinds = {name.split(";")[0]: kind for name, kind in file.classnames(recursive=False).items()}
            trees = [
                name for name, branch in TREES.items() if kinds.get(name) == "TTree" and branch in file[name]
            ]
            filled = {name: file[name].num_entries for name in trees}
        if not trees:
            held = ", ".join(sorted(kinds)[:8]) or "nothing"
            raise EventFileError(
                f"a ROOT file, but not of KM3NeT: no events in a tree `E` or `KM3NET_EVENT`; it holds {held}"
            )
        online, offline = (filled.get(name, 0) for name in ("KM3NET_EVENT", "E"))
        if not online and not offline:
            raise EventFileError(
                f"no events: {' and '.join(f'`{name}`' for name in trees)} "
                f"{'are' if len(trees) > 1 else 'is'} empty"
            )
        return _online(path) if online else _offline(path)
    except EventFileError:
        raise
    except Exception as error:  # a damaged file may fail anywhere in the decoding
        raise EventFileError(
            f"can't be read as a ROOT file of KM3NeT: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}"
        ) from None


def _online(path: Path) -> EventFile:
    with uproot.open(path) as file:
        branch = file["KM3NET_EVENT"]["KM3NET_EVENT"]

        def jagged(name: str, layout: np.dtype[Any]) -> Any:
            kind = uproot.interpretation.jagged.AsJagged(
                uproot.interpretation.numerical.AsDtype(layout), header_bytes=10
            )
            return branch[name].array(kind)

        snapshot, triggered = jagged("snapshotHits", SNAPSHOT), jagged("triggeredHits", TRIGGERED)
        header = branch["KM3NETDAQ::JDAQEventHeader"].array(
            uproot.interpretation.numerical.AsDtype(HEADER), library="np"
        )
        simulated = _by_its_programs(file)
    events = np.zeros(len(header), dtype=eventfile.EVENTS)
    for name in ("run_id", "frame_index", "trigger_counter"):
        events[name] = header[name]
    events["time"] = header["seconds"] + header["cycles"] * CYCLE
    hits = np.zeros(int(ak.sum(ak.num(snapshot))), dtype=eventfile.RAW)
    hits["event"] = np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(snapshot)))
    for name in ("dom_id", "channel_id", "time", "tot"):
        hits[name] = ak.to_numpy(ak.flatten(snapshot[name]))
    chosen = np.zeros(int(ak.sum(ak.num(triggered))), dtype=eventfile.RAW)
    chosen["event"] = np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(triggered)))
    for name in ("dom_id", "channel_id", "time"):
        chosen[name] = ak.to_numpy(ak.flatten(triggered[name]))
    # triggered hits are a copy of some of the snapshot
    key = ["event", "dom_id", "channel_id", "time"]
    hits["triggered"] = np.isin(_keys(hits, key), _keys(chosen, key))
    facts = {
        "detector_id": int(header["detector_id"][0]),
        "calibrated": False,
        "simulated": False,
        "source": "online ROOT",
    }
    facts["kind"] = "simulation" if simulated else "data"
    return EventFile(events, hits, None, None, facts, [["recorded", len(events)]])


def _by_its_programs(file: Any) -> bool:
    """
    Whether the programs that made a file (Jpp notes each with its command line, in the folder `META`) say
    that it is a simulation.
    """
    notes = {name.split(";")[0]: note for name, note in file["META"].items()} if "META" in file else {}
    commands = [str(note.member("fTitle")) for note in notes.values() if note.has_member("fTitle")]
    return bool(SIMULATORS & set(notes)) or any(SIMULATED_NAME.search(command) for command in commands)


def _keys(hits: Any, names: list[str]) -> Any:
    """Columns as one value a row, for comparison."""
    return np.ascontiguousarray(np.stack([hits[n].astype(np.int64) for n in names], axis=1)).view(
        [("", np.int64)] * len(names)
    )[:, 0]


def _offline(path: Path) -> EventFile:
    reader = km3io.OfflineReader(str(path))
    number = len(reader)
    counts = ak.to_numpy(ak.num(reader.hits.dom_id))
    if not counts.sum():
        raise EventFileError(
            f"{number} events, but none has hits: a simulation before the detector's response?"
        )
    events = np.zeros(number, dtype=eventfile.EVENTS)
    for name in ("run_id", "frame_index", "trigger_counter"):
        events[name] = ak.to_numpy(getattr(reader, name))
    events["time"] = ak.to_numpy(reader.t_sec) + ak.to_numpy(reader.t_ns) * 1e-9
    positions = {k: ak.to_numpy(ak.flatten(getattr(reader.hits, k))) for k in ORIGIN}
    # some files have positions, but times as the clocks of the modules counted them
    raw = np.array_equal(ak.to_numpy(ak.flatten(reader.hits.t)), ak.to_numpy(ak.flatten(reader.hits.tdc)))
    calibrated = any(np.any(v) for v in positions.values()) and not raw
    hits = np.zeros(int(counts.sum()), dtype=eventfile.HITS if calibrated else eventfile.RAW)
    hits["event"] = np.repeat(np.arange(number), counts)
    for name, source in (("dom_id", "dom_id"), ("channel_id", "channel_id"), ("time", "t"), ("tot", "tot")):
        hits[name] = ak.to_numpy(ak.flatten(getattr(reader.hits, source)))
    hits["triggered"] = ak.to_numpy(ak.flatten(reader.hits.trig)) > 0
    if calibrated:
        for name in (n for n, _ in eventfile.PLACE):
            hits[name] = ak.to_numpy(ak.flatten(getattr(reader.hits, name)))
    ids = set(ak.to_numpy(reader.det_id).tolist())
    if len(ids) != 1:
        raise EventFileError(f"events of several detectors: {', '.join(map(str, sorted(ids)))}")
    facts = {"detector_id": ids.pop(), "calibrated": calibrated, "simulated": False, "source": "offline ROOT"}
    generated = reader.header is not None and bool(GENERATED & set(reader.header.keys()))
    with uproot.open(path) as file:
        generated = generated or _by_its_programs(file) or bool(ak.sum(ak.num(reader.mc_tracks.id)))
    # no detector with a negative number was ever built
    facts["kind"] = "simulation" if generated or facts["detector_id"] < 0 else "data"
    return EventFile(events, hits, _truth(reader), _reference(reader), facts, [["recorded", number]])


def _truth(reader: Any) -> Any:
    """The muon with the most energy of each simulated event; None if no event has any."""
    tracks = reader.mc_tracks
    table, some = eventfile.nothing(len(reader)), False
    names = [n for n, _ in eventfile.PLACE]
    columns = {n: ak.to_list(getattr(tracks, n)) for n in (*names, "t", "E", "pdgid")}
    for i in range(len(reader)):
        muons = [k for k, kind in enumerate(columns["pdgid"][i]) if abs(kind) == 13]
        if muons:
            best, some = max(muons, key=lambda k: columns["E"][i][k]), True
            # the clock of the simulation is not that of the hits
            table[i] = (*(columns[n][i][best] for n in names), np.nan, columns["E"][i][best], np.nan)
    return table if some else None


def _reference(reader: Any) -> Any:
    """
    Jpp's muon track of each event: the longest chain of its steps, then the best likelihood. None if no event
    has any.
    """
    tracks = reader.tracks
    table, some = eventfile.nothing(len(reader)), False
    names = [n for n, _ in eventfile.PLACE]
    columns = {n: ak.to_list(getattr(tracks, n)) for n in (*names, "t", "E", "lik", "rec_type")}
    stages = ak.to_list(ak.num(tracks.rec_stages, axis=2))
    for i in range(len(reader)):
        fits = [k for k, kind in enumerate(columns["rec_type"][i]) if kind == JPP_MUON]
        if fits:
            best, some = max(fits, key=lambda k: (stages[i][k], columns["lik"][i][k])), True
            table[i] = (
                *(columns[n][i][best] for n in names),
                columns["t"][i][best],
                columns["E"][i][best],
                columns["lik"][i][best],
            )
    return table if some else None
