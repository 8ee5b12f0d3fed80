"""Which unit a task of Nextflow is, and when its log's times were."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta


class Names:
    """
    Which unit a task is, and at which attempt.

    Tags need not be unique: a second task of a name is ``tag #2``, also when a later epoch repeats it. A task
    that is submitted again is the same unit, whether the end of its last attempt was reported before or comes
    later.
    """

    def __init__(self) -> None:
        # (name, hash) → number among the tasks of that name, attempt
        self._tasks: dict[tuple[str, str], tuple[int, int]] = {}
        self._hashes: dict[str, tuple[str, int]] = {}
        self._latest: dict[tuple[str, int], str] = {}
        self._numbers: dict[str, set[int]] = {}
        self._failed: dict[str, list[int]] = {}
        self._done: set[tuple[str, int]] = set()
        self._first_hash: dict[str, str] = {}
        self._attempts: dict[tuple[str, int], int] = {}

    def enter(self, name: str, hash: str, retried: bool = False) -> tuple[int, int]:
        """Number of a task among those of its name, and its attempt."""
        known = self._tasks.get((name, hash))
        if known is not None:
            return known
        taken = self._numbers.setdefault(name, set())
        number = self._repeated(name, taken) if retried else None
        if number is None:
            number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        taken.add(number)
        self._first_hash.setdefault(name, hash)
        attempt = self._attempts[name, number] = self._attempts.get((name, number), 0) + 1
        self._latest[name, number] = hash
        self._hashes[hash] = name, number
        self._tasks[name, hash] = number, attempt
        return number, attempt

    def _repeated(self, name: str, taken: set[int]) -> int | None:
        """
        The number of the task that is tried again: one that failed, else one that hasn't ended, as far as is
        reported by now.
        """
        if failed := self._failed.get(name):
            return failed.pop(0)
        return next((n for n in sorted(taken) if (name, n) not in self._done), None)

    def done(self, name: str, number: int) -> None:
        """It won't be tried again."""
        self._done.add((name, number))

    def failed(self, name: str, number: int, hash: str) -> None:
        """It may be tried again, unless it is already."""
        waiting = self._failed.setdefault(name, [])
        if self._latest.get((name, number)) == hash and number not in waiting:
            waiting.append(number)

    def noted(self, hash: str) -> None:
        """The log says that a task is tried again, before its trace says that it failed."""
        if known := self._hashes.get(hash):
            self.failed(*known, hash)

    def forget(self, name: str, number: int) -> None:
        """Unless it was done in an earlier epoch: whoever has its name next is it."""
        if (name, number) in self._done:
            return
        self._numbers.get(name, set()).discard(number)
        self._attempts.pop((name, number), None)

    def words(self, name: str, number: int) -> tuple[str, str | None, str | None]:
        """Step, unit, and what stands for a unit where there is none."""
        step, _, tag = name.partition(" (")
        unit = tag.removesuffix(")") if tag else None
        if number > 1:
            unit = f"{unit or ''} #{number}".strip()
        return step, unit, self._first_hash.get(name) if unit is None else None


def moment(stamp: str, now: float | None = None) -> float:
    """
    Seconds since 1970 of a log's ``Nov-21 09:39:55.813``.

    The month is left out, because it is written in the language of the place: it is the last such day that is
    not to come.
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
