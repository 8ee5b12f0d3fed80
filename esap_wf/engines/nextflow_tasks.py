"""Which unit a task of Nextflow is, and when its log's times were.

Imported by esap_wf.engines.nextflow_events.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta


class Names:
    """Which unit a task is. Tags need not be unique: a second task of a name is ``tag #2``, also when a later epoch repeats it."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}  # (name, hash) → number among the tasks of that name
        self._taken: dict[str, set[int]] = {}
        self._failed: dict[str, list[int]] = {}
        self._first: dict[str, str] = {}
        self._attempts: dict[tuple[str, int], int] = {}

    def enter(self, name: str, hash: str, again: bool = False) -> tuple[int, int]:
        """Number of a task among those of its name, and its attempt."""
        number = self._numbers.get((name, hash))
        if number is None:
            taken = self._taken.setdefault(name, set())
            failed = self._failed.get(name)
            if again and failed:
                number = failed.pop(0)
            else:
                number = next(n for n in range(1, len(taken) + 2) if n not in taken)
            taken.add(number)
            self._numbers[name, hash] = number
            self._first.setdefault(name, hash)
            self._attempts[name, number] = self._attempts.get((name, number), 0) + 1
        return number, self._attempts[name, number]

    def failed(self, name: str, number: int) -> None:
        """It may be tried again."""
        self._failed.setdefault(name, []).append(number)

    def forget(self, name: str, number: int) -> None:
        """It was not done in an earlier epoch: whoever has its name next is it."""
        self._taken.get(name, set()).discard(number)
        self._attempts.pop((name, number), None)

    def words(self, name: str, number: int) -> tuple[str, str | None, str | None]:
        """Step, unit, and what stands for a unit where there is none."""
        step, _, tag = name.partition(" (")
        unit = tag.removesuffix(")") if tag else None
        if number > 1:
            unit = f"{unit or ''} #{number}".strip()
        return step, unit, self._first.get(name) if unit is None else None


def moment(stamp: str, now: float | None = None) -> float:
    """
    Seconds since 1970 of a log's ``Nov-21 09:39:55.813``.

    The month is left out, because it is written in the language of the place: it is the last such day that is not to come.
    """
    current = datetime.fromtimestamp(time.time() if now is None else now)
    day, clock = stamp.rpartition("-")[2].split(" ")
    hour, minute, second, thousandth = (int(n) for n in re.split("[:.]", clock))
    try:
        found = current.replace(hour=hour, minute=minute, second=second, microsecond=1000 * thousandth)
    except ValueError:
        return current.timestamp()
    for _ in range(32):
        if found.day == int(day) and found <= current + timedelta(minutes=1):
            return found.timestamp()
        found -= timedelta(days=1)
    return current.timestamp()
