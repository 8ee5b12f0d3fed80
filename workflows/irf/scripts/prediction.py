"""
Thrown over predicted counts of a point source, by offset and reconstructed energy: where is a response good,
and to what?

The counts are those of the simulator, thrown anew; the prediction is gammapy's. Used by `closing`.
"""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from field import Ring
from gammapy.maps import MapAxis
from injection import ON_RADIUS, UnderTest
from numpy.typing import NDArray
from response import Response
from showers import throw_weighted

Array = NDArray[np.float64]

#: parts of the largest offset: the axis, the middle of the field, and the edge, where responses fall fastest
OFFSETS = (0.0, 0.2, 0.4, 0.575, 0.75, 0.9, 0.9875)
#: reconstructed-energy bands a decade
BANDS = 2
#: bins of the background table
A_DECADE = 5
#: true-energy bins a decade that the prediction sums over
TRUE_BINS = 30
#: of the source, E^-2.5 (1 / (cm2 s TeV)); only the shape matters
INDEX = 2.5
SHOWERS = 250_000


def bands(test: UnderTest) -> Array:
    """
    Edges (TeV) of the energies that are compared: those with enough gammas, as the response itself says.
    """
    low, high = test.document["gamma_range_tev"]
    return np.geomspace(low, high, max(1, round(BANDS * np.log10(high / low))) + 1)


def thrown(test: UnderTest, rng: np.random.Generator, offset: float, edges: Array) -> tuple[Array, Array]:
    """
    Expected counts in each band (shape (n,), per cm2 s of flux at 1 TeV) and their variances, after all cuts
    and in the on region.
    """
    p = test.document["parameters"]
    response = Response.of(p, test.document["selected"])
    seen = throw_weighted(
        rng, response, "gamma", SHOWERS, (p["energy_min"], p["energy_max"]), (offset, offset)
    )
    radius = ON_RADIUS.to_value("deg")
    if test.point_like:
        radius = (
            test.components["rad_max"]
            .evaluate(method="nearest", energy=seen.reco_energy * u.TeV, offset=offset * u.deg)
            .to_value("deg")
        )
    kept = test.cut.passes(seen.reco_energy, seen.score) & (np.hypot(seen.dx, seen.dy) <= radius)
    weight = 1e4 * seen.measure[kept] * seen.true_energy[kept] ** -INDEX
    return tuple(np.histogram(seen.reco_energy[kept], edges, weights=w)[0] for w in (weight, weight**2))  # type: ignore[return-value]


def predicted(test: UnderTest, offset: float, edges: Array) -> tuple[Array, Array]:
    """
    The same from the response, in gammapy's reading; the variances are those of the gammas that it was made
    of.
    """
    p, at = test.document["parameters"], offset * u.deg
    axis = MapAxis.from_energy_bounds(
        p["energy_min"], p["energy_max"], nbin=TRUE_BINS, per_decade=True, unit="TeV", name="energy_true"
    )
    energy = axis.center
    flux = energy.to_value("TeV") ** -INDEX * np.diff(axis.edges.to_value("TeV"))
    area = test.components["aeff"].evaluate(energy_true=energy, offset=at).to_value("cm2").ravel()
    kernel = (
        test.components["edisp"]
        .to_edisp_kernel(at, energy_axis_true=axis, energy_axis=edges * u.TeV)
        .pdf_matrix
    )
    if not test.point_like:
        area = (
            area
            * test.components["psf"].containment(rad=ON_RADIUS, energy_true=energy, offset=at).value.ravel()
        )
    counts = (flux * area)[:, None] * np.nan_to_num(kernel)
    bins = np.clip(np.searchsorted(test.events_edges, energy.to_value("TeV")) - 1, 0, len(test.events) - 1)
    summed = np.zeros((len(test.events), counts.shape[1]))
    np.add.at(summed, bins, counts)
    rests_on = test.events[
        :, np.clip(np.searchsorted(test.offset_edges, offset) - 1, 0, test.events.shape[1] - 1)
    ]
    return summed.sum(axis=0), (summed**2 / np.maximum(rests_on, 1)[:, None]).sum(axis=0)


def quotient(
    thrown: float, variance: float, predicted: float, uncertainty: float
) -> tuple[float | None, float]:
    """Ratio of two numbers with their variances, and its error; None if there is none."""
    if not (np.isfinite(predicted) and predicted > 0):
        return None, 1.0
    ratio = thrown / predicted
    relative = np.sqrt(variance / max(thrown, 1e-300) ** 2 + uncertainty / predicted**2)
    return round(float(ratio), 4), round(float(ratio * min(relative, 1)), 4)


def compare(test: UnderTest, seed: int) -> dict[str, Any]:
    """
    Thrown over predicted counts.

    Parameters
    ----------
    test : UnderTest
    seed : int

    Returns
    -------
    dict
        ``offsets_deg`` (m,), ``edges_tev`` (n + 1,), ``ratio`` and ``error`` (m, n + 1), the last of all
        energies together. The error is one standard deviation of both statistics; a ratio is None where
        nothing is predicted.
    """
    rng, edges = np.random.default_rng([seed, 2]), bands(test)
    offsets = [part * float(test.document["parameters"]["offset_max"]) for part in OFFSETS]
    ratios: list[list[float | None]] = []
    errors: list[list[float]] = []
    for offset in offsets:
        columns = [
            np.append(x, x.sum())
            for x in (*thrown(test, rng, offset, edges), *predicted(test, offset, edges))
        ]
        ratio, error = zip(*(quotient(*row) for row in np.transpose(columns)), strict=True)
        ratios.append(list(ratio))
        errors.append(list(error))
    return {"offsets_deg": offsets, "edges_tev": [float(e) for e in edges], "ratio": ratios, "error": errors}


def compare_background(test: UnderTest, ring: Ring) -> list[dict[str, float | None]]:
    """
    The simulator's background in a ring over that of the table, by decades of reconstructed energy inside the
    safe range.

    Returns
    -------
    list of dict
        ``offset_deg``, ``low_tev``, ``high_tev``, ``ratio``, ``error``.
    """
    safe, table = test.document["background_range_tev"], test.components["bkg"]
    edges = table.axes["energy"].edges.to_value("TeV")
    bins = [
        k
        for k in range(edges.size - 1)
        if safe and max(safe[0], test.fit_range[0]) <= edges[k] and edges[k + 1] <= 1.001 * safe[1]
    ]
    inner, outer = ring.limits
    steps = np.linspace(inner, outer, 41)
    middle, solid = 0.5 * (steps[1:] + steps[:-1]), 2 * np.pi * -np.diff(np.cos(np.radians(steps)))
    rows = []
    for part in [bins[k : k + A_DECADE] for k in range(0, len(bins), A_DECADE)]:
        low, high = edges[part[0]], edges[part[-1] + 1]
        centres = np.sqrt(edges[part] * edges[np.add(part, 1)]) * u.TeV
        rate = table.evaluate(energy=centres[:, None], offset=middle[None] * u.deg).to_value("1 / (s sr TeV)")
        expected = (rate @ solid) * np.diff(edges)[part]
        inside = ring.rate[(ring.energy >= low) & (ring.energy < high)]
        ratio, error = quotient(
            inside.sum(),
            (inside**2).sum(),
            expected.sum(),
            (expected**2 / test.background_events[part]).sum(),
        )
        rows.append(
            {
                "offset_deg": ring.offset,
                "low_tev": float(low),
                "high_tev": float(high),
                "ratio": ratio,
                "error": error,
            }
        )
    return rows
