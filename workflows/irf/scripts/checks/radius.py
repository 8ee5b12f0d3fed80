"""Checks of the table RAD_MAX: the direction cut of a point-like response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .findings import IMPLAUSIBLE, Place, Verdict
from .tables import Component

#: deg
RADII = (0.005, 2.0)


def check_radius(
    v: Verdict, table: Component, areas: Sequence[Component], safe: Mapping[str, NDArray[np.bool_]]
) -> None:
    """Check that a cut is given, of a Cherenkov telescope's size, wherever the effective area is good."""
    about = {"severity": IMPLAUSIBLE, "paragraph": table.form.paragraph}
    values, energy, offset = table.data, table.centers("ENERG"), table.centers("THETA")
    wanted = np.ones_like(values, dtype=bool)
    if areas:
        inside = np.zeros_like(energy, dtype=bool)
        for area in areas:
            good = np.flatnonzero(safe[area.label].any(axis=1))
            if good.size:
                edges = area.edges("ENERG")
                inside |= (energy >= edges[good[0]]) & (energy <= edges[good[-1] + 1])
        said = f"{energy[0]:.3g} to {energy[-1]:.3g} TeV"
        v.check(
            f"{table.label}: axes overlap those of the area",
            inside.any(),
            said,
            place=Place(table.label),
            **about,
        )
        wanted = wanted & inside[:, np.newaxis]
    outside = wanted & ((values < RADII[0]) | (values > RADII[1]))
    at = np.unravel_index(int(np.argmax(outside)), outside.shape)
    place = (
        Place(table.label, float(offset[at[1]]), float(energy[at[0]]))
        if outside.any()
        else Place(table.label)
    )
    detail = (
        f"{values[at]:.3g} deg, expected {RADII[0]:g} to {RADII[1]:g} deg"
        if outside.any()
        else f"up to {values.max():.3g} deg"
    )
    v.check(f"{table.label}: range", not outside.any(), detail, place=place, **about)
