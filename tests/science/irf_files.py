"""
Small response files of every layout that GADF 0.3 allows, of one invented telescope. Runs with the workflow's own Python.

Area rises steeply above 60 GeV and falls with offset; below 40 GeV there is none, and no dispersion or PSF. Resolutions improve with
energy, the background is five times the flux of cosmic-ray electrons.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from pyirf.spectral import IRFDOC_ELECTRON_SPECTRUM

ENERGY = np.geomspace(0.02, 100, 22)
OFFSET = np.array([0, 1, 2, 3, 4.0])
MIGRATION = np.linspace(0.2, 5, 97)
RADIUS = np.linspace(0, 1.5, 76)
FIELD = np.linspace(-4, 4, 9)
UNITS = {
    "ENERG": "TeV",
    "THETA": "deg",
    "MIGRA": "",
    "RAD": "deg",
    "DETX": "deg",
    "DETY": "deg",
    "ETRUE": "TeV",
}
TRUE = np.sqrt(ENERGY[:-1] * ENERGY[1:])[:, np.newaxis]
ANGLE = (0.5 * (OFFSET[:-1] + OFFSET[1:]))[np.newaxis]


def area() -> Any:
    """Effective area (m2), shape (n_energies, n_offsets)."""
    values = 3e5 * np.exp(-0.5 * (ANGLE / 2.5) ** 2) / (1 + (TRUE / 0.3) ** -3)
    return np.where(TRUE > 0.04, values, 0)


def sigma() -> Any:
    """Width of the PSF (deg), shape (n_energies, n_offsets); 0 where there is no area."""
    return np.where(area() > 0, (0.03 + 0.06 * (TRUE / 0.1) ** -0.4) * (1 + 0.1 * ANGLE), 0)


def matrix() -> Any:
    """Energy dispersion, shape (n_energies, n_migrations, n_offsets): log-normal, biased at the threshold."""
    x = np.log(0.5 * (MIGRATION[:-1] + MIGRATION[1:]))[np.newaxis, :, np.newaxis]
    true, angle = TRUE[:, np.newaxis], ANGLE[np.newaxis]
    width = (0.06 + 0.14 * (true / 0.1) ** -0.5) * (1 + 0.05 * angle)
    density = np.exp(-0.5 * ((x - 0.3 * np.exp(-true / 0.06)) / width) ** 2)
    density /= np.einsum("emo,m->eo", density, np.diff(MIGRATION))[:, np.newaxis]
    return np.where((area() > 0)[:, np.newaxis], density, 0)


def density() -> Any:
    """PSF (1/sr), shape (n_energies, n_offsets, n_radii)."""
    s = np.where(sigma() > 0, sigma(), 1)[..., np.newaxis]
    inside = 1 - np.exp(-0.5 * (RADIUS / s) ** 2)
    rings = 2 * np.pi * -np.diff(np.cos(np.radians(RADIUS)))
    return np.where((sigma() > 0)[..., np.newaxis], np.diff(inside, axis=-1) / rings / inside[..., -1:], 0)


def background(field: bool = False) -> Any:
    """Rate (1/(s MeV sr)), shape (n_energies, n_offsets) or (n_energies, n_lon, n_lat)."""
    electrons = IRFDOC_ELECTRON_SPECTRUM(TRUE[:, 0] * u.TeV).to_value("1 / (MeV s sr m2)")
    rate = 5 * electrons[:, np.newaxis] * area()
    if not field:
        return rate
    middle = 0.5 * (FIELD[:-1] + FIELD[1:])
    at = np.clip(np.searchsorted(OFFSET, np.hypot(middle[:, np.newaxis], middle)) - 1, 0, OFFSET.size - 2)
    return rate[:, at]


def table(
    name: str,
    axes: dict[str, Any],
    columns: dict[str, tuple[Any, str]],
    classes: Sequence[str],
    order: Sequence[str] = (),
    cref: bool = True,
    nodes: Sequence[str] = (),
    version: str = "0.3",
    bins: slice = slice(None),
    **cards: Any,
) -> fits.BinTableHDU:
    """
    One table. ``columns`` are values with the axes as in ``axes``, energy first; ``order`` is that in which they are stored, ``nodes`` have
    LO = HI, ``bins`` are the energies that it holds.
    """
    order = tuple(order) or tuple(axes)
    energies = range(ENERGY.size - 1)[bins]
    columns = {
        n: (np.broadcast_to(x, [e.size - 1 for e in axes.values()])[bins], unit)
        for n, (x, unit) in columns.items()
    }
    axes = axes | {"ENERG": ENERGY[energies.start : energies.stop + 1]}
    cols = []
    for axis, edges in axes.items():
        middle = 0.5 * (edges[:-1] + edges[1:])
        for end, x in (
            ("LO", middle if axis in nodes else edges[:-1]),
            ("HI", middle if axis in nodes else edges[1:]),
        ):
            cols.append(fits.Column(f"{axis}_{end}", f"{x.size}E", UNITS[axis], array=[x]))
    for column, (values, unit) in columns.items():
        stored = np.transpose(values, [list(axes).index(a) for a in order])
        cols.append(
            fits.Column(
                column,
                f"{stored.size}E",
                unit,
                dim=str(stored.shape).replace(" ", ""),
                array=[stored.T.ravel()],
            )
        )
    hdu = fits.BinTableHDU.from_columns(cols, name=name)
    keys = ("HDUCLASS", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "HDUCLAS4")
    hdu.header.update(dict(zip(keys, ("GADF", "RESPONSE", *classes), strict=True)))
    hdu.header["HDUDOC"], hdu.header["HDUVERS"] = (
        "https://github.com/open-gamma-ray-astro/gamma-astro-data-formats",
        version,
    )
    if cref:
        for i in range(2 * len(axes), 2 * len(axes) + len(columns)):
            hdu.header[f"CREF{i + 1}"] = "(" + ",".join(f"{a}_LO:{a}_HI" for a in order) + ")"
    hdu.header.update({"TELESCOP": "TOY", **cards})
    return hdu


def response(
    psf: str = "PSF_TABLE",
    bkg: str = "BKG_2D",
    kind: str = "FULL-ENCLOSURE",
    orders: int = 0,
    clas2: str = "RPSF",
    per_bin: bool = False,
    radius: str = "",
    **how: Any,
) -> list[fits.BinTableHDU]:
    """The tables of a response; ``orders`` counts permutations of the axes of each."""
    e, t, m, r, x, y = (
        ("ENERG", ENERGY),
        ("THETA", OFFSET),
        ("MIGRA", MIGRATION),
        ("RAD", RADIUS),
        ("DETX", FIELD),
        ("DETY", FIELD),
    )
    rate, off = "s-1 MeV-1 sr-1", np.where(sigma() > 0, 1.0, 0)
    parts: dict[str, tuple[list[Any], dict[str, tuple[Any, str]], str]] = {
        "EFFECTIVE AREA": ([e, t], {"EFFAREA": (area() * (0.8 if radius else 1), "m2")}, "EFF_AREA AEFF_2D"),
        "ENERGY DISPERSION": (
            [e, m, t],
            {"MATRIX": (matrix() * (MIGRATION[1] - MIGRATION[0] if per_bin else 1), "")},
            "EDISP EDISP_2D",
        ),
    }
    s = sigma()
    scale = np.divide(1, 2 * np.radians(s) ** 2, out=np.zeros_like(s), where=s > 0)
    gauss = {
        "SCALE": (
            np.divide(1, 2 * np.pi * s, out=np.zeros_like(s), where=s > 0) if per_bin else scale,
            "sr-1",
        ),
        "SIGMA_1": (s, "deg"),
    }
    gauss |= {f"AMPL_{i}": (0 * s, "") for i in (2, 3)} | {f"SIGMA_{i}": (0 * s, "deg") for i in (2, 3)}
    forms = {
        "PSF_TABLE": ([e, t, r], {"RPSF": (density(), "sr-1")}),
        "PSF_3GAUSS": ([e, t], gauss),
        "PSF_KING": ([e, t], {"GAMMA": (3 * off, ""), "SIGMA": (0.7 * s, "deg")}),
    }
    if kind == "FULL-ENCLOSURE":
        parts["PSF"] = (*forms[psf], f"{clas2} {psf}")
    if bkg:
        parts["BACKGROUND"] = (
            ([e, t], {"BKG": (background(), rate)}, "BKG BKG_2D")
            if bkg == "BKG_2D"
            else ([e, x, y], {"BKG": (background(field=True), rate)}, "BKG BKG_3D")
        )
    if radius == "table":
        parts["RAD_MAX"] = (
            [e, t],
            {"RAD_MAX": (0.1 + 0.1 * (TRUE / 0.1) ** -0.3, "deg")},
            "RAD_MAX RAD_MAX_2D",
        )
    hdus = []
    for name, (axes, columns, labels) in parts.items():
        order = list(permutations([a for a, _ in axes]))
        classes = (labels.split()[0], kind, labels.split()[1])
        cards: dict[str, Any] = {"LO_THRES": 0.06, "HI_THRES": 80.0} if name == "EFFECTIVE AREA" else {}
        cards |= {"RAD_MAX": 0.2} if radius == "keyword" else {}
        hdus.append(table(name, dict(axes), columns, classes, order[orders % len(order)], **how, **cards))
    return hdus


def older() -> list[fits.BinTableHDU]:
    """As the responses of CTA's first data challenge: labels of OGIP, ETRUE, BGD, units that are none."""
    hdus = response("PSF_3GAUSS", "BKG_3D", orders=0, cref=False, version="0.2", per_bin=True)
    for hdu in hdus:
        hdu.header["HDUCLASS"], hdu.header["HDUCLAS4"] = "OGIP", hdu.header["HDUCLAS4"].split("_")[-1]
    edisp, psf, bkg = hdus[1:]
    for end in ("LO", "HI"):
        edisp.columns[f"ENERG_{end}"].name = f"ETRUE_{end}"
    psf.columns["SCALE"].unit, bkg.columns["BKG"].unit = "", "1/s/MeV/sr"
    bkg.columns["BKG"].name = "BGD"
    return hdus


