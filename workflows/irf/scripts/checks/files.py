"""
All checks of all files that make up a response, or several: what is in them, each table, all tables together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from .agreement import Expected, check_agreement, check_expected, check_parts
from .area import check_area, safe_bins
from .background import check_background
from .dispersion import check_dispersion
from .findings import Place, Verdict
from .keywords import text
from .radius import check_radius
from .spread import check_spread
from .standard import URL, form_of
from .tables import Component, is_response, read

#: what else lies in files beside responses and is no business of this validation
BESIDE = {"EVENTS", "GTI", "POINTING", "INDEX"}


@dataclass(frozen=True)
class Found:
    """A table that says or shows that it is a response function."""

    file: Path
    label: str
    hdu: fits.BinTableHDU


def check_files(v: Verdict, paths: Sequence[str | Path], expected: Expected | None = None) -> dict[str, Any]:
    """
    All checks of the files of a response.

    Parameters
    ----------
    v : Verdict
        Filled.
    paths : sequence of path
        FITS, may be compressed: one file with all tables, or several that hold them together.
    expected : Expected, optional

    Returns
    -------
    dict
        ``kind`` (full-enclosure, point-like or None), ``present`` and ``missing`` components, ``tables``:
        label and format of each.
    """
    files = [Path(p) for p in paths]
    found = _labelled(v, files)
    if found is None or not found:
        return {"kind": None, "present": [], "missing": [], "tables": []}
    components: list[Component] = []
    for one in found:
        component = _guarded(v, one.label, lambda one=one: read(v, one.label, one.hdu))  # type: ignore[misc]
        if component is not None:
            components.append(component)
    if not components:
        _foreign(v, found)
    headers = [(one.label, one.hdu.header, form_of(set(one.hdu.columns.names))) for one in found]
    facts = check_parts(v, headers)
    check_agreement(v, headers, components)
    check_expected(v, facts["kind"], headers, expected or Expected())
    areas = [c for c in components if c.kind == "aeff"]
    safe = {a.label: safe_bins(a) for a in areas}
    files_of = {one.label: one.file for one in found}

    def beside(c: Component) -> list[Component]:
        """Effective areas of the same file; of all files if the response is split."""
        return [a for a in areas if files_of[a.label] == files_of[c.label]] or areas

    by_kind: dict[str, Callable[[Component], object]] = {
        "aeff": lambda c: check_area(v, c, safe[c.label]),
        "edisp": lambda c: check_dispersion(v, c, beside(c), safe),
        "psf": lambda c: check_spread(v, c, beside(c), safe),
        "bkg": lambda c: check_background(v, c, beside(c), safe),
        "rad_max": lambda c: check_radius(v, c, beside(c), safe),
    }
    for component in components:
        _guarded(v, component.label, lambda c=component: by_kind[c.kind](c))  # type: ignore[misc]
    return {**facts, "tables": [{"table": c.label, "format": c.form.name} for c in components]}


def _foreign(v: Verdict, found: Sequence[Found]) -> None:
    """One sentence if not one table could be read: most often the file is of another experiment."""
    telescopes = sorted({text(one.hdu.header, "TELESCOP") for one in found} - {""})
    of = f" (TELESCOP is {', '.join(telescopes)})" if telescopes else ""
    v.check(
        "is a response of a Cherenkov telescope",
        False,
        f"none of its tables can be read as a response function of GADF{of}: the file is of another "
        "experiment or in another format; what "
        "each lacks is said above",
        paragraph=f"{URL}irfs/index.html",
    )


def _guarded(v: Verdict, label: str, work: Callable[[], Any]) -> Any:
    """Whatever fails in one table is a failed check of that table, never the end of the validation."""
    try:
        return work()
    except Exception as error:
        v.check(f"{label}: can be judged", False, f"{type(error).__name__}: {error}", place=Place(label))
        return None


def _labelled(v: Verdict, files: Sequence[Path]) -> list[Found] | None:
    """
    The response tables of all files, each with a name that no other has; None if a file can't be opened.
    """
    raw: list[tuple[Path, int, fits.BinTableHDU]] = []
    others: list[str] = []
    for file in files:
        try:
            for index, hdu, error in _tables(file):
                if is_response(hdu) and error:
                    v.check(
                        f"{hdu.name or f'table {index}'}: can be read",
                        False,
                        f"{file.name}: {error}",
                        place=Place(hdu.name),
                    )
                elif is_response(hdu):
                    raw.append((file, index, hdu))
                elif text(hdu.header, "HDUCLAS1") not in BESIDE:
                    others.append(_described(hdu))
        except Exception as error:
            v.check("opens as FITS", False, f"{file.name}: {type(error).__name__}: {error}")
            return None
    v.check("opens as FITS", True, ", ".join(f.name for f in files))
    if not raw:
        held = "; ".join(dict.fromkeys(others)) or "no table at all"
        v.check(
            "is a response of a Cherenkov telescope",
            False,
            f"no table in {', '.join(f.name for f in files)} is a response function in GADF (effective "
            "area, energy dispersion, PSF or "
            f"background against offset and energy): it holds {held}. Give the IRF file of a Cherenkov "
            "telescope",
            paragraph=f"{URL}irfs/index.html",
        )
        return []
    names = Counter(hdu.name for _, _, hdu in raw)
    labels = []
    for file, index, hdu in raw:
        name = hdu.name or f"table {index}"
        labels.append(name if names[hdu.name] == 1 else f"{name} ({file.name}, table {index})")
    return [Found(file, label, hdu) for label, (file, _, hdu) in zip(labels, raw, strict=True)]


def _tables(file: Path) -> Iterator[tuple[int, Any, str]]:
    """Each HDU with data, and why its data can't be read."""
    with fits.open(file, memmap=False) as hdus:
        for index, hdu in enumerate(hdus):
            error = ""
            try:
                filled = hdu.data is not None  # read before the file closes
            except Exception as failure:
                filled, error = True, f"{type(failure).__name__}: {failure}"
            if filled:
                yield index, hdu, error


def _described(hdu: Any) -> str:
    """What a table of another kind is, in words."""
    classes = [text(hdu.header, k) for k in ("HDUCLASS", "HDUCLAS1", "HDUCLAS2")]
    known = {
        "SPECRESP": "an OGIP effective area of one region (ARF)",
        "RSP_MATRIX": "an OGIP response matrix of one region (RMF)",
        "REDIST": "an OGIP response matrix of one region (RMF)",
    }
    what = known.get(classes[2]) or (
        "an image or map" if isinstance(hdu, (fits.ImageHDU, fits.PrimaryHDU)) else "a table"
    )
    of = text(hdu.header, "TELESCOP")
    return f"{what} {hdu.name or ''}".strip() + (f" of {of}" if of and of.lower() != "unknown" else "")
