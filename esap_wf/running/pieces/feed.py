"""
What the engines of all pieces report, as one engine's events: counts of a step are sums over slices.

Whoever begins to watch begins to count: the events of every piece are told from their start, in the owner's
epoch, after one that says that everything before is void. Nothing has to be remembered of where a record was
read to.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from esap_wf.engines import Cursor, EngineBase, EventSource
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Event
from esap_wf.running.shards import Journals, ShardedEvents
from esap_wf.runs.pieces import JOIN, WHOLE, Attempt


class Feed:
    """
    The events of a run's pieces. See `esap_wf.engines.EventSource`.

    Parameters
    ----------
    engine : EngineBase
    epoch : int
        Of the owner, in which the events are told.
    sharding : Sharding, optional
        If units share jobs.
    units, slices : int
        Of the run.
    """

    def __init__(
        self,
        engine: EngineBase,
        epoch: int,
        sharding: Sharding | None = None,
        units: int = 0,
        slices: int = 1,
    ) -> None:
        self.engine, self.epoch = engine, epoch
        self.sharding, self.units, self.slices = sharding or Sharding(), units, slices
        self._sources: dict[str, EventSource] = {}
        self._slices: dict[str, str] = {}
        self._totals: dict[str, dict[str, int]] = {}
        self._begun = False

    def add(self, attempt: Attempt, pulled: Path) -> None:
        """Read what an attempt reports from now on; again, nothing is added."""
        if attempt.key not in self._sources:
            self._sources[attempt.key] = self._source(attempt, pulled)
            self._slices[attempt.key] = attempt.slice

    def _source(self, attempt: Attempt, pulled: Path) -> EventSource:
        source = self.engine.events(pulled, 1, Cursor.START)
        if not self.sharding.size or attempt.slice == JOIN:
            return source
        units = self._units(attempt.slice)
        journals = Journals(pulled, self.sharding, self.epoch, {})
        return ShardedEvents(source, journals, units, units, announced=False)

    def _units(self, slice_: str) -> int:
        """How many units a slice has."""
        if slice_ == WHOLE:
            return self.units
        number = int(slice_)
        return self.units * number // self.slices - self.units * (number - 1) // self.slices

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        events = [] if self._begun else [Event(t=time.time(), kind="anew", epoch=self.epoch)]
        self._begun = True
        for key, source in self._sources.items():
            for event in source.read():
                events += self._told(key, event)
        return events

    def _told(self, key: str, event: Event) -> list[Event]:
        if event.kind == "anew":  # each begins from nothing
            return []
        if event.kind == "plan":
            self._totals[key] = dict(event.totals or {})
            event = msgspec.structs.replace(event, totals=self._sums())
        slice_ = self._slices[key]
        job = event.job if event.job is None or slice_ == WHOLE else f"{slice_}/{event.job}"
        return [msgspec.structs.replace(event, epoch=self.epoch, job=job, mark=None, journal=None)]

    def _sums(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for totals in self._totals.values():
            for step, number in totals.items():
                sums[step] = sums.get(step, 0) + number
        return sums
