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
from sample import ON_AXIS, Sample, energy_edges, offset_edges
from scipy.ndimage import gaussian_filter1d
from selection import DirectionCut, ScoreCut

RECO_BINS_PER_DECADE = 5
#: efficiencies tried; below, the response would rest on few of the simulated gammas. The first of equals
#: wins, so the highest comes first
EFFICIENCIES = np.arange(0.9, 0.39, -0.1)
THETA_MAX = 0.32 * u.deg
#: of RAD_MAX, deg. It is read as a step, and the response is interpolated: wide steps would leave edges in
#: offset that it can't follow
DIRECTION_STEP = 0.05
#: fewest events that fix a percentile
MIN_EVENTS = 30


def from_neighbours(
    values: NDArray[np.float64], good: NDArray[np.bool_], default: float
) -> NDArray[np.float64]:
    """Values of bins with too few events from the nearest bins that have enough; ``default`` if none has."""
    if not good.any():
        return np.full(values.shape, default)
    at = np.arange(values.size)
    return np.interp(at, at[good], values[good])


def percentile(
    values: Any, reco_energy: Any, edges: u.Quantity, percent: NDArray[np.float64], default: float
) -> NDArray[np.float64]:
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
        point["theta"],
        point["reco_energy"],
        edges,
        fill_value=THETA_MAX,
        max_value=THETA_MAX,
        percentile=68,
        min_events=MIN_EVENTS,
    )
    sensitivity, best = optimize_gh_cut(
        point,
        sample.background,
        edges,
        gh_cut_efficiencies=EFFICIENCIES,
        theta_cuts=theta,
        op=operator.ge,
        alpha=0.2,
        fov_offset_min=0 * u.deg,
        fov_offset_max=ON_AXIS,
        progress=False,
    )
    good = np.isfinite(np.asarray(sensitivity["relative_sensitivity"], dtype=float))
    return gaussian_filter1d(
        from_neighbours(np.asarray(best["efficiency"], dtype=float), good, fallback), 1.5, mode="nearest"
    )


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
    values = percentile(
        sample.point["gh_score"], sample.point["reco_energy"], edges, 100 * (1 - efficiency), 0.5
    )
    score = ScoreCut(edges.to_value("TeV"), values, efficiency)

    offsets = offset_edges(parameters["offset_max"], parameters["offset_bins"]).to_value("deg")
    selected: QTable = sample.gamma[
        score.passes(sample.gamma["reco_energy"].to_value("TeV"), sample.gamma["gh_score"])
    ]
    from_axis = selected["true_source_fov_offset"].to_value("deg")
    where = np.digitize(from_axis, offsets) - 1
    part, rows, at = np.full(efficiency.size, 68.0), [], []
    for k in range(len(offsets) - 1):
        inside = where == k
        theta, energy = selected["theta"][inside].to_value("deg"), selected["reco_energy"][inside]
        rows.append(
            np.minimum(percentile(theta, energy, edges, part, default=0.1), THETA_MAX.to_value("deg"))
        )
        at.append(from_axis[inside].mean() if inside.any() else 0.5 * (offsets[k] + offsets[k + 1]))
    steps = np.linspace(0, offsets[-1], round(offsets[-1] / DIRECTION_STEP) + 1)
    middle = 0.5 * (steps[1:] + steps[:-1])
    # on to the axis in a straight line, as widths fall: a constant cut would keep more there than the
    # response can follow
    if len(rows) > 1:
        axis = rows[0] - at[0] * (rows[1] - rows[0]) / (at[1] - at[0])
        rows, at = [np.clip(axis, 0.5 * rows[0], THETA_MAX.to_value("deg")), *rows], [0.0, *at]
    values = np.transpose([np.interp(middle, at, column) for column in np.transpose(rows)])
    return score, DirectionCut(edges.to_value("TeV"), steps, values)


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--parameters", type=Path, required=True)
    cli.add_argument("--events", type=Path, required=True, help="merged event list")
    cli.add_argument("--out", type=Path, required=True)
    args = cli.parse_args()
    parameters = read_json(args.parameters)["parameters"]
    score, direction = make_cuts(Sample.read(args.events, parameters["observation_time"] * u.h), parameters)
    write_hdus(args.out, [fits.PrimaryHDU(), score.hdu(), direction.hdu()])
    print(
        f"gamma efficiency {score.efficiency.min():.2f} to {score.efficiency.max():.2f} in "
        f"{len(score.values)} energy bins"
    )


if __name__ == "__main__":
    main()
