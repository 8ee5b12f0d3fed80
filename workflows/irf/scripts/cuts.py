"""Step `cuts`: gamma-hadron cut (best sensitivity, or fixed efficiency) and direction cut."""

from __future__ import annotations

import argparse
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from documents import read_json
from events import write_hdus
from numpy.typing import NDArray
from pyirf.cut_optimization import optimize_gh_cut
from pyirf.cuts import calculate_percentile_cut
from sample import ON_AXIS, Sample, energy_edges
from scipy.ndimage import gaussian_filter1d
from selection import DirectionCut, ScoreCut

RECO_BINS_PER_DECADE = 5
#: efficiencies tried; below, the response would rest on few of the simulated gammas. The first of equals wins, so the highest comes first
EFFICIENCIES = np.arange(0.9, 0.39, -0.1)
THETA_MAX = 0.32 * u.deg
#: fewest events that fix a percentile
MIN_EVENTS = 30


def from_neighbours(values: NDArray[np.float64], good: NDArray[np.bool_], default: float) -> NDArray[np.float64]:
    """Values of bins with too few events from the nearest bins that have enough; ``default`` if none has."""
    if not good.any():
        return np.full(values.shape, default)
    at = np.arange(values.size)
    return np.interp(at, at[good], values[good])


def percentile(values: Any, reco_energy: Any, edges: u.Quantity, percent: NDArray[np.float64], default: float) -> NDArray[np.float64]:
    """Percentile of ``values`` in each bin of energy, another percentile a bin."""
    index = np.searchsorted(edges.to_value("TeV"), reco_energy.to_value("TeV"), side="right") - 1
    order, found = np.argsort(index, kind="stable"), np.full(len(edges) - 1, np.nan)
    bounds = np.searchsorted(index[order], np.arange(len(edges)))
    for k in range(len(edges) - 1):
        inside = np.asarray(values)[order[bounds[k] : bounds[k + 1]]]
        if inside.size >= MIN_EVENTS:
            found[k] = np.percentile(inside.astype(float), percent[k])
    return from_neighbours(found, np.isfinite(found), default)


def best_efficiency(sample: Sample, edges: u.Quantity, fallback: float) -> NDArray[np.float64]:
    """
    Gamma efficiency of best sensitivity in each energy bin, smoothed over neighbouring bins.

    Where no sensitivity can be had (no background left, no gammas) the neighbours decide.
    """
    point = sample.point
    theta = calculate_percentile_cut(
        point["theta"], point["reco_energy"], edges, fill_value=THETA_MAX, max_value=THETA_MAX, percentile=68, min_events=MIN_EVENTS
    )
    sensitivity, best = optimize_gh_cut(
        point, sample.background, edges, gh_cut_efficiencies=EFFICIENCIES, theta_cuts=theta, op=operator.ge, alpha=0.2,
        fov_offset_min=0 * u.deg, fov_offset_max=ON_AXIS, progress=False,
    )  # fmt: skip
    good = np.isfinite(np.asarray(sensitivity["relative_sensitivity"], dtype=float))
    return gaussian_filter1d(from_neighbours(np.asarray(best["efficiency"], dtype=float), good, fallback), 1.5, mode="nearest")


def make_cuts(sample: Sample, parameters: Mapping[str, Any]) -> tuple[ScoreCut, DirectionCut]:
    """
    Cuts of a production.

    Parameters
    ----------
    sample : Sample
    parameters : mapping
        Of the production; ``energy_min`` … ``energy_max`` is also the range of reconstructed energy.

    Returns
    -------
    ScoreCut, DirectionCut
        The direction cut keeps 68 % of the gammas that pass the score cut.
    """
    edges = energy_edges(parameters["energy_min"], parameters["energy_max"], RECO_BINS_PER_DECADE)
    efficiency = np.full(len(edges) - 1, float(parameters["gamma_efficiency"]))
    if parameters["cut_mode"] == "optimize":
        efficiency = best_efficiency(sample, edges, parameters["gamma_efficiency"])
    values = percentile(sample.point["gh_score"], sample.point["reco_energy"], edges, 100 * (1 - efficiency), 0.5)
    score = ScoreCut(edges.to_value("TeV"), values, efficiency)

    offsets = np.linspace(0, parameters["offset_max"], parameters["offset_bins"] + 1)
    selected: QTable = sample.gamma[score.passes(sample.gamma["reco_energy"].to_value("TeV"), sample.gamma["gh_score"])]
    where = np.digitize(selected["true_source_fov_offset"].to_value("deg"), offsets) - 1
    part, rows = np.full(efficiency.size, 68.0), []
    for k in range(len(offsets) - 1):
        inside = selected[where == k]
        rows.append(percentile(inside["theta"].to_value("deg"), inside["reco_energy"], edges, part, default=0.1))
    return score, DirectionCut(edges.to_value("TeV"), offsets, np.minimum(rows, THETA_MAX.to_value("deg")))


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--events", type=Path, required=True, help="merged event list")
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    parameters = read_json(args.parameters)["parameters"]
    score, direction = make_cuts(Sample.read(args.events, parameters["observation_time"] * u.h), parameters)
    write_hdus(args.out, [fits.PrimaryHDU(), score.hdu(), direction.hdu()])
    print(f"gamma efficiency {score.efficiency.min():.2f} to {score.efficiency.max():.2f} in {len(score.values)} energy bins")


if __name__ == "__main__":
    main()
