"""
Checks of the energy dispersion: normalised, near the true energy, better at high energies, and there where
the area is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import check_covered, wanted_bins
from .findings import IMPLAUSIBLE, VIOLATION, Place, Verdict
from .standard import NORMALISED_DISPERSION
from .tables import Component

#: deviation of an integral from one
NORMALISATION = 0.05
#: of the mean reconstructed energy: told beyond; a whole offset off by a factor 2 in the middle is wrong
BIAS, WHOLE_BIAS = 0.25, 2.0
#: width in the highest third of energies in units of that in the lowest: told beyond. Published responses
#: reach 1.8 (MAGIC)
WORSENS = 1.9
#: the same for the mean of reconstructed over true energy: at the threshold fluctuations upward are selected,
#: so that it falls
RISES = 0.15


def check_dispersion(
    v: Verdict, edisp: Component, areas: Sequence[Component], safe: Mapping[str, NDArray[np.bool_]]
) -> None:
    """Check an energy dispersion where the effective area is good, everywhere if there is none."""
    # (energy, migra, offset)
    matrix, width, migra = edisp.data, edisp.widths("MIGRA"), edisp.centers("MIGRA")
    total = np.einsum("emo,m->eo", matrix, width)
    filled = total > 0
    judged = filled & wanted_bins(edisp, areas, safe) if areas else filled
    check_covered(v, edisp, filled, areas, safe)
    v.check(
        f"{edisp.label}: has values",
        judged.any(),
        "" if judged.any() else "none where there is effective area",
        severity=IMPLAUSIBLE,
        place=Place(edisp.label),
        paragraph=NORMALISED_DISPERSION,
    )
    if not judged.any():
        return
    _check_normalisation(v, edisp, total, matrix.sum(axis=1), judged)
    norm = np.where(filled, total, 1.0)
    mean = np.einsum("emo,m->eo", matrix, width * migra) / norm
    square = np.einsum("emo,m->eo", matrix, width * migra**2) / norm
    _check_bias(v, edisp, mean, judged)
    spread = np.sqrt(np.maximum(square - mean**2, 0)) / np.where(mean > 0, mean, 1.0)
    check_trend(v, edisp, spread, judged)
    _check_selection(v, edisp, mean, judged)


def _place(c: Component, index: tuple[Any, ...]) -> Place:
    return Place(c.label, float(c.centers("THETA")[index[1]]), float(c.centers("ENERG")[index[0]]))


def _check_normalisation(
    v: Verdict,
    edisp: Component,
    total: NDArray[np.float64],
    plain: NDArray[np.float64],
    judged: NDArray[np.bool_],
) -> None:
    name, about = f"{edisp.label}: normalised", {"severity": VIOLATION, "paragraph": NORMALISED_DISPERSION}
    away = np.where(judged, np.abs(total - 1), 0)
    at = np.unravel_index(int(np.argmax(away)), away.shape)
    if away[at] < NORMALISATION:
        v.check(name, True, f"largest deviation {away[at]:.2g}", place=Place(edisp.label), **about)
        return
    width = edisp.widths("MIGRA")
    per_bin = np.abs(plain[judged] - 1).max() < NORMALISATION
    # with unequal bins the shape is another, not only the size
    if per_bin and np.allclose(width, width[0], rtol=0.02):
        # so in CTA prod5 and FACT; gammapy's makers normalise each row
        text = (
            "values are probabilities of each migration bin (their sum is 1, their integral the bin width "
            f"{np.median(width):.3g}); the "
            "standard asks for a density. Tools that normalise each energy, as gammapy does, read it right"
        )
        v.check(name, True, text, place=Place(edisp.label), **about)
        v.remark(name, text, place=Place(edisp.label), **about)
        return
    what = "; values are probabilities of each bin, and the bins are not equal" if per_bin else ""
    v.check(
        name,
        False,
        f"integral {total[at]:.3g} over migration, 1 is asked{what}",
        place=_place(edisp, at),
        **about,
    )


def _check_bias(v: Verdict, edisp: Component, mean: NDArray[np.float64], judged: NDArray[np.bool_]) -> None:
    about: dict[str, Any] = {"severity": IMPLAUSIBLE, "paragraph": NORMALISED_DISPERSION}
    log = np.where(judged, np.log(np.where(mean > 0, mean, 1)), 0)
    middles = [
        float(np.exp(np.median(log[judged[:, j], j]))) if judged[:, j].any() else 1.0
        for j in range(mean.shape[1])
    ]
    worst = int(np.argmax(np.abs(np.log(middles))))
    good = 1 / WHOLE_BIAS < middles[worst] < WHOLE_BIAS
    place = Place(edisp.label) if good else Place(edisp.label, float(edisp.centers("THETA")[worst]))
    v.check(
        f"{edisp.label}: energy scale",
        good,
        f"reconstructed energies are {middles[worst]:.3g} times the true ones in the median",
        place=place,
        **about,
    )
    off = np.where(judged, np.abs(mean - 1), 0)
    at = np.unravel_index(int(np.argmax(off)), off.shape)
    if off[at] > BIAS:
        share = (off[judged] > BIAS).mean()
        text = f"mean energy {mean[at] - 1:+.0%} off; {share:.0%} of the bins with area are beyond {BIAS:.0%}"
        v.remark(f"{edisp.label}: bias", text, place=_place(edisp, at), **about)


def _check_selection(
    v: Verdict, edisp: Component, mean: NDArray[np.float64], judged: NDArray[np.bool_]
) -> None:
    """The bias falls with energy: only showers that look brighter pass at the threshold."""
    steps = [high - low for low, high in _thirds(mean, judged)]
    step = float(np.median(steps)) if steps else 0.0
    detail = f"mean energy {step:+.2f} from the lowest to the highest third of energies" + (
        "; in reverse order?" if step > RISES else ""
    )
    v.judged(
        f"{edisp.label}: bias falls with energy",
        "odd" if step > RISES else "good",
        detail,
        place=Place(edisp.label),
        paragraph=edisp.form.paragraph,
    )


def check_trend(v: Verdict, c: Component, size: NDArray[np.float64], judged: NDArray[np.bool_]) -> None:
    """
    Tell if a resolution grows with energy at most offsets: all telescopes see more light from more energy.

    Parameters
    ----------
    v : Verdict
    c : Component
    size : ndarray, shape (n_energies, n_offsets)
        Width or radius.
    judged : ndarray of bool, same shape
    """
    grows = [high / low for low, high in _thirds(size, judged & (size > 0))]
    middle = float(np.median(grows)) if grows else 1.0
    detail = (
        f"in the highest third of energies {middle:.3g} times that in the lowest"
        if grows
        else "too few energies to tell"
    )
    detail += "; in reverse order?" if middle > WORSENS else ""
    v.judged(
        f"{c.label}: resolution improves with energy",
        "odd" if middle > WORSENS else "good",
        detail,
        place=Place(c.label),
        paragraph=c.form.paragraph,
    )


def _thirds(values: NDArray[np.float64], judged: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Medians in the lowest and the highest third of the energies, for each offset with six at least."""
    rows = [values[judged[:, j], j] for j in range(values.shape[1])]
    return [
        (float(np.median(r[: r.size // 3])), float(np.median(r[-(r.size // 3) :])))
        for r in rows
        if r.size >= 6
    ]
