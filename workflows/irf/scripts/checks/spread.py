"""
Checks of the point spread function, of any form: normalised, of a telescope's size, better at high energies,
there where the area is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from .agreement import check_covered, wanted_bins
from .dispersion import check_trend
from .findings import IMPLAUSIBLE, VIOLATION, Place, Verdict
from .standard import NORMALISED_PSF
from .tables import Component

#: integral over the table; GADF allows that a table ends at 95 % containment, and recommends 99 %
INTEGRAL, RECOMMENDED = (0.9, 1.05), 0.97
#: 68 % radius, deg
RADII = (0.003, 2.0)
FRACTION = 0.68
#: radii (deg) at which forms without a table are integrated
GRID = np.geomspace(1e-4, 20, 200)


def check_spread(
    v: Verdict, psf: Component, areas: Sequence[Component], safe: Mapping[str, NDArray[np.bool_]]
) -> None:
    """Check a PSF where the effective area is good, everywhere if there is none."""
    if psf.form.name == "PSF_TABLE":
        radius, within = _of_table(psf)
    elif psf.form.name == "PSF_3GAUSS":
        radius, within = _of_gaussians(psf)
    else:
        radius, within = _of_king(psf)
    total = within[-1]
    filled = total > 0
    judged = filled & wanted_bins(psf, areas, safe) if areas else filled
    check_covered(v, psf, filled, areas, safe)
    about: dict[str, Any] = {"severity": IMPLAUSIBLE, "paragraph": NORMALISED_PSF}
    lacking = "" if judged.any() else "none where there is effective area"
    v.check(f"{psf.label}: has values", judged.any(), lacking, place=Place(psf.label), **about)
    if not judged.any():
        return
    _check_normalisation(v, psf, total, judged)
    share = within / np.where(filled, total, 1.0)
    falls = float(np.where(judged, np.diff(share, axis=0), 0).min(initial=0))
    v.check(
        f"{psf.label}: containment rises",
        falls > -1e-3,
        f"smallest step {falls:.2g}",
        place=Place(psf.label),
        **about,
    )
    # first radius that holds the fraction, between the two nearest
    r68 = np.zeros_like(total)
    for at in zip(*np.nonzero(judged), strict=True):
        r68[at] = np.interp(FRACTION, share[(slice(None), *at)], radius)
    _check_size(v, psf, r68, judged)
    check_trend(v, psf, r68, judged)


def _of_table(psf: Component) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Radii (deg), shape (n,), and the integral of the density within each, shape (n, n_energies, n_offsets).
    """
    edges = psf.edges("RAD", u.rad)
    rings = 2 * np.pi * -np.diff(np.cos(np.maximum(edges, 0)))
    parts = np.moveaxis(psf.data * rings, -1, 0)
    within = np.concatenate([np.zeros((1, *parts.shape[1:])), np.cumsum(parts, axis=0)])
    return np.degrees(edges), within


def _of_gaussians(psf: Component) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = psf.values
    amplitudes = (np.ones_like(x["SCALE"]), x["AMPL_2"], x["AMPL_3"])
    within = np.zeros((GRID.size, *x["SCALE"].shape))
    for i, amplitude in enumerate(amplitudes, 1):
        sigma = x[f"SIGMA_{i}"]
        weight = 2 * x["SCALE"] * amplitude * np.radians(sigma) ** 2
        inside = 1 - np.exp(-0.5 * (GRID[:, np.newaxis, np.newaxis] / np.where(sigma > 0, sigma, 1.0)) ** 2)
        within += weight * inside
    return GRID, within


def _of_king(psf: Component) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    gamma, sigma = psf.values["GAMMA"], psf.values["SIGMA"]
    # with gamma <= 1 the profile has no finite integral
    good = (gamma > 1) & (sigma > 0)
    g, s = np.where(good, gamma, 2.0), np.where(good, sigma, 1.0)
    radius = np.geomspace(1e-4, 180, 400)
    within = 1 - (1 + radius[:, np.newaxis, np.newaxis] ** 2 / (2 * g * s**2)) ** (1 - g)
    return radius, np.where(good, within, 0.0)


def _check_normalisation(
    v: Verdict, psf: Component, total: NDArray[np.float64], judged: NDArray[np.bool_]
) -> None:
    name, about = f"{psf.label}: normalised", {"severity": VIOLATION, "paragraph": NORMALISED_PSF}
    energy, offset = psf.centers("ENERG"), psf.centers("THETA")
    if psf.form.name == "PSF_KING":
        bad = (psf.values["SIGMA"] > 0) & ~(psf.values["GAMMA"] > 1)
        at = np.unravel_index(int(np.argmax(bad)), bad.shape)
        place = (
            Place(psf.label, float(offset[at[1]]), float(energy[at[0]])) if bad.any() else Place(psf.label)
        )
        detail = "GAMMA is not above 1: the profile has no finite integral" if bad.any() else "by its formula"
        v.check(name, not bad.any(), detail, place=place, **about)
        return
    away = np.where(judged, np.abs(np.log(np.where(total > 0, total, 1))), 0)
    at = np.unravel_index(int(np.argmax(away)), away.shape)
    place = Place(psf.label, float(offset[at[1]]), float(energy[at[0]]))
    good = INTEGRAL[0] <= total[at] <= INTEGRAL[1]
    if psf.form.name == "PSF_3GAUSS" and not good:
        text = (
            f"integral {total[at]:.3g}, 1 is asked: SCALE does not follow the formula of the standard. "
            "gammapy normalises the three "
            "Gaussians itself, so that only the shape counts"
        )
        v.check(name, True, text, place=place, **about)
        v.remark(name, text, place=place, **about)
        return
    v.check(
        name,
        good,
        f"integral {total[at]:.4g} over solid angle, 1 is asked",
        place=Place(psf.label) if good else place,
        **about,
    )
    if good and total[at] < RECOMMENDED:
        v.remark(name, f"the table holds {total[at]:.1%} only; GADF recommends 99 %", place=place, **about)


def _check_size(v: Verdict, psf: Component, r68: NDArray[np.float64], judged: NDArray[np.bool_]) -> None:
    sizes = r68[judged]
    outside = judged & ((r68 < RADII[0]) | (r68 > RADII[1]))
    at = np.unravel_index(int(np.argmax(outside)), outside.shape)
    place = (
        Place(psf.label, float(psf.centers("THETA")[at[1]]), float(psf.centers("ENERG")[at[0]]))
        if outside.any()
        else Place(psf.label)
    )
    v.check(
        f"{psf.label}: radius",
        not outside.any(),
        f"68 % within {sizes.min():.3g} to {sizes.max():.3g} deg, expected {RADII[0]:g} to {RADII[1]:g} deg",
        severity=IMPLAUSIBLE,
        place=place,
        paragraph=psf.form.paragraph,
    )
