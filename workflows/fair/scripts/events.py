"""
The data model of an event file: a ROOT file with the TTree `events`, one entry an event. Momenta in GeV/c,
lengths in cm, m² in GeV².

Its branches are documented in README.md; files of an experiment need the same ones, without the truth.
"""

from __future__ import annotations

import importlib.util
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

TREE = "events"
#: branches of each track: reconstructed momentum, position on the track, charge, squared mass by time of
#: flight
TRACK = ("px", "py", "pz", "x", "y", "z", "charge", "m2")
#: of simulations only: which decay of the event a track is from, -1 for none
MOTHER = "mother"
#: of simulations only: decays in the event, in all directions
TRUE_DECAYS = "mc_decays"
#: types of a branch with some numbers an event, as uproot writes them
LIST_OF_NUMBERS = re.compile(r"^(?:u?int\d+_t|float|double|bool)\[\w*\]$|vector<(?:[\w ]+)>$")
#: memory of one chunk
CHUNK = "8 MB"


#: what the library raises when a file is damaged
BROKEN = (OSError, ValueError, EOFError, zlib.error, struct.error, uproot.DeserializationError)


def unreadable(path: Path, error: Exception) -> SystemExit:
    """What is said of a damaged file."""
    return SystemExit(
        f"{path.name}: not a readable ROOT file ({type(error).__name__}: "
        f"{(str(error).strip().splitlines() or [''])[0]})"
    )


def reader_of(wanted: str) -> str:
    """
    The reader that is used: `uproot` or `root`.

    Parameters
    ----------
    wanted : str
        `uproot`, `root`, or `auto`: ROOT where the interpreter can import it.

    Raises
    ------
    SystemExit
        ROOT is wanted and not there.
    """
    there = importlib.util.find_spec("ROOT") is not None
    if wanted == "root" and not there:
        raise SystemExit(
            "reader 'root': this python3 has no module ROOT. Put a ROOT with PyROOT on PATH and PYTHONPATH "
            "(an installed or mounted one"
            " has a script for that), or choose reader 'uproot', which reads the same files without ROOT"
        )
    return "root" if there and wanted != "uproot" else "uproot"


def branches(path: Path) -> list[str]:
    """
    Names of the branches of the event tree.

    Raises
    ------
    SystemExit
        Not a ROOT file, no such tree, or branches are missing; says which.
    """
    try:
        with uproot.open(path) as file:
            trees = {key.split(";")[0]: kind for key, kind in file.classnames().items()}
            if trees.get(TREE) not in {"TTree", "TChain"}:
                raise SystemExit(
                    f"{path.name}: there is no TTree {TREE!r} in it; it holds: "
                    f"{', '.join(trees) or 'nothing'}"
                )
            kinds = {name: str(branch.typename) for name, branch in file[TREE].items()}
    except BROKEN as error:
        raise unreadable(path, error) from None
    names = list(kinds)
    if missing := [f"trk_{field}" for field in TRACK if f"trk_{field}" not in names]:
        raise SystemExit(
            f"{path.name}: the TTree {TREE!r} lacks the branches {', '.join(missing)}; README.md has the "
            "data model"
        )
    # anything with one value an event, or text, is another experiment's
    flat = [
        f"trk_{field} ({kinds[f'trk_{field}']})"
        for field in TRACK
        if not LIST_OF_NUMBERS.search(kinds[f"trk_{field}"])
    ]
    if flat:
        raise SystemExit(
            f"{path.name}: the TTree {TREE!r} has branches that are no lists of numbers, one a track: "
            f"{', '.join(flat)}"
        )
    return names


def read(path: Path, reader: str) -> Iterator[ak.Array]:
    """
    Chunks of a file.

    Yields
    ------
    awkward.Array
        One record an event: `tracks` with the fields of `TRACK`, `mother` and `decays` (0 and -1 where the
        file has no truth).
    """
    names = branches(path)
    wanted = [f"trk_{field}" for field in (*TRACK, MOTHER) if f"trk_{field}" in names] + [
        n for n in (TRUE_DECAYS,) if n in names
    ]
    for chunk in _with_root(path, wanted) if reader == "root" else _with_uproot(path, wanted):
        fields = {field: chunk[f"trk_{field}"] for field in TRACK}
        fields[MOTHER] = (
            chunk[f"trk_{MOTHER}"] if f"trk_{MOTHER}" in names else ak.full_like(chunk["trk_charge"], -1)
        )
        decays = chunk[TRUE_DECAYS] if TRUE_DECAYS in names else np.zeros(len(chunk), dtype=np.int32)
        yield ak.zip({"tracks": ak.zip(fields), "decays": decays}, depth_limit=1)


def _with_uproot(path: Path, wanted: list[str]) -> Iterator[ak.Array]:
    try:
        # not "path:tree", where a colon in the path would be taken for the tree's
        with uproot.open({path: TREE}) as tree:
            yield from tree.iterate(wanted, step_size=CHUNK)
    except BROKEN as error:
        raise unreadable(path, error) from None


def _with_root(path: Path, wanted: list[str]) -> Iterator[ak.Array]:
    import ROOT

    yield ak.from_rdataframe(ROOT.RDataFrame(TREE, str(path)), columns=tuple(wanted))


def has_truth(path: Path) -> bool:
    """Whether a file says which tracks are from a decay."""
    return {f"trk_{MOTHER}", TRUE_DECAYS} <= set(branches(path))
