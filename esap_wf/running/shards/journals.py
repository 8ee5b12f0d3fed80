"""
What the journals of shards tell of their units.

A journal is written by the shard runner (``rules/shard``), one file for each attempt at a shard, in
``work/shards/<step>`` of the run directory. Each event of a unit says up to where its journal has been passed
on (`Event.journal`), so that a successor of a killed supervisor goes on exactly there. Only what is new is
read: the folder where it has changed, and journals that have not ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.engines import following
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Event

#: Where journals are, in a run directory.
FOLDER = "work/shards"
_NAME = re.compile(r"((\d{7,})-(\d{7,})\.(\d{1,6}))\.jsonl")
#: A shard, as ``201-300``.
PART = re.compile(r"\d+-\d+")
#: Seconds after which a folder is listed although it seems unchanged: its time may be coarse, or seen late.
LISTED = 10.0
#: Seconds in which a folder that has just changed is listed once more.
FRESH = 2.0


class Line(msgspec.Struct, gc=False):
    """A line of a journal, as far as it matters here."""

    kind: str
    t: float = 0.0
    unit: str | None = None
    attempt: int | None = None
    again: bool = False
    exit_code: int | None = None
    reason: str | None = None
    detail: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    log: str | None = None
    host: str | None = None
    job: str | None = None
    root: str | None = None


_decode = msgspec.json.Decoder(Line).decode


@dataclass
class _Journal:
    """One attempt at a shard: up to which byte it was read, and up to which that was told."""

    name: str
    part: str
    attempt: int
    path: Path
    told: int = 0
    offset: int = 0
    host: str | None = None
    job: str | None = None
    root: str = ""
    ended: bool = False


@dataclass
class _Part:
    """The attempts at one shard, while the last has not ended: which units are done, and which failed."""

    journals: list[_Journal] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


class Journals:
    """
    Follows the journals of one step.

    Parameters
    ----------
    run : Path
        Run directory.
    sharding : Sharding
    epoch : int
        In which events are told.
    told : mapping
        Journal → bytes that were passed on, from `EventLog.journals`.
    """

    def __init__(self, run: Path, sharding: Sharding, epoch: int, told: Mapping[str, int]) -> None:
        self.run, self.sharding, self.epoch = run, sharding, epoch
        self.folder = run / FOLDER / sharding.step
        self._told = dict(told)
        self._parts: dict[str, _Part] = {}
        self._known: set[str] = set()
        self._seen: set[str] = set()
        self._counted: set[str] = set()
        self._failed: dict[str, set[str]] = {}
        self._changed, self._listed = -1, float("-inf")

    def read(self, ended: Collection[str] = ()) -> list[Event]:
        """
        Events since the last call.

        Parameters
        ----------
        ended : collection of str
            Shards whose jobs have ended, as ``201-300``: all that is in their journals is there to be seen.
        """
        self._list(sure=bool(ended))
        names = {_padded(part) for part in ended}
        events: list[Event] = []
        for name, part in list(self._parts.items()):
            for journal in part.journals:
                if name in names:
                    _refresh(journal.path)
                if not journal.ended:
                    events += self._of(part, journal)
            if part.journals[-1].ended:  # whatever earlier attempts say now is too late
                self._failed[name] = part.failed
                del self._parts[name]
        return events

    def has_failed(self, part: str) -> bool:
        """Whether units of a shard have failed, as far as was read."""
        name = _padded(part)
        open_ = self._parts.get(name)
        return bool(open_.failed if open_ else self._failed.get(name))

    def count(self, part: str) -> bool:
        """
        Whether nothing was seen of a shard, so that who asks is to count its units. What its journals tell
        later is only which of them were executed a second time.
        """
        name = _padded(part)
        if not name or name in self._seen:
            return False
        self._seen.add(name)
        self._counted.add(name)
        return True

    def begin_anew(self) -> None:
        """Tell everything once more."""
        self._told.clear()
        self._parts.clear()
        self._known.clear()
        self._seen.clear()
        self._counted.clear()
        self._listed = float("-inf")

    def _list(self, sure: bool) -> None:
        """Look for further journals, where the folder has changed."""
        moment = time.monotonic()
        try:
            changed = self.folder.stat().st_mtime_ns
        except OSError:
            return
        fresh = time.time() - changed / 1e9 < FRESH
        if changed == self._changed and not fresh and not sure and moment - self._listed < LISTED:
            return
        self._changed, self._listed = changed, moment
        for name in sorted(entry.name for entry in os.scandir(self.folder)):
            match = _NAME.fullmatch(name)
            if match is None or name in self._known:
                continue
            self._known.add(name)
            part = f"{match[2]}-{match[3]}"
            self._seen.add(part)
            mine = self._parts.setdefault(part, _Part())
            mine.failed |= self._failed.pop(part, set())
            told = self._told.get(match[1], 0)
            mine.journals.append(_Journal(match[1], part, int(match[4]), self.folder / name, told))
            mine.journals.sort(key=lambda journal: journal.attempt)

    def _of(self, part: _Part, journal: _Journal) -> list[Event]:
        """Events of what is new in one journal."""
        events: list[Event] = []
        while lines := following.lines_after(journal.path, journal.offset):
            for raw in lines:
                journal.offset += len(raw)
                try:
                    line = _decode(raw)
                except files.BROKEN:
                    continue
                found = self._events_of(part, journal, line)
                if journal.part in self._counted:
                    found = [event for event in found if event.kind == "again"]
                if journal.offset > journal.told:
                    mark = f"{journal.name}:{journal.offset}"
                    events += [msgspec.structs.replace(event, journal=mark) for event in found]
        return events

    def _events_of(self, part: _Part, journal: _Journal, line: Line) -> Iterable[Event]:
        if line.kind == "begin":
            journal.host, journal.job, journal.root = line.host, line.job, line.root or ""
        elif line.kind == "end":
            journal.ended = True
        unit = line.unit
        if unit is None:
            return []
        if line.kind == "start":
            part.failed.discard(unit)
            note = [self._again(line, journal)] if line.again else []
            # done by an attempt that was thought lost: it is counted, whatever comes of this one
            return note if unit in part.done else [*note, self._event("start", line, journal)]
        if line.kind == "done":
            if unit in part.done:
                return []
            part.done.add(unit)
            return [self._event("done", line, journal)]
        if line.kind == "failed":
            part.failed.add(unit)
            before = [self._event("start", line, journal)] if unit in part.done else []
            part.done.discard(unit)
            return [*before, self._event("failed", line, journal)]
        return []

    def _again(self, line: Line, journal: _Journal) -> Event:
        what = f"executed a second time: an earlier attempt at shard {journal.part} was lost"
        return Event(
            t=line.t, kind="again", epoch=self.epoch, step=self.sharding.step, unit=line.unit, detail=what
        )

    def _event(self, kind: str, line: Line, journal: _Journal) -> Event:
        return Event(
            t=line.t,
            kind=kind,
            epoch=self.epoch,
            step=self.sharding.step,
            unit=line.unit,
            attempt=line.attempt,
            exit_code=line.exit_code,
            reason=line.reason,
            detail=line.detail,
            log=self._log(line, journal),
            host=journal.host,
            batch=journal.job if kind == "failed" else None,
            seconds=line.seconds,
            cpu_seconds=line.cpu_seconds,
            memory_bytes=line.memory_bytes,
        )

    def _log(self, line: Line, journal: _Journal) -> str | None:
        if line.log is None or not journal.root:
            return line.log
        path = f"{journal.root}/{line.log}"
        for root in (str(self.run), os.path.realpath(self.run)):
            if path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        return line.log


def _padded(part: str) -> str:
    """A shard as its journals are called; empty if it is none."""
    return "-".join(f"{int(n):07d}" for n in part.split("-")) if PART.fullmatch(part) else ""


def _refresh(path: Path) -> None:
    """A network file system is asked anew what it knows of a file when that is opened."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY))
