"""Checks of the axes of one table: they rise without gaps, and hold what such an axis can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .findings import IMPLAUSIBLE, NOTE, VIOLATION, Place, Verdict
from .standard import ARRAYS, NORMALISED_DISPERSION, TITLES, Form

#: what an axis may hold: TeV, deg, a ratio of energies. Energies from 0.1 GeV to 100 PeV
LIMITS = {
    "ENERG": (1e-4, 1e5),
    "THETA": (0, 90),
    "RAD": (0, 180),
    "MIGRA": (0, np.inf),
    "DETX": (-90, 90),
    "DETY": (-90, 90),
}
#: GADF suggests that migration be covered in this range
MIGRATION = (0.2, 5.0)
#: no Cherenkov telescope sees further from its axis (deg)
FIELD = 15.0


def check_axes(
    v: Verdict, label: str, form: Form, axes: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> bool:
    """
    Check the axes of a table.

    Parameters
    ----------
    v : Verdict
    label : str
        Of the table.
    form : Form
    axes : dict
        Lower and upper ends, shape (n,) each, in the units of `standard.AXES`.

    Returns
    -------
    bool
        Whether values on these axes can be judged.
    """
    about: dict[str, Any] = {"place": Place(label), "paragraph": ARRAYS}
    odd, outside, wide = [], [], []
    for name, (low, high) in axes.items():
        if (
            low.shape != high.shape
            or not low.size
            or not (np.isfinite(low).all() and np.isfinite(high).all())
        ):
            odd.append(
                f"{name} has {low.size} lower and {high.size} upper ends, of which "
                f"{_infinite(low, high)} "
                "are not finite"
            )
            continue
        if nodes(low, high):
            if not np.all(np.diff(low) > 0):
                odd.append(f"{name}: nodes don't rise")
            else:
                v.remark(f"{label}: nodes", (f"{name} has nodes (LO = HI), no bins"), severity=NOTE, **about)
        elif not np.all(high > low):
            odd.append(f"{name}: bin {int(np.argmin(high > low)) + 1} has HI below or at LO")
        elif not np.allclose(low[1:], high[:-1], rtol=1e-4, atol=1e-9):
            odd.append(
                f"{name}: bins {int(np.argmax(~np.isclose(low[1:], high[:-1], rtol=1e-4, atol=1e-9))) + 1} "
                "and the next don't meet"
            )
        least, most = LIMITS[name]
        lowest, highest = float(low.min()), float(high.max())
        # an energy of 0 has no logarithm, all tools interpolate in it
        if lowest < least or highest > most:
            outside.append(f"{name} from {lowest:.4g} to {highest:.4g}, possible are {least:g} to {most:g}")
        elif name in {"THETA", "DETX", "DETY"} and max(highest, -lowest) > FIELD:
            wide.append(
                f"{name} reaches {max(highest, -lowest):.3g} deg: no Cherenkov telescope sees so "
                "far from "
                "its axis"
            )
    sound = v.check(
        (f"{label}: axes rise without gaps"), not odd, "; ".join(odd), severity=VIOLATION, **about
    )
    sound &= v.check(
        (f"{label}: axes hold possible values"),
        not outside,
        "; ".join(outside),
        severity=IMPLAUSIBLE,
        **about,
    )
    for text in wide:
        v.remark(f"{label}: field of view", text, severity=IMPLAUSIBLE, **about)
    if sound and "MIGRA" in axes:
        low, high = axes["MIGRA"]
        v.check(
            f"{label}: migration axis holds 1",
            low[0] < 1 < high[-1],
            f"from {low[0]:.3g} to {high[-1]:.3g}",
            severity=IMPLAUSIBLE,
            **about,
        )
        if low[0] > MIGRATION[0] * 1.001 or high[-1] < MIGRATION[1] * 0.999:
            text = (
                f"from {low[0]:.3g} to {high[-1]:.3g}; GADF suggests {MIGRATION[0]:g} to "
                f"{MIGRATION[1]:g} for the {TITLES[form.kind]}"
            )
            v.remark(
                f"{label}: migration axis",
                text,
                severity=NOTE,
                place=Place(label),
                paragraph=NORMALISED_DISPERSION,
            )
    return sound


def nodes(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """Whether an axis has nodes, as gammapy decides it."""
    return bool(np.allclose(high, low))


def _infinite(*arrays: NDArray[np.float64]) -> int:
    return int(sum((~np.isfinite(a)).sum() for a in arrays))
