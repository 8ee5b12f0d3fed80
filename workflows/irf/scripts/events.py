"""
Event lists (DL2): what a simulation hands over, a table a particle whose header says what was thrown.

README.md, "Event lists", is the specification: another simulator that writes such files can take the place of
ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

UNITS = {
    "true_energy": "TeV",
    "reco_energy": "TeV",
    "true_source_fov_offset": "deg",
    "reco_source_fov_offset": "deg",
    "theta": "deg",
    "gh_score": "",
}
PARTICLES = ("gamma", "proton", "electron")
#: header keywords that must agree between the blocks of one particle
COMMON = (
    "PARTICLE",
    "SIMULATN",
    "SITE",
    "ZENITH",
    "AZIMUTH",
    "NSB",
    "EMIN",
    "EMAX",
    "IMPMAX",
    "CONEMAX",
    "SPINDEX",
)
Columns = Mapping[str, NDArray[Any]]


def event_hdu(particle: str, columns: Columns, header: Mapping[str, Any]) -> fits.BinTableHDU:
    """Table of one particle; ``header`` holds `COMMON`, ``NSHOWER`` and ``SEED``."""
    cols = [
        fits.Column(name=name, format="E", unit=unit or None, array=columns[name])
        for name, unit in UNITS.items()
    ]
    hdu = fits.BinTableHDU.from_columns(cols, name=particle.upper())
    hdu.header.update(header)
    return hdu


def write_hdus(path: str | Path, hdus: list[Any]) -> None:
    """Write a FITS file that depends on nothing but its content, under a temporary name first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    for hdu in hdus:
        # astropy would put the date into the comment of the checksum
        hdu.add_checksum(when="checksum of the HDU")
    fits.HDUList(hdus).writeto(temporary, overwrite=True, output_verify="exception")
    temporary.replace(path)


class BlockError(ValueError):
    """Blocks that can't be one production."""


def merge(files: list[Path]) -> list[Any]:
    """
    Blocks of one production as one event list.

    Parameters
    ----------
    files : list of Path
        One file a block, with an HDU for each of `PARTICLES`.

    Returns
    -------
    list of HDU
        Primary, one table a particle (``NSHOWER`` summed) and ``BLOCKS``: particle, seed, showers thrown,
        events kept.

    Raises
    ------
    BlockError
        A column is missing, headers disagree, or a seed occurs twice: its blocks would be copies.
    """
    tables: dict[str, list[NDArray[Any]]] = {p: [] for p in PARTICLES}
    headers: dict[str, fits.Header] = {}
    seen: dict[tuple[str, int], Path] = {}
    blocks: list[tuple[str, int, int, int]] = []
    for path in files:
        with fits.open(path, memmap=False) as hdus:
            for particle in PARTICLES:
                try:
                    hdu = hdus[particle.upper()]
                    header = hdu.header
                    facts = {k: header[k] for k in (*COMMON, "NSHOWER", "SEED")}
                except KeyError as error:
                    raise BlockError(f"{path}: {error.args[0]}") from None
                first = headers.setdefault(particle, header.copy())
                differing = [
                    f"{k} ({facts[k]}, elsewhere {first[k]})" for k in COMMON if facts[k] != first[k]
                ]
                if differing:
                    raise BlockError(
                        f"{path}, {particle}: {', '.join(differing)}; blocks of one production must agree"
                    )
                missing = [
                    n
                    for n, unit in UNITS.items()
                    if n not in hdu.columns.names or (hdu.columns[n].unit or "") != unit
                ]
                if missing:
                    raise BlockError(
                        f"{path}, {particle}: no column {', '.join(missing)} in the unit of the specification"
                    )
                key = (particle, facts["SEED"])
                if key in seen:
                    raise BlockError(
                        f"{path}, {particle}: seed {key[1]} is also that of {seen[key]}; the "
                        "blocks would "
                        "be copies"
                    )
                seen[key] = path
                tables[particle].append(hdu.data)
                blocks.append((particle, facts["SEED"], facts["NSHOWER"], len(hdu.data)))
    out: list[Any] = [fits.PrimaryHDU()]
    for particle, parts in tables.items():
        header = {k: headers[particle][k] for k in COMMON}
        header["NSHOWER"] = sum(b[2] for b in blocks if b[0] == particle)
        out.append(event_hdu(particle, {n: np.concatenate([t[n] for t in parts]) for n in UNITS}, header))
    kind, seed, thrown, kept = zip(*blocks, strict=True)
    formats = {"particle": ("8A", kind), "seed": ("K", seed), "showers": ("K", thrown), "events": ("K", kept)}
    cols = [fits.Column(name=name, format=f, array=np.array(v)) for name, (f, v) in formats.items()]
    out.append(fits.BinTableHDU.from_columns(cols, name="BLOCKS"))
    return out
