"""
Checks of all tables of a response together: which there are, that their labels agree, and that each covers
where the area is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from .findings import IMPLAUSIBLE, NOTE, STATISTICS, VIOLATION, Place, Verdict
from .keywords import THRESHOLDS, number, text
from .standard import FULL_ENCLOSURE, HDUCLASS, KINDS, POINT_LIKE, TITLES, URL, Form
from .tables import Component

Header = tuple[str, fits.Header, Form | None]
#: part of the bins, where the area is good, that may lack in another table before it is wrong
LACKING = 0.05


@dataclass(frozen=True)
class Expected:
    """What the analysis that the response is for asks of it; None asks nothing."""

    kind: str | None = None
    telescope: str | None = None


def kind_of(header: fits.Header, form: Form | None) -> str | None:
    """Kind of a table by its columns, or by its label if the columns are not known."""
    return form.kind if form else KINDS.get(text(header, "HDUCLAS2"))


def check_parts(v: Verdict, headers: Sequence[Header]) -> dict[str, Any]:
    """Which components there are, and whether all are of one kind."""
    classes = Counter(text(h, "HDUCLAS3") for _, h, f in headers if kind_of(h, f) not in {"bkg", None})
    known = [c for c in ("FULL-ENCLOSURE", "POINT-LIKE") if classes[c]]
    by_class = {c: ", ".join(name for name, h, f in headers if text(h, "HDUCLAS3") == c) for c in known}
    v.check(
        "one kind of response",
        len(known) < 2,
        "; ".join(f"{c}: {names}" for c, names in by_class.items())
        if len(known) > 1
        else "".join(known) or "HDUCLAS3 tells none",
        paragraph=HDUCLASS,
    )
    point_like = "POINT-LIKE" in known
    present = {kind_of(h, f) for _, h, f in headers} - {None}
    needed = ["aeff", "edisp", *([] if point_like else ["psf"])]
    absent = [k for k in needed if k not in present]
    titles = ", ".join(TITLES[k] for k in TITLES if k in present)
    v.check(
        "components",
        not absent,
        f"missing: {', '.join(TITLES[k] for k in absent)}" if absent else titles,
        paragraph=f"{URL}irfs/index.html",
    )
    optional = []
    if "bkg" not in present:
        optional.append("bkg")
        v.remark(
            "components",
            "no BKG table: background models can't be made",
            severity=NOTE,
            paragraph=f"{URL}irfs/index.html",
        )
        v.warnings.append("no BKG table: background models can't be made")
    if point_like:
        cut = "rad_max" in present or any("RAD_MAX" in h for _, h, _ in headers)
        v.check(
            "direction cut",
            cut,
            "" if cut else "POINT-LIKE, but neither a table nor a keyword RAD_MAX says the direction cut",
            paragraph=POINT_LIKE,
        )
        optional += [] if cut else ["rad_max"]
    repeated = [
        f"{n} tables of the {TITLES[k]}"
        for k, n in Counter(kind_of(h, f) for _, h, f in headers).items()
        if n > 1 and k
    ]
    if repeated:
        v.remark(
            "components",
            f"{', '.join(repeated)}: gammapy takes the first of a file; all are judged",
            severity=NOTE,
        )
    kind = "point-like" if point_like else "full-enclosure" if known else None
    return {"kind": kind, "present": sorted(p for p in present if p), "missing": absent + optional}


def check_expected(v: Verdict, kind: str | None, headers: Sequence[Header], expected: Expected) -> None:
    """What the analysis asks: the kind of response, the telescope."""
    if expected.kind and kind:
        radius = next((number(h, "RAD_MAX") for _, h, _ in headers if number(h, "RAD_MAX") is not None), None)
        within = f" within {radius:.3g} deg" if radius is not None else ""
        words = {
            (
                "full-enclosure",
                "point-like",
            ): f"this response is for a point source: only gammas{within} of it are in its effective area, "
            "so that a full-enclosure analysis would lose the others; give an IRF with HDUCLAS3 = "
            "FULL-ENCLOSURE, or analyse on regions",
            (
                "point-like",
                "full-enclosure",
            ): "this response is for the full field of view: no direction cut is in its effective area, so "
            "that a point-like analysis would expect too many gammas in its on region; give an IRF with "
            "HDUCLAS3 = POINT-LIKE",
        }
        fits_it = expected.kind == kind
        detail = kind if fits_it else words[expected.kind, kind]
        v.check(
            "fits the analysis",
            fits_it,
            detail,
            paragraph=POINT_LIKE if kind == "point-like" else FULL_ENCLOSURE,
        )
    if expected.telescope:
        given = sorted({text(h, "TELESCOP") for _, h, _ in headers if text(h, "TELESCOP")})
        good = [g.casefold() for g in given] == [expected.telescope.casefold()]
        said = f"TELESCOP is {', '.join(given) or 'not given'}"
        detail = said if good else f"{said}: this response is not one of {expected.telescope}"
        v.check("of the telescope", good, detail, severity=IMPLAUSIBLE)


def check_agreement(v: Verdict, headers: Sequence[Header], components: Sequence[Component]) -> None:
    """Keywords of several tables that contradict each other."""
    for key in ("TELESCOP", "INSTRUME", "OBS_ID"):
        given = {str(h[key]).strip(): label for label, h, _ in headers if text(h, key)}
        if len(given) > 1:
            said = "; ".join(f"{value} in {label}" for value, label in given.items())
            v.remark(
                f"keyword {key}",
                f"tables of one response contradict each other: {said}",
                severity=VIOLATION,
                paragraph=HDUCLASS,
            )
    for key in THRESHOLDS:
        found = {label: number(h, key) for label, h, _ in headers if number(h, key) is not None}
        areas = {found[label] for label, h, f in headers if label in found and kind_of(h, f) == "aeff"}
        # several areas may have thresholds of their own; those of other tables must be among them
        if areas and set(found.values()) - areas:
            said = ", ".join(f"{value:g} TeV in {label}" for label, value in found.items())
            v.remark(
                f"keyword {key}",
                f"tables contradict each other, that of the effective area counts: {said}",
                severity=VIOLATION,
                paragraph=f"{URL}irfs/full_enclosure/aeff/index.html#aeff-2d",
            )
    radii = {label: number(h, "RAD_MAX") for label, h, _ in headers if number(h, "RAD_MAX") is not None}
    values = [r for r in radii.values() if r is not None]
    if values:
        said = ", ".join(f"{value:g} deg in {label}" for label, value in radii.items())
        v.check(
            "keyword RAD_MAX",
            np.allclose(values, values[0], rtol=1e-3),
            f"direction cuts: {said}",
            paragraph=POINT_LIKE,
        )
        if any(c.kind == "rad_max" for c in components):
            v.remark(
                "keyword RAD_MAX",
                (
                    "given beside a table RAD_MAX: the keyword says that the cut is constant, the table that "
                    "it is not"
                ),
                severity=VIOLATION,
                paragraph=POINT_LIKE,
            )


def wanted_bins(
    component: Component, areas: Sequence[Component], safe: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """
    Energies and offsets of a table where some effective area is good.

    Returns
    -------
    ndarray, shape (n_energies, n_offsets)
        On the centres of the table's axes.
    """
    energy, offset = component.centers("ENERG"), component.centers("THETA")
    wanted = np.zeros((energy.size, offset.size), dtype=bool)
    for area in areas:
        i, inside = _nearest(area.edges("ENERG"), energy)
        j, within = _nearest(area.edges("THETA"), offset)
        wanted |= safe[area.label][np.ix_(i, j)] & inside[:, np.newaxis] & within
    return wanted


def _nearest(
    edges: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    index = np.searchsorted(edges, at, side="right") - 1
    return np.clip(index, 0, edges.size - 2), (at >= edges[0]) & (at <= edges[-1])


def check_covered(
    v: Verdict,
    component: Component,
    filled: NDArray[np.bool_],
    areas: Sequence[Component],
    safe: Mapping[str, NDArray[np.bool_]],
) -> None:
    """
    Whether a table reaches, and has values, where the area is good.

    Parameters
    ----------
    v : Verdict
    component : Component
        Energy dispersion or PSF.
    filled : ndarray, shape (n_energies, n_offsets)
        Where it has values.
    areas, safe
        Effective areas, and where each is good.
    """
    about: dict[str, Any] = {"severity": IMPLAUSIBLE, "paragraph": component.form.paragraph}
    if not areas or not any(s.any() for s in safe.values()):
        return
    _check_reach(v, component, areas, safe, about)
    wanted = wanted_bins(component, areas, safe)
    if not wanted.any():
        return
    empty = wanted & ~filled
    energies, offsets = component.centers("ENERG"), component.centers("THETA")
    whole = (empty.sum(axis=0) == wanted.sum(axis=0)) & (wanted.sum(axis=0) > 2)
    # an energy that is empty at all offsets of several is no accident of statistics
    rows = (empty.sum(axis=1) == wanted.sum(axis=1)) & (wanted.sum(axis=1) > 1)
    share = empty.sum() / wanted.sum()
    first = np.unravel_index(int(np.argmax(empty)), empty.shape)
    place = Place(component.label)
    if whole.any():
        detail = "no values at an offset where there is effective area"
        place = Place(component.label, float(offsets[np.argmax(whole)]))
    elif rows.any():
        detail = "no values at an energy where there is effective area"
        place = Place(component.label, energy=float(energies[np.argmax(rows)]))
    else:
        detail = f"no values in {share:.1%} of the bins where there is effective area" if empty.any() else ""
        place = (
            Place(component.label, float(offsets[first[1]]), float(energies[first[0]]))
            if empty.any()
            else place
        )
    bad = bool(whole.any() or rows.any() or share > LACKING)
    name = f"{component.label}: filled where there is area"
    v.check(name, not bad, detail, place=place, **about)
    if empty.any() and not bad:
        v.remark(name, detail, severity=STATISTICS, place=place, paragraph=component.form.paragraph)


def _check_reach(
    v: Verdict,
    c: Component,
    areas: Sequence[Component],
    safe: Mapping[str, NDArray[np.bool_]],
    about: dict[str, Any],
) -> None:
    """Part of the good bins of an area that lies on the table's axes; of several areas that with most."""
    shares, everywhere = [], []
    for area in areas:
        energy, offset = area.centers("ENERG"), area.centers("THETA")
        on = (energy >= c.edges("ENERG")[0] * 0.999) & (energy <= c.edges("ENERG")[-1] * 1.001)
        across = (offset >= c.edges("THETA")[0] - 1e-3) & (offset <= c.edges("THETA")[-1] + 1e-3)
        reached = on[:, np.newaxis] & across
        for parts, bins in ((shares, safe[area.label]), (everywhere, area.data > 0)):
            parts.append(float((bins & reached).sum() / bins.sum()) if bins.any() else 0.0)
    # thresholds may leave the little that two axes in different units share
    share = max(shares) if max(everywhere) >= 0.5 else min(max(shares), max(everywhere))
    edges, reach = c.edges("ENERG"), c.edges("THETA")
    said = (
        f"its axes, {edges[0]:.3g} to {edges[-1]:.3g} TeV and to {reach[-1]:.3g} deg, hold {share:.0%} "
        "of where there is effective area"
    )
    grade = "bad" if share < 0.5 else "odd" if share < 0.95 else "good"
    v.judged(f"{c.label}: axes overlap those of the area", grade, said, place=Place(c.label), **about)
