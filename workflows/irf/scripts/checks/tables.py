"""
One table of a response, read by gammapy: axes in the standard's order, whatever order they are stored in,
values in its units.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from .axes import check_axes
from .findings import NOTE, VIOLATION, Place, Verdict
from .keywords import check_keywords, text
from .standard import ARRAYS, AXES, AXES_ORDER, FORMS, KINDS, Form, current, form_of

#: gammapy's names of the axes by the stems of the columns
NAMES = {
    "ENERG": "energy_true",
    "THETA": "offset",
    "MIGRA": "migra",
    "RAD": "rad",
    "DETX": "fov_lon",
    "DETY": "fov_lat",
}


@dataclass(frozen=True)
class Component:
    """
    A table that can be judged.

    `values` are arrays by column in the standard's units, their axes as in ``form.axes``; `response` is what
    gammapy reads.
    """

    label: str
    form: Form
    header: fits.Header
    values: dict[str, NDArray[np.float64]]
    response: Any

    @property
    def kind(self) -> str:
        """aeff, edisp, psf, bkg or rad_max."""
        return self.form.kind

    @property
    def data(self) -> NDArray[np.float64]:
        """Values of the only column."""
        (values,) = self.values.values()
        return values

    def axis(self, name: str) -> Any:
        """Axis of gammapy for the stem of a column: ENERG, THETA, …"""
        wanted = "energy" if name == "ENERG" and self.kind in {"bkg", "rad_max"} else NAMES[name]
        return self.response.axes[wanted]

    def edges(self, name: str, unit: u.UnitBase | None = None) -> NDArray[np.float64]:
        """Edges, shape (n + 1,), in the standard's unit or another."""
        return np.asarray(self.axis(name).edges.to_value(unit or AXES[name]), dtype=float)

    def centers(self, name: str) -> NDArray[np.float64]:
        """Centres of bins or nodes, shape (n,), in the standard's unit."""
        return np.asarray(self.axis(name).center.to_value(AXES[name]), dtype=float)

    def widths(self, name: str) -> NDArray[np.float64]:
        """Widths of bins, shape (n,)."""
        return np.diff(self.edges(name))

    def place(self, index: tuple[Any, ...] | None = None) -> Place:
        """The place of one element of the values."""
        at = dict(zip(self.form.axes, index, strict=False)) if index is not None else {}
        energy = float(self.centers("ENERG")[at["ENERG"]]) if "ENERG" in at else None
        if "THETA" in at:
            return Place(self.label, float(self.centers("THETA")[at["THETA"]]), energy)
        if "DETX" in at:
            return Place(
                self.label,
                float(np.hypot(self.centers("DETX")[at["DETX"]], self.centers("DETY")[at["DETY"]])),
                energy,
            )
        return Place(self.label, energy=energy)


def is_response(hdu: Any) -> bool:
    """Whether a table is, or by its columns should be, a response function."""
    if not isinstance(hdu, fits.BinTableHDU):
        return False
    labelled = text(hdu.header, "HDUCLAS1") == "RESPONSE" and text(hdu.header, "HDUCLAS2") in KINDS
    return labelled or form_of(set(hdu.columns.names)) is not None


def read(v: Verdict, label: str, hdu: fits.BinTableHDU) -> Component | None:
    """
    Read and check one table.

    Parameters
    ----------
    v : Verdict
    label : str
        How the table is called in the verdict.
    hdu : BinTableHDU

    Returns
    -------
    Component or None
        None if nothing more can be asked of the table; a failed check says why.
    """
    names = {current(c): c for c in hdu.columns.names}
    form = form_of(set(hdu.columns.names)) or FORMS.get(text(hdu.header, "HDUCLAS4"))
    if form is None:
        listed = ", ".join(hdu.columns.names)
        v.check(
            f"{label}: columns",
            False,
            f"those of no format of GADF that gammapy reads: {listed}",
            place=Place(label),
        )
        return None
    check_keywords(v, label, hdu.header, form)
    if not _check_columns(v, label, form, names) or not _check_rows(v, label, hdu):
        return None
    units = _units(v, label, form, hdu, names)
    if units is None:
        return None

    def column(name: str) -> NDArray[np.float64]:
        stored = np.asarray(hdu.data[names[name]][0], dtype=float)
        return np.asarray(u.Quantity(stored, units[name]).to_value(AXES.get(name[:-3]) or form.columns[name]))

    axes = {a: (column(f"{a}_LO").ravel(), column(f"{a}_HI").ravel()) for a in form.axes}
    stored = {name: column(name) for name in form.columns}
    if not check_axes(v, label, form, axes):
        return None
    order = _order(v, label, form, hdu, names, {a: ends[0].size for a, ends in axes.items()})
    if order is None or not _check_numbers(v, label, form, stored, order, axes):
        return None
    shape = tuple(axes[a][0].size for a in order)
    values = {
        n: np.transpose(a.T.reshape(shape), [order.index(x) for x in form.axes]) for n, a in stored.items()
    }
    response = _by_gammapy(v, label, form, hdu.header, axes, values)
    if response is None:
        return None
    different = _as_it_stands(form, hdu, response)
    if different:
        v.remark(
            f"{label}: gammapy {version('gammapy')}",
            different,
            severity=NOTE,
            place=Place(label),
            paragraph=AXES_ORDER,
        )
    return Component(label, form, hdu.header, values, response)


