"""
Checks of the effective area: that of Cherenkov telescopes, at every offset; and where it says that a response
is good.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .findings import IMPLAUSIBLE, Place, Verdict
from .keywords import number
from .tables import Component

#: m2: no array is larger than 100 km2, none is of use below 1000 m2 at its best energy
LARGEST, SMALLEST_PEAK = 1e8, 1e3
#: between LO_THRES and HI_THRES: where the area exceeds this part of its largest value there at that offset
SAFE_PART = 0.02
#: from one offset to the next: area grows by no more than this, and falls by no more (odd and wrong beyond
#: the first and the second)
GROWS, FALLS = (1.3, 5.0), 0.03
#: a bin beside its neighbours in energy: factor to their geometric mean
STANDS_OUT = 10.0
#: the area at the lowest energies with any beside that at the highest, if it is largest at the low end
REVERSED = 3.0


def safe_bins(area: Component) -> NDArray[np.bool_]:
    """
    Where a response is to be judged: between the thresholds, and where there is area at that offset.

    Returns
    -------
    ndarray, shape (n_energies, n_offsets)
    """
    values, energy = area.data, area.centers("ENERG")
    low, high = number(area.header, "LO_THRES"), number(area.header, "HI_THRES")
    # bins that a threshold cuts are judged by their centre
    inside = np.ones(energy.size, dtype=bool)
    if low is not None:
        inside &= energy >= low * 0.999
    if high is not None and high > 0:
        inside &= energy <= high * 1.001
    # of the largest area between the thresholds: they may end far below the energies where most area is
    peak = np.where(inside[:, np.newaxis], values, 0).max(axis=0)
    return (values >= SAFE_PART * peak) & (values > 0) & inside[:, np.newaxis]


def check_area(v: Verdict, area: Component, safe: NDArray[np.bool_]) -> None:
    """Check the sizes, the change with offset and with energy."""
    values, label = area.data, area.label
    about: dict[str, Any] = {"severity": IMPLAUSIBLE, "paragraph": area.form.paragraph}
    top = np.unravel_index(int(np.argmax(values)), values.shape)
    v.check(
        f"{label}: range",
        SMALLEST_PEAK <= values.max() <= LARGEST,
        f"largest {values.max():.3g} m2, expected {SMALLEST_PEAK:g} to {LARGEST:g} m2",
        place=area.place(top),
        **about,
    )
    if not values.any():
        return
    v.check(f"{label}: safe range", safe.any(), _range(area, safe), place=Place(label), **about)
    _check_empty(v, area, about)
    _check_steps(v, area, safe, about)
    _check_energies(v, area, safe, about)


def _range(area: Component, safe: NDArray[np.bool_]) -> str:
    rows = np.flatnonzero(safe.any(axis=1))
    edges = area.edges("ENERG")
    if not rows.size:
        return "no energy between LO_THRES and HI_THRES has any area"
    return f"{edges[rows[0]]:.3g} to {edges[rows[-1] + 1]:.3g} TeV"


def _check_empty(v: Verdict, area: Component, about: dict[str, Any]) -> None:
    """Offsets without area: an end of the field of view is told, a hole is wrong."""
    filled = area.data.any(axis=0)
    offsets = area.centers("THETA")
    last = int(np.flatnonzero(filled)[-1])
    holes = np.flatnonzero(~filled[:last])
    where = Place(area.label, float(offsets[holes[0]])) if holes.size else Place(area.label)
    v.check(
        f"{area.label}: no hole in the field of view",
        not holes.size,
        "no area, but further out there is" if holes.size else "",
        place=where,
        **about,
    )
    if last + 1 < filled.size:
        v.remark(
            f"{area.label}: field of view",
            f"no area from {offsets[last + 1]:.3g} deg on; the table reaches "
            f"{area.edges('THETA')[-1]:.3g} deg",
            place=Place(area.label, float(offsets[last + 1])),
            **about,
        )


def _check_steps(v: Verdict, area: Component, safe: NDArray[np.bool_], about: dict[str, Any]) -> None:
    """Area falls off from the axis, and smoothly: the median over energies of each step."""
    values, offsets = area.data, area.centers("THETA")
    grades, words, where = [], [], []
    for i in range(values.shape[1] - 1):
        both = safe[:, i] & (values[:, i + 1] > 0)
        if both.sum() < 3:
            continue
        step = float(np.median(values[both, i + 1] / values[both, i]))
        grade = "bad" if step > GROWS[1] or step < FALLS else "odd" if step > GROWS[0] else "good"
        grades.append(grade)
        words.append(f"{step:.3g} times the area at {offsets[i]:.3g} deg")
        where.append(float(offsets[i + 1]))
    if not grades:
        return
    worst = max(range(len(grades)), key=lambda i: ("good", "odd", "bad").index(grades[i]))
    detail = "" if grades[worst] == "good" else f"{words[worst]}; it falls smoothly in a Cherenkov telescope"
    place = Place(area.label, None if grades[worst] == "good" else where[worst])
    v.judged(f"{area.label}: falls with offset", grades[worst], detail, place=place, **about)


def _check_energies(v: Verdict, area: Component, safe: NDArray[np.bool_], about: dict[str, Any]) -> None:
    """Area grows from the threshold, and no bin stands out of its neighbours."""
    values = area.data
    turned = None
    for i in range(values.shape[1]):
        filled = np.flatnonzero(values[:, i] > 0)
        if filled.size < 5:
            continue
        row = values[filled, i]
        if row[0] > REVERSED * row[-1] and np.argmax(row) < 0.2 * row.size:
            turned = i
            break
    detail = (
        ""
        if turned is None
        else "largest at the lowest energies: the threshold is missing, or energies are in reverse order"
    )
    place = Place(area.label) if turned is None else area.place((int(np.argmax(values[:, turned])), turned))
    v.check(f"{area.label}: grows from the threshold", turned is None, detail, place=place, **about)

    inner = safe[1:-1] & (values[:-2] > 0) & (values[2:] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(inner, values[1:-1] / np.sqrt(values[:-2] * values[2:]), 1.0)
    away = np.abs(np.log(np.maximum(ratio, 1e-30)))
    at = np.unravel_index(int(np.argmax(away)), away.shape) if away.size else (0, 0)
    smooth = not away.size or away[at] < np.log(STANDS_OUT)
    detail = "" if smooth else f"{ratio[at]:.3g} times the mean of the energies beside it"
    place = Place(area.label) if smooth else area.place((int(at[0]) + 1, int(at[1])))
    v.check(f"{area.label}: smooth in energy", smooth, detail, place=place, **about)
