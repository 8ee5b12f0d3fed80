"""
Checks of an IRF file after GADF 0.3: what it holds, units, values, normalisation. They ask nothing about who made it.

https://gamma-astro-data-formats.readthedocs.io/en/v0.3/irfs/index.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from gammapy.irf import load_irf_dict_from_file
from numpy.typing import NDArray

#: HDUCLAS2 -> our word for it, unit of its values; None: several columns with units of their own
COMPONENTS = {"EFF_AREA": "aeff", "EDISP": "edisp", "PSF": "psf", "RPSF": "psf", "BKG": "bkg", "RAD_MAX": "rad_max"}
VALUE = {"aeff": ("EFFAREA", u.m**2), "edisp": ("MATRIX", u.one), "psf": ("RPSF", u.sr**-1),
         "bkg": ("BKG", u.Unit("1 / (s MeV sr)")), "rad_max": ("RAD_MAX", u.deg)}  # fmt: skip
AXES = {"ENERG": u.TeV, "THETA": u.deg, "RAD": u.deg, "MIGRA": u.one, "DETX": u.deg, "DETY": u.deg}
KEYWORDS = ("HDUCLASS", "HDUDOC", "HDUVERS", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "HDUCLAS4")
#: m2; a file in cm2 under the label of m2, or the reverse, falls outside
AREA_RANGE = (1e3, 1e8)
#: events a second in the field of view
RATE_RANGE = (1e-4, 1e5)
NORMALISATION = 0.05
BIAS = 0.25
#: without LO_THRES and HI_THRES: where the area exceeds this part of its largest value
SAFE_PART = 0.02


@dataclass
class Verdict:
    """Checks made, warnings, and what could not be checked."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def check(self, name: str, passed: Any, detail: str = "") -> bool:
        """Note one check."""
        self.checks.append({"name": name, "passed": bool(passed), "detail": detail})
        return bool(passed)

    def document(self, **more: Any) -> dict[str, Any]:
        """The verdict as it is written: valid if there was a check and none failed."""
        valid = bool(self.checks) and all(c["passed"] for c in self.checks)
        return {"valid": valid, "checks": self.checks, "warnings": self.warnings, **more}


def unit_of(text: str | None) -> u.UnitBase | None:
    """Unit of a FITS column, None if it can't be read."""
    try:
        return u.Unit(text or "")
    except ValueError:
        return None


def components(path: str | Path) -> dict[str, list[fits.BinTableHDU]]:
    """Tables of a file that are response functions, by kind."""
    found: dict[str, list[fits.BinTableHDU]] = {}
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:]:
            kind = COMPONENTS.get(str(hdu.header.get("HDUCLAS2", "")).strip())
            if kind and str(hdu.header.get("HDUCLAS1", "")).strip() == "RESPONSE":
                hdu.data  # noqa: B018  read before the file closes
                found.setdefault(kind, []).append(hdu)
    return found


def axis(hdu: fits.BinTableHDU, name: str, unit: u.UnitBase) -> NDArray[np.float64]:
    """Edges of one axis of a table."""
    i = hdu.columns.names.index(f"{name}_LO")
    low, high = (np.asarray(hdu.data[f"{name}_{end}"][0], dtype=float).ravel() for end in ("LO", "HI"))
    return u.Quantity(np.append(low, high[-1:]), hdu.columns[i].unit or "").to_value(unit)


def values(hdu: fits.BinTableHDU, kind: str) -> NDArray[np.float64]:
    """Values of a table, in the unit of `VALUE`; axes in the order of FITS reversed (…, offset, energy)."""
    name, unit = VALUE[kind]
    column = hdu.columns[hdu.columns.names.index(name)]
    return u.Quantity(np.asarray(hdu.data[name][0], dtype=float), column.unit or "").to_value(unit)