def events() -> list[fits.BinTableHDU]:
    """Tables of a DL3 file beside its response."""
    found = []
    for name in ("EVENTS", "GTI"):
        hdu = fits.BinTableHDU.from_columns([fits.Column("TIME", "D", "s", array=np.arange(3.0))], name=name)
        hdu.header["HDUCLASS"], hdu.header["HDUCLAS1"] = "GADF", name
        found.append(hdu)
    return found


def ogip() -> list[fits.BinTableHDU]:
    """An ARF: the effective area of one region, of no field of view."""
    cols = [
        fits.Column(n, "E", unit, array=x)
        for n, unit, x in (
            ("ENERG_LO", "TeV", ENERGY[:-1]),
            ("ENERG_HI", "TeV", ENERGY[1:]),
            ("SPECRESP", "m2", area()[:, 0]),
        )
    ]
    hdu = fits.BinTableHDU.from_columns(cols, name="SPECRESP")
    hdu.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP", "TELESCOP": "TOY"})
    return [hdu]


def satellite() -> list[fits.BinTableHDU]:
    """The effective area of another experiment: against the cosine of the angle, in MeV."""
    hdu = response()[0]
    for end in ("LO", "HI"):
        hdu.columns.change_name(f"THETA_{end}", f"CTHETA_{end}")
    hdu.header["HDUCLASS"], hdu.header["TELESCOP"] = "OGIP", "GLAST"
    return [hdu]