def _check_columns(v: Verdict, label: str, form: Form, names: dict[str, str]) -> bool:
    needed = [f"{a}_{end}" for a in form.axes for end in ("LO", "HI")] + list(form.columns)
    missing = [n for n in needed if n not in names]
    former = [f"{names[n]} for {n}" for n in needed if n in names and names[n] != n]
    words = [f"missing: {', '.join(missing)}"] if missing else []
    words += [f"names that the standard doesn't know: {', '.join(former)}"] if former else []
    extra = sorted({n[:-3] for n in names if n.endswith("_LO")} - set(form.axes))
    if missing and extra:
        words.append(f"axes that {form.name} doesn't have: {', '.join(extra)}")
    elif extra:
        v.remark(
            f"{label}: columns",
            f"axes that {form.name} doesn't have are ignored: {', '.join(extra)}",
            severity=VIOLATION,
            place=Place(label),
            paragraph=form.paragraph,
        )
    v.check(f"{label}: columns", not words, "; ".join(words), place=Place(label), paragraph=form.paragraph)
    return not missing


def _check_rows(v: Verdict, label: str, hdu: fits.BinTableHDU) -> bool:
    rows = len(hdu.data)
    v.check(
        f"{label}: one row",
        rows == 1,
        "" if rows == 1 else f"{rows} rows",
        place=Place(label),
        paragraph=ARRAYS,
    )
    return rows > 0


def _units(
    v: Verdict, label: str, form: Form, hdu: fits.BinTableHDU, names: dict[str, str]
) -> dict[str, u.UnitBase] | None:
    """
    Unit of each column; the standard's where none is given (which is a failed check); None if one is of
    another kind.
    """
    units: dict[str, u.UnitBase] = {}
    wrong, fatal = [], False
    expected = {f"{a}_{end}": AXES[a] for a in form.axes for end in ("LO", "HI")} | form.columns
    for name, unit in expected.items():
        given = str(hdu.columns[names[name]].unit or "").strip()
        found = unit_of(given)
        if not given and unit != u.one:
            wrong.append(f"{names[name]} has none, taken as {unit.to_string()}")
            found = unit
        elif found is None or not found.is_equivalent(unit):
            wrong.append(f"{names[name]} in {given or 'no unit'}, expected {unit.to_string() or 'none'}")
            fatal = True
        elif unit_of(given, lenient=False) is None:
            wrong.append(
                f"{names[name]} in {given!r}, which the FITS standard can't write so (taken as "
                f"{found.to_string()})"
            )
        units[name] = found if found is not None else unit
    v.check(f"{label}: units", not wrong, "; ".join(wrong), place=Place(label), paragraph=form.paragraph)
    return None if fatal else units


def unit_of(written: str, lenient: bool = True) -> u.UnitBase | None:
    """Unit of a column, None if it can't be read; `lenient`: several slashes, too, as in ``1/s/MeV/sr``."""
    try:
        return u.Unit(written)
    except ValueError:
        first, *others = written.split("/")
        if not lenient or not others:
            return None
    try:
        unit = u.Unit(first)
        for other in others:
            unit = unit / u.Unit(other)
    except (ValueError, TypeError):
        return None
    return unit


def _order(
    v: Verdict, label: str, form: Form, hdu: fits.BinTableHDU, names: dict[str, str], sizes: dict[str, int]
) -> tuple[str, ...] | None:
    """
    Order of the axes in the values: that of CREF, else the recommended one, that of the columns, or any that
    fits the shape.

    The order is that of FITS: the first axis varies fastest, so that numpy's shape is the reverse.
    """
    first = next(iter(form.columns))
    index = hdu.columns.names.index(names[first]) + 1
    shape = np.asarray(hdu.data[names[first]][0]).T.shape
    about: dict[str, Any] = {"place": Place(label), "paragraph": AXES_ORDER}
    referred = text(hdu.header, f"CREF{index}")
    said = tuple(
        dict.fromkeys(
            current(x.strip()).removesuffix("_LO").removesuffix("_HI")
            for x in re.split("[,:]", referred.strip("() "))
        )
    )
    flat = len(shape) != len(form.axes)
    # an axis of one bin may be left out of the shape, or the shape of the table altogether
    total = int(np.prod(shape)) == int(np.prod(list(sizes.values())))

    def fits_shape(order: tuple[str, ...]) -> bool:
        return tuple(sizes[a] for a in order) == shape if not flat else total

    by_column = tuple(sorted(form.axes, key=lambda a: hdu.columns.names.index(names[f"{a}_LO"])))
    if referred and set(said) != set(form.axes):
        v.check(
            f"{label}: CREF",
            False,
            f"CREF{index} is {referred!r}, which are not the axes of {form.name}",
            **about,
        )
    elif referred and not fits_shape(said):
        v.check(
            f"{label}: CREF",
            False,
            f"CREF{index} is {referred!r}, but the shape is {shape} and the axes have {sizes}",
            **about,
        )
    elif referred:
        v.check(f"{label}: CREF", True, referred, **about)
        return said
    fitting = [o for o in (form.axes, by_column, *itertools.permutations(form.axes)) if fits_shape(o)]
    if not fitting:
        v.check(
            f"{label}: shape",
            False,
            f"values have the shape {shape}, the axes {sizes}",
            place=Place(label),
            paragraph=ARRAYS,
        )
        return None
    if flat:
        v.remark(
            f"{label}: shape",
            f"{shape} without TDIM: taken in the recommended order",
            severity=VIOLATION,
            **about,
        )
    elif not referred:
        several = len(set(fitting)) > 1 and fitting[0] != by_column
        how = (
            "no CREF; the shape allows several orders, the recommended one is taken"
            if several
            else "no CREF; the shape tells the order"
        )
        v.remark(f"{label}: order of axes", f"{how}: {', '.join(fitting[0])}", severity=NOTE, **about)
    return fitting[0]


