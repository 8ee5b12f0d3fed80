"""What somebody needs of a place, in short words: ``gpu=1,memory=64GB,cores=16,nodes=2,wall=2h,disk=1TB``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from esap_wf.errors import Problem, UsageError
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.formats.schemas import closest
from esap_wf.models.plan import Allocation

#: Nobody counts more of anything, and no place is asked for it.
_MOST = 10**6


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text[:8]) <= _MOST or len(text) > 8:
            raise ValueError(f"{text!r} is not a whole number from {least} to {_MOST}")
        return int(text)

    return number


def _some(read: Callable[[str], int]) -> Callable[[str], int]:
    def amount(text: str) -> int:
        if (value := read(text)) < 1:
            raise ValueError(f"{text!r} is nothing")
        return value

    return amount


#: Word → field of an allocation, and how its amount is read.
WORDS: dict[str, tuple[str, Callable[[str], int]]] = {
    "cores": ("cores", _at_least(1)),
    "memory": ("memory_bytes", _some(to_bytes)),
    "disk": ("disk_bytes", _some(to_bytes)),
    "wall": ("wall_seconds", _some(to_seconds)),
    "gpu": ("gpus", _at_least(0)),
    "nodes": ("nodes", _at_least(1)),
}
#: What people also write.
_ALSO = {"core": "cores", "gpus": "gpu", "node": "nodes"}
EXAMPLE = "gpu=1,memory=64GB,cores=16"


def parse(texts: Iterable[str]) -> Allocation:
    """
    What is needed; of what is not said, the least that there is.

    Parameters
    ----------
    texts : iterable of str
        Each of the form ``WORD=AMOUNT,…``.

    Raises
    ------
    UsageError
        With all that is wrong.
    """
    amounts: dict[str, int] = {}
    problems: list[Problem] = []
    for part in (p.strip() for text in texts for p in text.split(",")):
        word, equals, given = (p.strip() for p in part.partition("="))
        name = _ALSO.get(word.lower(), word.lower())
        if not part or not equals or not given:
            problems.append(
                Problem("--needs", f"{part!r} is not of the form WORD=AMOUNT", f"as in {EXAMPLE}")
            )
        elif name not in WORDS:
            hint = closest(name, [*WORDS, *_ALSO]) or f"known: {', '.join(WORDS)}"
            problems.append(Problem("--needs", f"unknown word {word!r}", hint))
        else:
            field, read = WORDS[name]
            if field in amounts:
                problems.append(Problem("--needs", f"{name} is given twice", "give it once"))
                continue
            amounts[field] = 0
            try:
                amounts[field] = read(given)
            except ValueError as error:
                problems.append(Problem(f"--needs {name}", str(error)))
    if problems:
        raise UsageError("the needs are not valid", problems)
    least = Allocation(cores=1, memory_bytes=0, disk_bytes=0, wall_seconds=0)
    return msgspec.structs.replace(least, **amounts)
