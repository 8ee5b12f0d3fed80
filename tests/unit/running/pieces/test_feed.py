"""The events of all pieces, told as one engine's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from esap_wf.engines import Cursor, EngineBase, EventSource, Job, Rendered
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Event, Phase, State
from esap_wf.running.pieces.feed import Feed
from esap_wf.runs.pieces import Attempt
from esap_wf.runs.progress import fold

TOLD: dict[str, list[list[Event]]] = {}


class Source:
    def __init__(self, name: str) -> None:
        self.parts = iter(TOLD[name])

    def read(self) -> list[Event]:
        return next(self.parts, [])


class Engine(EngineBase):
    contract = 1
    name = title = "engine"

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        return Rendered(["true"])

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        assert (epoch, cursor) == (1, Cursor.START)
        return Source(run.name)


def attempt(slice_: str) -> Attempt:
    return Attempt(key=f"r.1.{slice_}.1", slice=slice_, attempt=1, plan="p", started="")


def event(kind: str, **more: Any) -> Event:
    return Event(t=1.0, kind=kind, epoch=1, mark=7, **more)


def counted(state: State, *feeds: Feed) -> State:
    encode = msgspec.json.Encoder().encode
    for feed in feeds:
        while events := feed.read():
            state = fold(state, [encode(e) + b"\n" for e in events], ["unit"])
    return state


def job(number: int, unit: int = 0) -> list[Event]:
    told = {"step": "unit", "job": str(number), "unit": f"u{unit or number}"}
    return [event("start", **told), event("done", **told)]


def feed(epoch: int, *slices: str) -> Feed:
    made = Feed(Engine(), epoch)
    for name in slices:
        made.add(attempt(name), Path(name))
        made.add(attempt(name), Path(name))  # pulled once more
    return made


def test_counts_are_sums_over_slices_although_their_jobs_have_the_same_numbers():
    TOLD.update(
        {
            "1": [[event("plan", totals={"unit": 2}), *job(1)], job(2)],
            "2": [[event("plan", totals={"unit": 1}), *job(1, 3)]],
            "join": [[event("plan", totals={"summary": 1}), event("done", step="summary", job="1")]],
        }
    )
    state = counted(State(phase=Phase.EXECUTING), feed(1, "1", "2", "join"))
    assert [(s.name, s.done, s.total) for s in state.steps] == [("unit", 3, 3), ("summary", 1, 1)]


def test_who_watches_anew_counts_anew():
    TOLD["1"] = [[event("plan", totals={"unit": 2}), *job(1)]]
    state = counted(State(phase=Phase.EXECUTING), feed(1, "1"))
    assert state.progress.units_done == 1
    TOLD["1"] = [[event("plan", totals={"unit": 2}), *job(1), *job(2)]]
    state = counted(state, feed(2, "1"))
    assert (state.progress.units_done, state.progress.units_total) == (2, 2)


def test_what_a_lost_attempt_has_told_is_void():
    TOLD.update(
        {
            "1": [[event("plan", totals={"unit": 2}), *job(1), *job(2)]],
            "2": [[event("plan", totals={"unit": 1}), *job(1, 3)]],
        }
    )
    state = counted(State(phase=Phase.EXECUTING), feed(1, "1", "2"))
    assert state.progress.units_done == 3
    TOLD["1"] = [[event("plan", totals={"unit": 2}), *job(1), *job(2)]]
    state = counted(state, feed(2, "1"))  # what was slice 2 is lost
    assert (state.progress.units_done, state.progress.units_failed) == (2, 0)
