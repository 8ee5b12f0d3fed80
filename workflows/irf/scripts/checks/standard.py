"""
What GADF 0.3 asks of a table of a response function: labels, axes in the recommended order, columns, units,
paragraph.

https://gamma-astro-data-formats.readthedocs.io/en/v0.3/irfs/index.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
from gammapy.irf import (
    PSF3D,
    Background2D,
    Background3D,
    EffectiveAreaTable2D,
    EnergyDependentMultiGaussPSF,
    EnergyDispersion2D,
    PSFKing,
    RadMax2D,
)

URL = "https://gamma-astro-data-formats.readthedocs.io/en/v0.3/"
HDUCLASS = f"{URL}general/hduclass.html"
ARRAYS = f"{URL}general/fits-arrays.html#bintable-hdu"
AXES_ORDER = f"{URL}irfs/irf_axes/index.html"
NORMALISED_DISPERSION = f"{URL}irfs/irf_components/index.html#energy-dispersion"
NORMALISED_PSF = f"{URL}irfs/irf_components/index.html#normalisation"
POINT_LIKE = f"{URL}irfs/point_like/index.html"
FULL_ENCLOSURE = f"{URL}irfs/full_enclosure/index.html"

#: unit of each axis; the names are the stems of the columns `_LO` and `_HI`
AXES = {"ENERG": u.TeV, "THETA": u.deg, "MIGRA": u.one, "RAD": u.deg, "DETX": u.deg, "DETY": u.deg}
#: names in older files -> those of the standard
FORMER_NAMES = {"ETRUE": "ENERG", "BGD": "BKG"}
VERSIONS = ("0.1", "0.2", "0.3")


@dataclass(frozen=True)
class Form:
    """One format: its labels, axes in the recommended order, columns with units, and gammapy's reader."""

    kind: str
    name: str
    axes: tuple[str, ...]
    columns: dict[str, u.UnitBase]
    reader: Any
    page: str

    @property
    def paragraph(self) -> str:
        """Where the standard describes it."""
        return f"{URL}irfs/{self.page}"


_SIGMAS = {f"SIGMA_{i}": u.deg for i in (1, 2, 3)}
_FULL = "full_enclosure/"
#: HDUCLAS4 -> form
FORMS = {
    form.name: form
    for form in (
        Form(
            "aeff",
            "AEFF_2D",
            ("ENERG", "THETA"),
            {"EFFAREA": u.m**2},
            EffectiveAreaTable2D,
            f"{_FULL}aeff/index.html#aeff-2d",
        ),
        Form(
            "edisp",
            "EDISP_2D",
            ("ENERG", "MIGRA", "THETA"),
            {"MATRIX": u.one},
            EnergyDispersion2D,
            f"{_FULL}edisp/index.html#edisp-2d",
        ),
        Form(
            "psf",
            "PSF_TABLE",
            ("ENERG", "THETA", "RAD"),
            {"RPSF": u.sr**-1},
            PSF3D,
            f"{_FULL}psf/psf_table/index.html",
        ),
        Form(
            "psf",
            "PSF_3GAUSS",
            ("ENERG", "THETA"),
            {"SCALE": u.sr**-1, **_SIGMAS, "AMPL_2": u.one, "AMPL_3": u.one},
            EnergyDependentMultiGaussPSF,
            f"{_FULL}psf/psf_3gauss/index.html",
        ),
        Form(
            "psf",
            "PSF_KING",
            ("ENERG", "THETA"),
            {"GAMMA": u.one, "SIGMA": u.deg},
            PSFKing,
            f"{_FULL}psf/psf_king/index.html",
        ),
        Form(
            "bkg",
            "BKG_2D",
            ("ENERG", "THETA"),
            {"BKG": u.Unit("s-1 MeV-1 sr-1")},
            Background2D,
            f"{_FULL}bkg/index.html#bkg-2d",
        ),
        Form(
            "bkg",
            "BKG_3D",
            ("ENERG", "DETX", "DETY"),
            {"BKG": u.Unit("s-1 MeV-1 sr-1")},
            Background3D,
            f"{_FULL}bkg/index.html#bkg-3d",
        ),
        Form(
            "rad_max",
            "RAD_MAX_2D",
            ("ENERG", "THETA"),
            {"RAD_MAX": u.deg},
            RadMax2D,
            "point_like/index.html#rad-max-2d",
        ),
    )
}
#: HDUCLAS2 -> kind. The table of HDU classes says RPSF, the paragraphs of the formats say PSF
KINDS = {
    "EFF_AREA": "aeff",
    "EDISP": "edisp",
    "PSF": "psf",
    "RPSF": "psf",
    "BKG": "bkg",
    "RAD_MAX": "rad_max",
}
TITLES = {
    "aeff": "effective area",
    "edisp": "energy dispersion",
    "psf": "PSF",
    "bkg": "background",
    "rad_max": "RAD_MAX",
}


def current(column: str) -> str:
    """Name of the standard for a column of an older file."""
    stem, _, end = column.rpartition("_")
    return (
        f"{FORMER_NAMES[stem]}_{end}"
        if end in {"LO", "HI"} and stem in FORMER_NAMES
        else FORMER_NAMES.get(column, column)
    )


def form_of(columns: set[str]) -> Form | None:
    """The form whose values and axes, but for one, a table has, whatever its labels say."""
    names = {current(c) for c in columns}
    found = {
        f.name: sum(f"{a}_LO" in names for a in f.axes) for f in FORMS.values() if set(f.columns) <= names
    }
    fits = [n for n, axes in found.items() if axes >= max(len(FORMS[n].axes) - 1, 1)]
    # BKG_2D and BKG_3D have the same values: the one that lacks fewer axes
    best = max(fits, key=lambda n: (found[n] - len(FORMS[n].axes), found[n]), default=None)
    return FORMS[best] if best else None
