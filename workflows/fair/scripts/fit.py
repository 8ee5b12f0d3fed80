"""Fit the merged spectrum: a JSON file with the results, a ROOT file with data, fit and candidates."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import documents
import efficiency
import hist
import numpy as np
import rootfile
import shapes
import spectrum
import uproot
from numpy.typing import NDArray

Array = NDArray[np.float64]


def filled(edges: Array, values: Array, label: str) -> hist.Hist:
    """A histogram with given contents."""
    made = hist.Hist(
        hist.axis.Regular(len(edges) - 1, edges[0], edges[-1], name="mass", label="m(p π⁻) [GeV]"),
        label=label,
    )
    made[...] = values
    return made


def main() -> None:
    """Fit; a spectrum that can't be fitted is a result too, which the validation then judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--merged", type=Path, required=True)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--background", choices=shapes.BACKGROUNDS, required=True)
    parser.add_argument("--background-order", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="ROOT file")
    parser.add_argument("--result", type=Path, required=True)
    args = parser.parse_args()
    part = efficiency.of(documents.read_json(args.summary)["simulation"])
    with uproot.open(args.merged) as file:
        data = file["mass"].to_hist()
        candidates = file["candidates"].arrays(library="np")
    edges, values = data.axes[0].edges, data.values()
    window = (float(edges[0]), float(edges[-1]))
    model = shapes.model(args.background, args.background_order, window)
    said: dict[str, Any] = {"window_gev": window, "bins": len(values), "background": args.background}
    if args.background == "polynomial":
        said["background_order"] = args.background_order
    try:
        fitted: dict[str, Any] | None = spectrum.fit(values, edges, model)
        reason = None
    except spectrum.FitError as error:
        fitted, reason = None, str(error)
    parts = {}
    if fitted:
        numbers = [p["value"] for p in fitted["parameters"].values()]
        signal, background = (np.diff(part) for part in model.parts(edges, *numbers))
        parts = {"fit": signal + background, "fit_background": background}
        if part:
            part["corrected_yield"] = efficiency.corrected(fitted["parameters"]["signal"], part)
        fitted["efficiency"] = part
    with rootfile.recreate(args.out) as file:
        file["mass"] = data
        for name, content in parts.items():
            file[name] = filled(edges, content, name.replace("_", ": "))
        file.mktree("candidates", {k: v.dtype for k, v in candidates.items()}).extend(candidates)
        if fitted:
            row = {
                n + end: np.array([p[of]])
                for n, p in fitted["parameters"].items()
                for end, of in (("", "value"), ("_error", "error"))
            }
            file.mktree("parameters", {k: v.dtype for k, v in row.items()}).extend(row)
    documents.write_json(args.result, {"model": said, "fit": fitted, "reason": reason})


if __name__ == "__main__":
    main()