def check_table(v: Verdict, kind: str, hdu: fits.BinTableHDU) -> bool:
    """Keywords, axes, units and finite values of one table; False if nothing more can be asked of it."""
    label, names = hdu.name or kind, hdu.columns.names
    missing = [k for k in KEYWORDS if k not in hdu.header]
    v.check(f"{label}: GADF keywords", not missing, f"missing: {', '.join(missing)}" if missing else f"version {hdu.header.get('HDUVERS')}")
    wrong = []
    for column in hdu.columns:
        stem = column.name.rsplit("_", 1)[0]
        expected = VALUE[kind][1] if column.name == VALUE[kind][0] else AXES.get(stem) if column.name.endswith(("_LO", "_HI")) else None
        unit = unit_of(column.unit)
        if expected is not None and (unit is None or not unit.is_equivalent(expected)):
            wrong.append(f"{column.name} in {column.unit or 'no unit'}, expected {expected.to_string() or 'none'}")
    units = v.check(f"{label}: units", not wrong, "; ".join(wrong))
    bad = []
    for stem in {n[:-3] for n in names if n.endswith("_LO")}:
        low, high = (np.asarray(hdu.data[f"{stem}_{end}"][0], dtype=float).ravel() for end in ("LO", "HI"))
        if not (np.all(high > low) and np.allclose(low[1:], high[:-1], rtol=1e-4, atol=1e-9)):
            bad.append(stem)
    v.check(f"{label}: axes rise without gaps", not bad, ", ".join(sorted(bad)))
    numbers = [np.asarray(hdu.data[n][0], dtype=float) for n in names if not n.endswith(("_LO", "_HI"))]
    finite = v.check(
        f"{label}: finite", all(np.isfinite(x).all() for x in numbers), f"{sum((~np.isfinite(x)).sum() for x in numbers)} values are not"
    )
    v.check(
        f"{label}: not negative", all((x[np.isfinite(x)] >= 0).all() for x in numbers), f"{sum((x < 0).sum() for x in numbers)} values are"
    )
    return units and finite


def safe_range(hdu: fits.BinTableHDU) -> tuple[float, float]:
    """Energies (TeV) that LO_THRES and HI_THRES name, else those with area near the axis."""
    edges, area = axis(hdu, "ENERG", u.TeV), np.nan_to_num(values(hdu, "aeff"))[0]
    good = np.flatnonzero(area >= SAFE_PART * area.max())
    low, high = float(edges[good[0]]), float(edges[good[-1] + 1])
    return float(hdu.header.get("LO_THRES", low)), float(hdu.header.get("HI_THRES", high))


def check_area(v: Verdict, hdu: fits.BinTableHDU) -> None:
    """The area is that of a Cherenkov array and grows from threshold."""
    area = np.nan_to_num(values(hdu, "aeff"))[0]
    v.check(
        "effective area: range",
        AREA_RANGE[0] <= area.max() <= AREA_RANGE[1],
        f"largest {area.max():.3g} m2 near the axis, expected {AREA_RANGE[0]:g} to {AREA_RANGE[1]:g}",
    )
    low, high = safe_range(hdu)
    v.check("effective area: grows above threshold", area[-1] > area[0] or np.argmax(area) > 0, f"safe range {low:.3g} to {high:.3g} TeV")


def check_dispersion(v: Verdict, hdu: fits.BinTableHDU, energies: tuple[float, float]) -> None:
    """Each row integrates to one, and its mean is near the true energy."""
    matrix, migra = values(hdu, "edisp"), axis(hdu, "MIGRA", u.one)  # (offset, migra, energy)
    edges = axis(hdu, "ENERG", u.TeV)
    total = np.einsum("ome,m->oe", matrix, np.diff(migra))
    filled = total > 0
    worst = np.abs(total[filled] - 1).max(initial=0)
    v.check(
        "energy dispersion: normalised",
        filled.any() and worst < NORMALISATION,
        f"{filled.mean():.0%} of the rows filled, largest deviation {worst:.2g}",
    )
    safe = (edges[:-1] >= energies[0] * 0.999) & (edges[1:] <= energies[1] * 1.001) & filled[0]
    mean = np.einsum("me,m->e", matrix[0], np.diff(migra) * 0.5 * (migra[1:] + migra[:-1])) / np.where(total[0] > 0, total[0], 1)
    bias = np.abs(mean[safe] - 1).max(initial=0)
    v.check("energy dispersion: bias", bias < BIAS, f"largest {bias:.1%} in the safe range")


def check_psf_table(v: Verdict, hdu: fits.BinTableHDU) -> None:
    """A tabulated PSF integrates to one over solid angle."""
    density, rad = values(hdu, "psf"), axis(hdu, "RAD", u.rad)  # (rad, offset, energy)
    total = np.einsum("roe,r->oe", density, 2 * np.pi * -np.diff(np.cos(rad)))
    filled = total > 0
    worst = np.abs(total[filled] - 1).max(initial=0)
    v.check(
        "PSF: normalised", filled.any() and worst < NORMALISATION, f"{filled.mean():.0%} of the rows filled, largest deviation {worst:.2g}"
    )


