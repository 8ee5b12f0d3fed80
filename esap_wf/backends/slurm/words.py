"""How Slurm writes ids, times, amounts and records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from esap_wf.backends.launcher import OutageError
from esap_wf.formats.printing import clipped, one_line

_ID = re.compile(r"[1-9]\d{0,11}(?:[_+]\d{1,10})?")
#: Members of an array that wait, and are one line.
_ARRAY = re.compile(r"([1-9]\d{0,11})_\[([0-9,:\-]+)(?:,?\.\.\.)?(?:%\d+)?\]")
#: Members of one line, at most: as many as Slurm allows in an array.
_MEMBERS = 4_000_001
_NOTHING = ("", "(null)", "N/A", "n/a", "None", "Unknown", "None assigned")
_SIZE = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


def nonsense(program: str, text: str) -> OutageError:
    """A command has printed what can't be read."""
    shown = one_line(clipped(text.strip(), 100)) or "nothing"
    return OutageError(f"{program} talks nonsense: {shown}")


def failed(program: str, text: str) -> OutageError:
    """A command that has not done what it was asked for."""
    return OutageError(
        f"{program} has failed: {one_line(clipped(text.strip(), 200)) or 'it does not say why'}"
    )


def members(text: str) -> Iterator[str]:
    """An id, or the ids of the members of an array that are told as one: ``7_[1-3,9%2]``."""
    if _ID.fullmatch(text):
        yield text
    elif whole := _ARRAY.fullmatch(text):
        for number in indexes(whole[2].rstrip(",")):
            yield f"{whole[1]}_{number}"


def indexes(text: str) -> list[int]:
    """``1-3,9,20-30:5`` as numbers; none if it isn't that."""
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?", part)
        if ends is None:
            return []
        numbers = range(int(ends[1]), int(ends[2] or ends[1]) + 1, int(ends[3] or 1) or 1)
        if len(found) + len(numbers) > _MEMBERS:
            return []
        found += numbers
    return found


def is_id(text: str) -> bool:
    """Whether this is how a job, or a member of an array, is called."""
    return bool(_ID.fullmatch(text))


def moment(text: str) -> float | None:
    """A time as Slurm writes it, be it in seconds; None if it is none, or not known."""
    word = text.strip()
    if word in _NOTHING:
        return None
    if word.isdecimal():
        return float(word) if 0 < len(word) < 13 else None
    try:
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def duration(text: str) -> float | None:
    """``1-02:03:04``, ``02:03:04``, ``03:04.500``, ``30`` (minutes) in seconds; None if it is none."""
    found = re.fullmatch(r"(?:(\d{1,6})-)?(\d{1,6})(?::(\d{1,4}))?(?::(\d{1,2}))?(\.\d{1,6})?", text.strip())
    if found is None:
        return None
    days, parts = int(found[1] or 0), [int(p) for p in found.group(2, 3, 4) if p is not None]
    weights = (3600, 60, 1) if found[1] or len(parts) == 3 else (60, 1)
    whole = sum(p * w for p, w in zip(parts, weights, strict=False))
    return days * 86400 + whole + float(found[5] or 0)


def amount(text: str) -> int | None:
    """``1.50G``, ``2000K``, ``4000`` in bytes (without a letter: as they are); None if it is none."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,6})?)([KMGTP]?)[nc]?", text.strip())
    return None if found is None else int(float(found[1]) * _SIZE[found[2]])


def text_of(field: str) -> str:
    """A field, empty where Slurm writes that there is nothing."""
    return "" if field in _NOTHING else field


_KEY = re.compile(r"(?:^|(?<=\s))([A-Za-z][A-Za-z0-9_:/]*)=")


def records(program: str, text: str, first: str) -> list[dict[str, str]]:
    """
    The records of ``scontrol --oneliner show …``: key → value, of a key that comes twice the first.

    Parameters
    ----------
    program : str
        For people.
    text : str
    first : str
        The key with which each line begins.

    Raises
    ------
    OutageError
        It isn't that.
    """
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        if not line.startswith(f"{first}="):
            raise nonsense(program, line)
        keys = [*_KEY.finditer(line)]
        record: dict[str, str] = {}
        for key, after in zip(keys, [*keys[1:], None], strict=True):
            record.setdefault(key[1], line[key.end() : after.start() if after else None].strip())
        found.append(record)
    return found