def _check_numbers(
    v: Verdict,
    label: str,
    form: Form,
    stored: dict[str, NDArray[np.float64]],
    order: tuple[str, ...],
    axes: Any,
) -> bool:
    """Finite and not negative, with the place of the first that is not."""
    about = {"paragraph": form.paragraph}

    def place(array: NDArray[np.bool_]) -> Place:
        shape = tuple(axes[a][0].size for a in order)
        at = dict(zip(order, np.unravel_index(int(np.argmax(array.T.reshape(shape))), shape), strict=True))
        ends = {a: (axes[a][0][i], axes[a][1][i]) for a, i in at.items()}
        middle = {
            a: float(np.sqrt(low * high) if a == "ENERG" else 0.5 * (low + high))
            for a, (low, high) in ends.items()
        }
        offset = middle.get(
            "THETA", float(np.hypot(middle["DETX"], middle["DETY"])) if "DETX" in middle else None
        )
        return Place(label, offset, middle["ENERG"])

    missing = {n: ~np.isfinite(a) for n, a in stored.items()}
    below = {n: a < 0 for n, a in stored.items()}
    for name, bad, word in (("finite", missing, "are not"), ("not negative", below, "are")):
        count = sum(int(b.sum()) for b in bad.values())
        column = next((n for n, b in bad.items() if b.any()), "")
        detail = f"{count} values {word}, the first in {column}" if count else ""
        v.check(
            f"{label}: {name}",
            not count,
            detail,
            place=place(bad[column]) if column else Place(label),
            **about,
        )
    return not any(b.any() for b in missing.values())


def _by_gammapy(
    v: Verdict, label: str, form: Form, header: fits.Header, axes: Any, values: dict[str, NDArray[np.float64]]
) -> Any:
    """The table in gammapy: values put in the order that it expects."""
    table = Table()
    for name, ends in axes.items():
        for end, array in zip(("LO", "HI"), ends, strict=True):
            table[f"{name}_{end}"] = u.Quantity(array[np.newaxis], AXES[name])
    for name, array in values.items():
        table[name] = u.Quantity(array.T[np.newaxis], form.columns[name])
    table.meta.update({k: header[k] for k in ("HDUCLAS3", "RAD_MAX", "FOVALIGN") if k in header})
    table.meta["HDUCLAS2"] = next(k for k, kind in KINDS.items() if kind == form.kind)
    try:
        response = form.reader.from_table(table)
    except Exception as error:
        v.check(
            f"{label}: gammapy reads it",
            False,
            f"{type(error).__name__}: {error}",
            place=Place(label),
            paragraph=form.paragraph,
        )
        return None
    v.check(
        f"{label}: gammapy reads it",
        True,
        type(response).__name__,
        place=Place(label),
        paragraph=form.paragraph,
    )
    return response


def _as_it_stands(form: Form, hdu: fits.BinTableHDU, response: Any) -> str:
    """
    What gammapy makes of the table by itself, where it is something else: it doesn't read CREF, nor some
    older names.
    """
    try:
        plain = form.reader.from_table(Table.read(hdu))
    except Exception as error:
        return (
            f"cannot read the table as it stands ({type(error).__name__}: {error}); it was judged with "
            "its axes in the recommended order"
        )
    names = plain.data.dtype.names or ("",)
    pairs = [(plain.data[n], response.data[n]) if n else (plain.data, response.data) for n in names]
    same = all(a.shape == b.shape and np.array_equal(a, b.astype(a.dtype)) for a, b in pairs)
    return (
        ""
        if same or plain.unit != response.unit
        else "reads the table as it stands with its axes in another order, because it ignores CREF"
    )