LAYOUTS: dict[str, Any] = {
    "table": response,
    "gauss": lambda: response("PSF_3GAUSS", "BKG_3D", clas2="PSF"),
    # as H.E.S.S.: nodes in offset, background stored DETX, DETY, ENERG without a word
    "nodes": lambda: [
        *response("PSF_TABLE", "", nodes=("THETA",)),
        response(bkg="BKG_3D", orders=3, cref=False)[-1],
    ],
    "king": lambda: response("PSF_KING", "BKG_3D"),
    **{f"order {i}": lambda i=i: response("PSF_TABLE", "BKG_3D", orders=i) for i in range(1, 6)},
    "point-like": lambda: response(kind="POINT-LIKE", radius="keyword"),
    "point-like table": lambda: response(kind="POINT-LIKE", bkg="", radius="table"),
    # as CTA prod5: no CREF, probabilities per bin, SCALE of another normalisation
    "per bin": lambda: response("PSF_3GAUSS", "BKG_3D", cref=False, version="0.2", per_bin=True, clas2="PSF"),
    "dl3": lambda: [*events(), *response()],
    "low energies": lambda: response(bins=slice(0, 12)),
    "high energies": lambda: response(bins=slice(12, None)),
    "1dc": older,
    "arf": ogip,
    "satellite": satellite,
}


@cache
def _content(layout: str) -> bytes:
    file = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *LAYOUTS[layout]()]).writeto(file)
    return file.getvalue()


def write(layout: str, path: Path, change: str = "", tables: Sequence[str] = ()) -> None:
    """Write a layout, or some tables of it, changed by lines of Python in which ``h`` is the list of its tables, ``np`` numpy."""
    h = fits.HDUList(
        [
            x
            for x in fits.open(BytesIO(_content(layout)), memmap=False)
            if not tables or x.name in ("PRIMARY", *tables)
        ]
    )
    exec(change, {"h": h, "np": np, "fits": fits})
    h.writeto(path, overwrite=True)
