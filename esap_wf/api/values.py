"""What a notebook has at hand, as data: numbers and arrays of NumPy, quantities and times of astropy,
paths, dates.

Neither NumPy nor astropy is imported: who gives such a value has done so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents

Prop = Mapping[str, Any]


def of_parameters(values: Mapping[str, Any] | None, properties: Mapping[str, Prop]) -> dict[str, Any]:
    """
    Parameters as a request holds them.

    A quantity becomes a text such as ``"20.0 deg"``, so that a wrong unit is the same problem as on the
    command line, told with all others.

    Parameters
    ----------
    values : mapping or None
        As they were given.
    properties : mapping
        Of the workflow's schema.

    Raises
    ------
    UsageError
        A value is no data.
    """
    given = {
        name: as_data(value, properties.get(name, {}), f"parameter {name}")
        for name, value in dict(values or {}).items()
    }
    documents.check(documents.Document(given, "parameters"))
    return given


def as_data(value: Any, prop: Prop | None = None, where: str = "request") -> Any:
    """
    A value as JSON could hold it. Bytes stay what they are, so that they are refused.

    Parameters
    ----------
    value : object
    prop : mapping, optional
        The parameter's schema.
    where : str
        What it is, for an error.

    Raises
    ------
    UsageError
        It is no data.
    """
    try:
        return msgspec.to_builtins(
            _converted(value, prop or {}), builtin_types=(bytes, bytearray, memoryview), enc_hook=_other
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("the request is not valid", [Problem(where, str(error))]) from None


def _other(value: object) -> str:
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise TypeError(f"a {type(value).__name__} is neither text nor a number, list or mapping")


def _converted(value: Any, prop: Prop) -> Any:
    if isinstance(value, Path):
        # jobs run in another folder: what is there is meant; another one is a name like any other
        return os.fspath(value.expanduser().absolute() if value.expanduser().exists() else value)
    if isinstance(value, Mapping):
        members = prop.get("properties", {})
        return {name: _converted(v, members.get(name, {})) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_converted(v, _item(prop)) for v in value]
    numpy, time = sys.modules.get("numpy"), sys.modules.get("astropy.time")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return _array(value, prop, numpy)
    if time is not None and isinstance(value, time.Time):
        # as RFC 3339 writes it, which is what the schemas of times ask for
        texts = value.utc.isot
        return f"{texts}Z" if value.isscalar else [f"{text}Z" for text in texts.tolist()]
    return value


def _item(prop: Prop) -> Prop:
    """Schema of an item: a list's unit is its items'."""
    return {"unit": prop.get("unit"), **prop.get("items", {})}


def _array(value: Any, prop: Prop, numpy: Any) -> Any:
    units = sys.modules.get("astropy.units")
    if units is not None and isinstance(value, units.Quantity):
        return _quantity(value, prop, units)
    if value.dtype.kind in "mM":  # tolist makes bare numbers of some of them
        return value.astype(str).tolist()
    if value.dtype.kind == "f":
        return value.astype(float).tolist()  # a long double is no number elsewhere
    return _converted(value.tolist(), prop) if value.dtype.kind == "O" else value.tolist()


def _quantity(value: Any, prop: Prop, units: Any) -> Any:
    if value.ndim:
        return [_quantity(part, _item(prop), units) for part in value]
    wanted, bare = prop.get("unit"), units.dimensionless_unscaled
    if value.unit.is_equivalent(bare):
        if not wanted:
            return value.to_value(bare).tolist()
        # a bare text would be taken to be in the parameter's unit
        return f"{value.value.tolist()!r} {value.unit.to_string() or 'dimensionless'}"
    try:
        units.Unit(value.unit.to_string())
    except (ValueError, TypeError):  # a unit of the caller's own
        value = value.decompose()
    if value.unit.to_string()[:1].isdigit():  # a scale is part of the unit
        value = value.decompose()
    return f"{value.value.tolist()!r} {value.unit.to_string()}"
