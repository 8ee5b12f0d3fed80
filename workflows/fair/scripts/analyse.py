"""
Candidates Λ → p π⁻ of one event file: the histogram of their mass and a TTree of them in a ROOT file, counts
in a JSON file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import awkward as ak
import documents
import events
import hist
import numpy as np
import particles
import rootfile
import selection
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: momenta (GeV) that a charged track of a nuclear collision at these energies may have; outside it: other
#: units
MOMENTA = (0.02, 50.0)
UNITS = {"true": "1 if both tracks are from one decay, 0 if not or unknown"} | selection.FIELDS


def histogram(masses: Array, bins: int, low: float, high: float, label: str) -> hist.Hist:
    """Spectrum of masses (GeV)."""
    made = hist.Hist(hist.axis.Regular(bins, low, high, name="mass", label="m(p π⁻) [GeV]"), label=label)
    made.fill(masses)
    return made


def analyse(path: Path, reader: str, cuts: selection.Cuts) -> tuple[dict[str, Array], dict[str, Any]]:
    """
    Candidates of a file.

    Returns
    -------
    columns : dict of array
        Fields of the candidates, `true` among them.
    counts : dict
        What was read: events, tracks, those with momenta in GeV, decays.
    """
    found: list[dict[str, Array]] = []
    counts: dict[str, Any] = {
        "events": 0,
        "tracks": 0,
        "tracks_in_range": 0,
        "decays": 0,
        "mass_shell": 0.0,
        "lost": 0,
    }
    for chunk in events.read(path, reader):
        tracks = chunk.tracks
        flat = ak.flatten(tracks)
        numbers = np.stack([ak.to_numpy(ak.values_astype(flat[f], np.float64)) for f in events.TRACK])
        finite = np.isfinite(numbers).all(axis=0)
        if not finite.all():
            tracks = tracks[ak.unflatten(finite, ak.num(tracks))]
        size = np.sqrt((numbers[:3, finite] ** 2).sum(axis=0))
        columns, true, shell = selection.candidates(ak.with_field(chunk, tracks, "tracks"), cuts)
        found.append({**columns, "true": true.astype(np.int32)})
        counts["events"] += len(chunk)
        counts["tracks"] += size.size
        counts["tracks_in_range"] += int(((size > MOMENTA[0]) & (size < MOMENTA[1])).sum())
        counts["decays"] += int(ak.sum(chunk.decays))
        counts["mass_shell"] = max(counts["mass_shell"], shell)
        counts["lost"] += int((~finite).sum())
    empty = {**{field: np.empty(0) for field in selection.FIELDS}, "true": np.empty(0, np.int32)}
    return {
        k: np.concatenate([empty[k], *(part[k] for part in found)]).astype(empty[k].dtype) for k in empty
    }, counts


def write(path: Path, spectrum: hist.Hist, columns: dict[str, Array]) -> None:
    """Histogram `mass` and TTree `candidates` in a ROOT file."""
    with rootfile.recreate(path) as file:
        file["mass"] = spectrum
        tree = file.mktree(
            "candidates",
            {k: v.dtype for k, v in columns.items()},
            title="; ".join(f"{k}: {u}" for k, u in UNITS.items() if u),
        )
        tree.extend(columns)


def main() -> None:
    """One file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument(
        "--record", type=Path, required=True, help="what staging or generation says of this file"
    )
    parser.add_argument("--reader", choices=["uproot", "root", "auto"], required=True)
    parser.add_argument("--momentum-resolution", type=float, required=True, help="percent")
    parser.add_argument("--identification", type=float, required=True, help="resolutions of m²")
    parser.add_argument("--track-distance", type=float, required=True, help="cm")
    parser.add_argument("--decay-length", type=float, required=True, help="cm")
    parser.add_argument("--pointing", type=float, required=True, help="mrad")
    parser.add_argument("--mass-min", type=float, required=True, help="GeV")
    parser.add_argument("--mass-max", type=float, required=True, help="GeV")
    parser.add_argument("--bins", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    args = parser.parse_args()
    said = {
        "identification": args.identification,
        "momentum_resolution_percent": args.momentum_resolution,
        "track_distance_cm": args.track_distance,
        "decay_length_cm": args.decay_length,
        "pointing_mrad": args.pointing,
    }
    record = documents.read_json(args.record)
    cuts = selection.Cuts(
        identification=args.identification,
        resolution=args.momentum_resolution / 100,
        distance=args.track_distance,
        decay_length=args.decay_length,
        pointing=args.pointing / 1000,
    )
    reader = events.reader_of(args.reader)
    columns, counts = analyse(args.events, reader, cuts)
    spectrum = histogram(columns["mass"], args.bins, args.mass_min, args.mass_max, "candidates")
    inside = (columns["mass"] >= args.mass_min) & (columns["mass"] < args.mass_max)
    write(args.out, spectrum, columns)
    if not counts["tracks"]:
        print(f"{record['name']}: no tracks")
    counts |= {
        "candidates": int(columns["mass"].size),
        "in_window": int(inside.sum()),
        "true": int(columns["true"].sum()),
        "true_in_window": int(columns["true"][inside].sum()),
    }
    documents.write_json(
        args.counts,
        {
            "file": record,
            "reader": reader,
            "truth": events.has_truth(args.events),
            "counts": counts,
            "selection": said,
            "least_mass": float(columns["mass"].min(initial=np.inf)) if columns["mass"].size else None,
            "threshold": particles.THRESHOLD,
        },
    )


if __name__ == "__main__":
    main()
