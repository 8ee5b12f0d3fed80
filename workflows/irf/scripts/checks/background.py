"""
Checks of the background rate: between what cosmic-ray electrons alone leave and what all cosmic rays could.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray
from pyirf.spectral import IRFDOC_ELECTRON_SPECTRUM, IRFDOC_PROTON_SPECTRUM

from .findings import IMPLAUSIBLE, STATISTICS, Place, Verdict
from .tables import Component

#: events a second in the field of view: odd beyond the inner range, wrong beyond the outer
RATES = ((1e-3, 1e3), (1e-5, 1e5))
#: rate per effective area, in units of the flux of electrons, which look like gammas and pass the same cuts,
#: and of protons. Reconstruction and the spectra are good to a factor 2
ELECTRONS, PROTONS = 0.3, 5.0
#: part of the energies with effective area that the table holds: wrong below the first, odd below the second
COVERED = (0.5, 0.9)
#: from one offset to the next the rate grows by no more than this
GROWS = 3.0


def check_background(
    v: Verdict, bkg: Component, areas: Sequence[Component], safe: Mapping[str, NDArray[np.bool_]]
) -> None:
    """Check a background, against the effective area if there is one."""
    energies, about = bkg.edges("ENERG", u.MeV), {"severity": IMPLAUSIBLE, "paragraph": bkg.form.paragraph}
    if bkg.form.name == "BKG_2D":
        solid = 2 * np.pi * -np.diff(np.cos(np.maximum(bkg.edges("THETA", u.rad), 0)))
        total = np.einsum("eo,o,e->", bkg.data, solid, np.diff(energies))
    else:
        total = np.einsum(
            "exy,x,y,e->",
            bkg.data,
            *(np.diff(bkg.edges(a, u.rad)) for a in ("DETX", "DETY")),
            np.diff(energies),
        )
    inner, outer = RATES
    grade = "good" if inner[0] <= total <= inner[1] else "odd" if outer[0] <= total <= outer[1] else "bad"
    v.judged(
        f"{bkg.label}: rate",
        grade,
        f"{total:.3g} / s in the field of view, expected {inner[0]:g} to {inner[1]:g} / s",
        place=Place(bkg.label),
        paragraph=bkg.form.paragraph,
    )
    if total > 0 and areas:
        shares = [_check_cosmic_rays(v, bkg, area, safe[area.label], about) for area in areas]
        low, high = bkg.edges("ENERG")[[0, -1]]
        said = f"{low:.3g} to {high:.3g} TeV hold {max(shares):.0%} of the energies with effective area"
        grade = "bad" if max(shares) < COVERED[0] else "odd" if max(shares) < COVERED[1] else "good"
        v.judged(f"{bkg.label}: axes overlap those of the area", grade, said, place=Place(bkg.label), **about)


def _profile(bkg: Component, edges: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Rates per energy and solid angle in rings between offsets, shape (n_energies, n_offsets); NaN outside of
    the table.
    """
    if bkg.form.name == "BKG_2D":
        offset, values = bkg.centers("THETA"), bkg.data
        inside = (centers >= bkg.edges("THETA")[0] - 1e-6) & (centers <= bkg.edges("THETA")[-1] + 1e-6)
        at = np.abs(offset[:, np.newaxis] - centers).argmin(axis=0)
        return np.where(inside, values[:, at], np.nan)
    x, y = bkg.centers("DETX"), bkg.centers("DETY")
    distance = np.hypot(x[:, np.newaxis], y)
    rings = [(distance >= max(low, 0)) & (distance < high) for low, high in itertools.pairwise(edges)]
    return np.stack(
        [bkg.data[:, ring].mean(axis=1) if ring.any() else np.full(len(bkg.data), np.nan) for ring in rings],
        axis=1,
    )


def _check_cosmic_rays(
    v: Verdict, bkg: Component, area: Component, safe: NDArray[np.bool_], about: dict[str, Any]
) -> float:
    """
    Rate over effective area is a flux: at least that of electrons, at most that of nuclei. Part of the area's
    energies on the table.
    """
    energy, offset = bkg.centers("ENERG"), area.centers("THETA")
    edges = area.edges("ENERG")
    at = np.clip(np.searchsorted(edges, energy, side="right") - 1, 0, edges.size - 2)
    on = (energy >= edges[0]) & (energy <= edges[-1])
    rate = _profile(bkg, area.edges("THETA"), offset)
    usable = safe[at] & on[:, np.newaxis] & np.isfinite(rate)
    good = area.centers("ENERG")[safe.any(axis=1)]
    share = (
        float(((good >= bkg.edges("ENERG")[0]) & (good <= bkg.edges("ENERG")[-1])).mean())
        if good.size
        else 0.0
    )
    if not usable.any():
        return 0.0
    _check_empty(v, bkg, rate, usable, offset)
    flux = np.where(usable, rate / np.where(area.data[at] > 0, area.data[at], 1), np.nan)
    unit = "1 / (MeV s m2 sr)"
    electrons, protons = (
        s(energy * u.TeV).to_value(unit)[:, np.newaxis]
        for s in (IRFDOC_ELECTRON_SPECTRUM, IRFDOC_PROTON_SPECTRUM)
    )
    low, high = flux / electrons, flux / protons
    counted = usable & (rate > 0)
    for j in range(offset.size):
        some = counted[:, j]
        if some.sum() < 2:
            continue
        least, most = float(np.median(low[some, j])), float(np.median(high[some, j]))
        if least < ELECTRONS or most > PROTONS:
            said = (
                f"{least:.2g} times what cosmic-ray electrons alone leave"
                if least < ELECTRONS
                else f"{most:.2g} times the flux of cosmic-ray protons"
            )
            v.check(
                f"{bkg.label}: rate of cosmic rays",
                False,
                f"{said}, for this effective area: a wrong unit or normalisation",
                place=Place(bkg.label, float(offset[j])),
                **about,
            )
            return share
    some = counted.any(axis=1)
    middle = float(np.nanmedian(np.where(counted, low, np.nan))) if some.any() else 0.0
    detail = f"{middle:.2g} times what cosmic-ray electrons alone leave"
    v.check(f"{bkg.label}: rate of cosmic rays", some.any(), detail, place=Place(bkg.label), **about)
    both = [(j, counted[:, j] & counted[:, j + 1]) for j in range(offset.size - 1)]
    steps = [float(np.median(rate[b, j + 1] / rate[b, j])) for j, b in both if b.sum() > 2]
    largest = max(steps, default=0.0)
    v.check(
        f"{bkg.label}: falls with offset",
        largest <= GROWS,
        f"changes by a factor of up to {largest:.3g} from one offset to the next",
        place=Place(bkg.label),
        **about,
    )
    return share


def _check_empty(
    v: Verdict,
    bkg: Component,
    rate: NDArray[np.float64],
    usable: NDArray[np.bool_],
    offset: NDArray[np.float64],
) -> None:
    empty = usable & ~(rate > 0)
    if empty.any():
        at = np.unravel_index(int(np.argmax(empty)), empty.shape)
        text = (
            f"no background in {empty.sum() / usable.sum():.1%} of the bins where there is effective "
            "area: too few events were left"
        )
        place = Place(bkg.label, float(offset[at[1]]), float(bkg.centers("ENERG")[at[0]]))
        v.remark(
            f"{bkg.label}: filled where there is area",
            text,
            severity=STATISTICS,
            place=place,
            paragraph=bkg.form.paragraph,
        )
