"""
Checks of the header of one table: labels, thresholds, RAD_MAX; each against the others and against what the
table holds.
"""

from __future__ import annotations

import re
from typing import Any

from astropy.io import fits

from .findings import NOTE, VIOLATION, Place, Verdict
from .standard import FORMS, HDUCLASS, KINDS, POINT_LIKE, TITLES, VERSIONS, Form

LABELS = ("HDUCLASS", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "HDUCLAS4")
THRESHOLDS = ("LO_THRES", "HI_THRES")
CLASSES3 = ("FULL-ENCLOSURE", "POINT-LIKE")


def text(header: fits.Header, key: str) -> str:
    """A keyword as text without blanks at its ends; empty if it is missing."""
    return str(header.get(key, "")).strip()


def number(header: fits.Header, key: str) -> float | None:
    """A keyword that is a finite number, None if it is missing or something else."""
    value = header.get(key)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
    return float(value) if good else None  # type: ignore[arg-type]


def check_keywords(v: Verdict, label: str, header: fits.Header, form: Form) -> None:
    """
    Check the header of a table.

    Parameters
    ----------
    v : Verdict
    label : str
        Of the table.
    header : Header
    form : Form
        What the table is by its columns.
    """
    about: dict[str, Any] = {"severity": VIOLATION, "place": Place(label), "paragraph": HDUCLASS}
    missing = [k for k in LABELS if not text(header, k)]
    v.check(
        f"{label}: GADF keywords", not missing, f"missing: {', '.join(missing)}" if missing else "", **about
    )
    absent = [k for k in ("HDUDOC", "HDUVERS") if not text(header, k)]
    if absent:
        v.remark(f"{label}: GADF keywords", f"missing: {', '.join(absent)}", **about)

    wrong = _wrong_labels(header, form)
    v.check(f"{label}: labels", not wrong, "; ".join(wrong), **about)
    version = text(header, "HDUVERS")
    if version and version not in VERSIONS:
        known = f"HDUVERS is {version!r}, known are {', '.join(VERSIONS)}"
        if re.fullmatch(r"\d+\.\d+", version):
            v.remark(f"{label}: version", f"{known}: judged as 0.3", **about)
        else:
            v.check(f"{label}: version", False, known, **about)
    elif version and version != VERSIONS[-1]:
        v.remark(
            f"{label}: version",
            f"HDUVERS is {version}: judged by 0.3",
            severity=NOTE,
            place=Place(label),
            paragraph=HDUCLASS,
        )
    _check_thresholds(v, label, header)
    _check_radius(v, label, header)


def _wrong_labels(header: fits.Header, form: Form) -> list[str]:
    wrong = []
    if text(header, "HDUCLASS") not in {"", "GADF"}:
        wrong.append(f"HDUCLASS is {text(header, 'HDUCLASS')!r}, GADF is expected")
    if text(header, "HDUCLAS1") not in {"", "RESPONSE"}:
        wrong.append(f"HDUCLAS1 is {text(header, 'HDUCLAS1')!r}, RESPONSE is expected")
    kind = text(header, "HDUCLAS2")
    if kind and KINDS.get(kind) != form.kind:
        expected = " or ".join(k for k, known in KINDS.items() if known == form.kind)
        wrong.append(
            f"HDUCLAS2 is {kind!r}, but the columns are those of {form.name}: {expected} is expected"
        )
    if text(header, "HDUCLAS3") not in {"", *CLASSES3}:
        wrong.append(f"HDUCLAS3 is {text(header, 'HDUCLAS3')!r}, {' or '.join(CLASSES3)} is expected")
    if form.kind == "rad_max" and text(header, "HDUCLAS3") == "FULL-ENCLOSURE":
        wrong.append("HDUCLAS3 is FULL-ENCLOSURE, but only point-like responses have RAD_MAX")
    name = text(header, "HDUCLAS4")
    if name and name != form.name:
        known = "no format of GADF" if name not in FORMS else f"the {TITLES[FORMS[name].kind]} {name}"
        wrong.append(f"HDUCLAS4 is {name!r}, {known}; the columns are those of {form.name}")
    return wrong


def _check_thresholds(v: Verdict, label: str, header: fits.Header) -> None:
    given = {k: header[k] for k in THRESHOLDS if k in header}
    if not given:
        return
    wrong = [f"{k} is {value!r}, no number" for k, value in given.items() if number(header, k) is None]
    low, high = (number(header, k) for k in THRESHOLDS)
    wrong += [f"{k} is {number(header, k):g} TeV" for k in given if (number(header, k) or 0) < 0]
    if low is not None and high is not None and low >= high:
        wrong.append(f"LO_THRES {low:g} TeV is not below HI_THRES {high:g} TeV")
    v.check(
        f"{label}: thresholds",
        not wrong,
        "; ".join(wrong),
        place=Place(label),
        paragraph=FORMS["AEFF_2D"].paragraph,
    )


def _check_radius(v: Verdict, label: str, header: fits.Header) -> None:
    if "RAD_MAX" not in header:
        return
    about: dict[str, Any] = {"place": Place(label), "paragraph": POINT_LIKE}
    radius = number(header, "RAD_MAX")
    good = radius is not None and 0 < radius < 10
    v.check(
        f"{label}: keyword RAD_MAX",
        good,
        f"{header['RAD_MAX']!r} deg" + ("" if good else ", a radius is expected"),
        **about,
    )
    if good and isinstance(header["RAD_MAX"], int):
        v.remark(
            f"{label}: keyword RAD_MAX",
            "an integer; gammapy reads floating-point numbers only",
            severity=VIOLATION,
            **about,
        )
    if text(header, "HDUCLAS3") == "FULL-ENCLOSURE":
        said = "contradicts HDUCLAS3 = FULL-ENCLOSURE, where no direction cut is made"
        v.remark(f"{label}: keyword RAD_MAX", said, severity=VIOLATION, **about)
