"""
Add up what was found in all files: histograms, candidates, counts; and the counts of the simulation beside
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import analyse
import documents
import efficiency
import hist
import numpy as np
import uproot


def merged_counts(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums of the counts of all files; the largest deviation from the mass shell, the least mass."""
    keys = [k for k in parts[0]["counts"] if k != "mass_shell"]
    least = [p["least_mass"] for p in parts if p["least_mass"] is not None]
    return {
        "files": [
            p["file"] | {"events": p["counts"]["events"], "candidates": p["counts"]["in_window"]}
            for p in parts
        ],
        "readers": sorted({p["reader"] for p in parts}),
        # one file without truth, and the sum can't be compared with it
        "truth": all(p["truth"] for p in parts),
        "counts": {k: sum(p["counts"][k] for p in parts) for k in keys}
        | {"mass_shell": max(p["counts"]["mass_shell"] for p in parts)},
        "least_mass": min(least, default=None),
        "threshold": parts[0]["threshold"],
        "selection": parts[0]["selection"],
    }


def repeated(files: list[dict[str, Any]]) -> list[str]:
    """Files whose content is there twice: their candidates would count twice."""
    seen: dict[str, str] = {}
    found = []
    for file in files:
        first = seen.get(file["sha256"])
        if first is not None:
            found.append(f"{file['name']}: the same content as {first}, it would count twice")
        seen.setdefault(file["sha256"], file["name"])
    return found


def main() -> None:
    """Merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="ROOT files")
    parser.add_argument("--counts", type=Path, nargs="+", required=True, help="JSON files, in the same order")
    parser.add_argument(
        "--simulated",
        type=Path,
        nargs="+",
        required=True,
        help="JSON files of the simulation that gives the efficiency",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    args = parser.parse_args()
    summary = merged_counts([documents.read_json(path) for path in args.counts])
    if found := repeated(summary["files"]):
        raise SystemExit("\n".join(found))
    summary["simulation"] = efficiency.simulated(
        [documents.read_json(path) for path in args.simulated], summary["files"]
    )
    spectra, columns = [], []
    for path in args.parts:
        with uproot.open(path) as file:
            spectra.append(file["mass"].to_hist())
            columns.append(file["candidates"].arrays(library="np"))
    total: hist.Hist = spectra[0]
    for spectrum in spectra[1:]:
        if not np.array_equal(spectrum.axes[0].edges, total.axes[0].edges):
            raise SystemExit("histograms with different bins can't be added")
        total = total + spectrum
    analyse.write(args.out, total, {k: np.concatenate([c[k] for c in columns]) for k in columns[0]})
    documents.write_json(args.summary, summary)


if __name__ == "__main__":
    main()
