"""An engine's events with those of the units in its shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from esap_wf.engines import EventSource
from esap_wf.models.run import Event, Reason
from esap_wf.running.shards.journals import PART, Journals


class ShardedEvents:
    """
    See `esap_wf.engines.EventSource`.

    Parameters
    ----------
    source : EventSource
        The engine's.
    journals : Journals
    units, left : int
        How many there are, and how many of them are not done yet.
    announced : bool
        Whether the number of units was told in this epoch.
    """

    def __init__(
        self, source: EventSource, journals: Journals, units: int, left: int, announced: bool
    ) -> None:
        self.source, self.journals, self.units, self.left = source, journals, units, left
        self._announced = announced

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        # the engine first: whatever it says of a shard, the journal has said before of its units
        told = self.source.read()
        job = self.journals.sharding.job
        ended = {
            self._part(e.unit) for e in told if e.step == job and e.unit and e.kind in ("done", "failed")
        }
        units = [*self.journals.read(ended), *self._unseen(told)]
        events: list[Event] = []
        for event in told:
            if event.kind == "anew":
                self.journals.begin_anew()
            events += self._announcing(self._known_by_unit(event))
        return [*events, *(e for unit in units for e in self._announcing(unit))]

    def _unseen(self, told: Iterable[Event]) -> Iterator[Event]:
        """
        Units of shards that are done and whose journals are not seen here (CWL in a container, a piece at
        another place): known by their numbers alone, and only when all of a shard are done.
        """
        sharding = self.journals.sharding
        for event in told:
            if event.step != sharding.job or event.kind != "done" or not event.unit:
                continue
            part = self._part(event.unit)
            if PART.fullmatch(part) and self.journals.count(part):
                first, last = map(int, part.split("-"))
                for number in range(first, min(last, self.units) + 1):
                    yield Event(
                        t=event.t,
                        kind="done",
                        epoch=self.journals.epoch,
                        step=sharding.step,
                        unit=str(number),
                    )

    def _part(self, name: str) -> str:
        """A shard as ``201-300``; engines that only count them call this one ``3``."""
        if not name.isdecimal():
            return name
        size, units = self.journals.sharding.size, self.units
        return f"{(int(name) - 1) * size + 1}-{min(int(name) * size, units)}"

    def _announcing(self, event: Event) -> list[Event]:
        """An event, and how many units there are if it is the first that tells of work."""
        if self._announced or event.kind not in ("plan", "start", "done", "failed"):
            return [event]
        self._announced = True
        sharding = self.journals.sharding
        plan = Event(t=event.t, kind="plan", epoch=self.journals.epoch, totals={sharding.step: self.left})
        return [event, plan] if event.kind == "plan" else [plan, event]

    def _known_by_unit(self, event: Event) -> Event:
        """A shard that failed because units failed: they are told of, each with its log."""
        if event.kind != "failed" or event.step != self.journals.sharding.job or event.unit is None:
            return event
        if not self.journals.has_failed(self._part(event.unit)):
            return event
        return msgspec.structs.replace(event, reason=Reason.UNITS)
