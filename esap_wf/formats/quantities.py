"""Values with units: ``"20 deg"``, ``"0.35 rad"``, ``"2 GB"``, ``"15 min"``.

astropy is loaded only when a value really carries a unit that needs converting.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*(.*?)\s*$", re.ASCII | re.DOTALL)

_BYTES = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _i, _p in enumerate("kmgtp", start=1):
    _BYTES |= {_p: 1000**_i, f"{_p}b": 1000**_i, f"{_p}ib": 1024**_i}
_SECONDS = {
    "": 1,
    "s": 1,
    "sec": 1,
    "second": 1,
    "seconds": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "minutes": 60,
}
_SECONDS |= {
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
    "w": 604800,
    "week": 604800,
}


def split(text: str) -> tuple[float, str] | None:
    """Number and unit of a text; None if it is not a number with something behind it."""
    match = _QUANTITY.match(text)
    if not match:
        return None
    number = float(match[1])
    return (number, match[2]) if math.isfinite(number) else None


def in_unit(text: str, unit: str | None) -> float:
    """
    A text as a number in the unit of a schema.

    Parameters
    ----------
    text : str
        ``"20"``, ``"20 deg"``; a bare number is taken to be in `unit` already.
    unit : str or None
        As astropy writes it; None if the parameter has none.

    Raises
    ------
    ValueError
        Not a number, an unknown unit, or a unit of another kind; says which are right.
    """
    parts = split(text)
    if parts is None:
        raise ValueError(f"{text!r} is not a number" + (f' (write "1.5 {unit}" or 1.5)' if unit else ""))
    number, given = parts
    if not given or given == unit:
        return number
    if unit is None:
        raise ValueError(f"{text!r} has a unit, but this parameter has none")
    from astropy import units as u

    target = u.Unit(unit)
    try:
        if given[0] in "+-.0123456789" and not re.match(r"1\s*/", given):
            raise ValueError("a second number, which astropy would take for a scale factor")
        source = u.Unit(given)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        raise ValueError(f"{given!r} is not a known unit; allowed units: {_equivalent(target)}") from None
    if not source.is_equivalent(target):
        raise ValueError(
            f"{given!r} is {_kind(source)}, this is {_kind(target)}; allowed units: {_equivalent(target)}"
        )
    value = float(source.to(target, number))
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is too large in {unit}")
    # 15 significant digits: "0.349065850398866 rad" must not turn 20 into 20.000000000000004 in a digest
    return float(f"{value:.15g}")


def unknown_unit(unit: object) -> str:
    """Why a unit of a schema can't be used; empty if it can."""
    if not isinstance(unit, str):
        return "a unit must be text, written as in astropy"
    from astropy import units as u

    try:
        u.Unit(unit)
    except (ValueError, TypeError) as error:
        return str(error).splitlines()[0]
    return ""


def _kind(unit: object) -> str:
    kind = str(getattr(unit, "physical_type", "unknown"))
    if kind == "unknown":
        return f"in {unit}"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} ({unit})"


def _equivalent(target: object) -> str:
    """A few units that people use, with the schema's first."""
    from astropy import units as u

    common = "deg arcmin arcsec rad h min s d yr km m cm GeV TeV PeV MeV eV erg J GHz MHz Hz K kpc Mpc"
    names = [n for n in common.split() if u.Unit(n).is_equivalent(target)]
    return ", ".join(dict.fromkeys([str(target), *names[:5]]))


def _scaled(value: int | float | str, table: dict[str, int], what: str) -> int:
    if not isinstance(value, str):
        parts: tuple[float, str] | None = (value, "")
    else:
        parts = split(value)
    if parts is None or parts[1].lower() not in table or not 0 <= parts[0] < 1e18:
        raise ValueError(f"{value!r} is not {what}")
    # through repr: "0.1 GB" is 10^8 bytes, not one more because 0.1 is no binary fraction
    amount = math.ceil(Fraction(repr(parts[0])) * table[parts[1].lower()])
    if amount >= 2**63:
        raise ValueError(f"{value!r} is too large")
    return amount


def to_bytes(value: int | float | str) -> int:
    """
    Bytes of ``"2 GB"`` (10^9), ``"2 GiB"`` (2^30) or a number.

    Raises
    ------
    ValueError
    """
    return _scaled(value, _BYTES, 'an amount of memory (write "2 GB", "512 MiB" or bytes)')


def to_seconds(value: int | float | str) -> int:
    """
    Seconds of ``"15 min"``, ``"2 h"``, ``"3 d"`` or a number.

    Raises
    ------
    ValueError
    """
    return _scaled(value, _SECONDS, 'a time (write "15 min", "2 h" or seconds)')


def human_count(count: int, one: str, several: str = "") -> str:
    """``1 file``, ``3 files``; with a plural of its own, ``2 processes``."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def human_cores(count: int) -> str:
    """``1 core``, ``4 cores``."""
    return human_count(count, "core")


def human_bytes(n: float) -> str:
    """``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(n) < 999.5 or unit == "TB":
            return f"{n:.3g} {unit}"
        n /= 1000
    raise AssertionError


def human_seconds(s: float) -> str:
    """``1 h 5 min``."""
    if s < 60:
        return f"{s:.1f} s" if s < 10 else f"{s:.0f} s"
    minutes = round(s / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours / 24:.1f} d"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