def check_containment(v: Verdict, psf: Any, energies: tuple[float, float]) -> None:
    """Containment rises to one with the radius, for any kind of PSF, as gammapy reads it."""
    rad, offset = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8] * u.deg, psf.axes["offset"].center[0]
    rows = [
        psf.containment(rad=rad, energy_true=e * u.TeV, offset=offset).value.ravel()
        for e in np.geomspace(energies[0] * 1.3, energies[1] / 1.3, 6)
    ]
    falls, last = min(np.diff(r).min() for r in rows), [r[-1] for r in rows]
    v.check("PSF: containment rises", falls > -1e-3, f"smallest step {falls:.2g}")
    v.check("PSF: containment reaches one", min(last) > 0.9 and max(last) < 1.02, f"{min(last):.3f} to {max(last):.3f} at {rad[-1]:g}")


def check_background(v: Verdict, hdu: fits.BinTableHDU) -> None:
    """The rate over the field of view is that of a Cherenkov array."""
    rate, energy = values(hdu, "bkg"), np.diff(axis(hdu, "ENERG", u.MeV))
    if "THETA_LO" in hdu.columns.names:
        solid = 2 * np.pi * -np.diff(np.cos(axis(hdu, "THETA", u.rad)))
        total = np.einsum("oe,o,e->", rate, solid, energy)
    else:
        total = np.einsum("yxe,y,x,e->", rate, np.diff(axis(hdu, "DETY", u.rad)), np.diff(axis(hdu, "DETX", u.rad)), energy)
    v.check("background: rate", RATE_RANGE[0] < total < RATE_RANGE[1], f"{total:.3g} / s in the field of view")


def check_file(v: Verdict, path: str | Path) -> Mapping[str, Any]:
    """
    All checks of one file.

    Parameters
    ----------
    v : Verdict
        Filled.
    path : path
        FITS, may be compressed.

    Returns
    -------
    mapping
        ``kind`` (full-enclosure, point-like or None), ``present`` and ``missing`` components.
    """
    try:
        tables = components(path)
    except (OSError, ValueError, TypeError) as error:
        v.check("opens as FITS", False, str(error))
        return {"kind": None, "present": [], "missing": []}
    try:
        loaded: Mapping[str, Any] = load_irf_dict_from_file(path)
        v.check("opens in gammapy", bool(loaded), ", ".join(sorted(loaded)))
    except Exception as error:
        loaded = {}
        v.check("opens in gammapy", False, f"{type(error).__name__}: {error}")
    classes = {str(h.header.get("HDUCLAS3", "")).strip() for k, hs in tables.items() for h in hs if k != "bkg"}
    point_like = "POINT-LIKE" in classes
    v.check("one kind of response", len(classes) == 1, ", ".join(sorted(classes)) or "no response function in the file")
    needed = ["aeff", "edisp", *([] if point_like else ["psf"])]
    absent = [k for k in needed if k not in tables]
    v.check("components", not absent, f"missing: {', '.join(absent)}" if absent else ", ".join(tables))
    optional = [k for k in ("bkg", *(["rad_max"] if point_like else [])) if k not in tables]
    v.warnings += [
        f"no {VALUE[k][0]} table: {'background models' if k == 'bkg' else 'energy-dependent on regions'} can't be made" for k in optional
    ]
    # first all tables, then the verdicts: `all` of a generator would stop at the first that fails
    judged = [(k, check_table(v, k, h)) for k, hs in tables.items() for h in hs]
    sound = {k: all(good for kind, good in judged if kind == k) for k in tables}
    energies = None
    if sound.get("aeff"):
        energies = safe_range(tables["aeff"][0])
        check_area(v, tables["aeff"][0])
    if sound.get("edisp") and energies:
        check_dispersion(v, tables["edisp"][0], energies)
    for hdu in tables.get("psf", []):
        if sound["psf"] and "RPSF" in hdu.columns.names:
            check_psf_table(v, hdu)
    if sound.get("psf") and "psf" in loaded and energies:
        check_containment(v, loaded["psf"], energies)
    if sound.get("bkg"):
        check_background(v, tables["bkg"][0])
    if sound.get("rad_max"):
        largest = values(tables["rad_max"][0], "rad_max").max()
        v.check("RAD_MAX: range", 0.005 < largest < 2, f"largest {largest:.3g} deg")
    return {
        "kind": "point-like" if point_like else "full-enclosure" if classes else None,
        "present": sorted(tables),
        "missing": absent + optional,
    }
