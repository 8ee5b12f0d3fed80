"""Two results compared by their numbers, within what their author declares (`Output.compare`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esap_wf import files
from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.models.manifest import Comparison

#: Bytes of a result that are read for a comparison.
LIMIT = 2 * 1024**3


def differing(one: Path, two: Path, rule: Comparison) -> list[str]:
    """
    In what two files differ by more than a tolerance.

    Parameters
    ----------
    one, two : Path
        FITS files, or JSON documents.
    rule : Comparison

    Returns
    -------
    list of str
        Where, and by how much; empty if nothing does.
    """
    try:
        if one.name.removesuffix(".gz").lower().endswith((".fits", ".fit", ".fts")):
            return list(_fits(one, two, rule))
        if one.suffix.lower() == ".json":
            a, b = (reading.json_value(reading.read_text(path, limit=LIMIT)) for path in (one, two))
            return list(_json(a, b, rule, "", ""))
    except (*files.BROKEN, EsapError, OSError, ValueError, KeyError, TypeError) as error:
        return [f"cannot be compared: {error}"]
    return ["content"]


def _json(a: Any, b: Any, rule: Comparison, key: str, where: str) -> Iterator[str]:
    """Values at one position of two documents, and below."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for name in a:
            if name not in rule.ignore:
                yield from _json(a[name], b[name], rule, name, f"{where}.{name}".removeprefix("."))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _json(x, y, rule, key, f"{where}[{number}]")
    elif (
        isinstance(a, float | int)
        and isinstance(b, float | int)
        and not isinstance(a, bool)
        and not isinstance(b, bool)
    ):
        if not math.isclose(a, b, rel_tol=rule.columns.get(key, rule.rtol)):
            yield f"{where}: {a} and {b}"
    elif a != b:
        yield where or "content"


def _fits(one: Path, two: Path, rule: Comparison) -> Iterator[str]:
    """
    Tables and images of two files. Header cards count too, but for checksums, which follow from the content.
    """
    from astropy.io import fits

    with fits.open(one, memmap=False) as first, fits.open(two, memmap=False) as second:
        if [h.name for h in first] != [h.name for h in second]:
            yield "other extensions"
            return
        for a, b in zip(first, second, strict=True):
            yield from _cards(a, b, rule)
            yield from _data(a, b, rule)


def _cards(a: Any, b: Any, rule: Comparison) -> Iterator[str]:
    """Header cards of two extensions."""
    for card in dict.fromkeys([*a.header, *b.header]):
        if card not in ("CHECKSUM", "DATASUM", "COMMENT", "HISTORY", "", *rule.ignore):
            yield from _json(a.header.get(card), b.header.get(card), rule, card, f"{a.name} {card}")


def _data(a: Any, b: Any, rule: Comparison) -> Iterator[str]:
    """Columns of two tables, or two images."""
    import numpy as np
    from astropy.io import fits

    if a.data is None or b.data is None:
        if (a.data is None) != (b.data is None):
            yield a.name
        return
    names = a.columns.names if isinstance(a, fits.BinTableHDU | fits.TableHDU) else [""]
    for name in names:
        if not name or name not in rule.ignore:
            x, y = (np.asarray(h.data[name] if name else h.data) for h in (a, b))
            yield from _arrays(x, y, f"{a.name} {name}".strip(), rule.columns.get(name, rule.rtol))


def _arrays(x: Any, y: Any, label: str, tolerance: float) -> Iterator[str]:
    import numpy as np

    if x.shape != y.shape:
        yield f"{label}: shapes {x.shape} and {y.shape}"
    elif x.dtype.kind not in "fiuc":
        if not np.array_equal(x, y):
            yield label
    elif not np.allclose(x, y, rtol=tolerance, atol=0, equal_nan=True):
        with np.errstate(all="ignore"):
            apart = np.abs(x - y) / np.maximum(np.abs(x), np.abs(y))
        # a number beside none counts as all of it
        worst = np.where(np.isfinite(apart), apart, np.isnan(x) != np.isnan(y)).max()
        yield f"{label}: by {worst:.2g} of the value at most"
