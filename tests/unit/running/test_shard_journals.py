"""Units in shards, as the journals tell of them: counted once, whoever reads on, at the cost of what is new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esap_wf.engines import following
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Event, Phase, Reason, State
from esap_wf.running.event_log import EventLog
from esap_wf.running.shards import Journals, ShardedEvents
from esap_wf.runs import progress

SHARDING = Sharding(step="unit", job="unit_shard", size=3, shards=2)


def lines(*entries: Any) -> bytes:
    """``("start", "u1")`` or a whole line."""
    made = [
        e if isinstance(e, dict) else {"kind": e[0], "t": 1.0, "unit": e[1], "attempt": 1} for e in entries
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in made)


class Folder:
    """A run's journals."""

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, run / "work/shards/unit"
        self.folder.mkdir(parents=True)

    def add(self, name: str, *entries: Any) -> None:
        with (self.folder / f"{name}.jsonl").open("ab") as file:
            file.write(lines(*entries))

    def follow(self, told: dict[str, int] | None = None) -> Journals:
        return Journals(self.run, SHARDING, 1, told or {})


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def brief(events: Sequence[Event]) -> list[tuple[str, str | None]]:
    return [(e.kind, e.unit) for e in events]


def counts(events: Sequence[Event]) -> tuple[int, int, int]:
    """Units done, failed and running."""
    data = [msgspec.json.encode(e) + b"\n" for e in events]
    p = progress.fold(State(phase=Phase.EXECUTING), data, ["unit"]).progress
    return p.units_done, p.units_failed, p.units_running


ONE, TWO = "0000001-0000003.1", "0000001-0000003.2"


def test_what_is_new_is_told_and_nothing_else(run):
    journals = run.follow()
    assert journals.read() == []
    run.add(ONE, {"kind": "begin", "host": "n1"}, ("start", "u1"), ("done", "u1"), ("start", "u2"))
    assert brief(journals.read()) == [("start", "u1"), ("done", "u1"), ("start", "u2")]
    assert journals.read() == []
    run.add(ONE, ("failed", "u2"))
    (event,) = journals.read()
    assert (event.kind, event.host, event.step) == ("failed", "n1", "unit")


def test_a_failed_unit_names_the_job_of_its_shard_and_the_node(run):
    """What Slurm says of that job adds its state; why the unit has failed is its own."""
    journals = run.follow()
    run.add(ONE, {"kind": "begin", "host": "n1", "job": "17"}, ("start", "u1"))
    run.add(ONE, {"kind": "failed", "unit": "u1", "exit_code": 3, "reason": Reason.EXIT_CODE}, ("done", "u2"))
    told = journals.read()
    shard = Event(t=0, kind="failed", step="unit_shard", unit="1-3", batch="17", reason=Reason.UNITS)
    slurm = Event(
        t=0,
        kind="job",
        step="unit_shard",
        batch="17",
        host="n1",
        state="TIMEOUT",
        reason="timeout",
        exit_code=1,
    )
    data = [msgspec.json.encode(e) + b"\n" for e in (*told, shard, slurm)]
    (failure,) = progress.fold(State(phase=Phase.EXECUTING), data, ["unit"]).failures
    assert (failure.unit, failure.job, failure.node, failure.state) == ("u1", "17", "n1", "TIMEOUT")
    assert (failure.reason, failure.exit_code) == (Reason.EXIT_CODE, 3)
    assert [e.batch for e in told if e.kind != "failed"] == [None, None]


def of_shard(kind: str, unit: str) -> Event:
    return Event(t=1.0, kind=kind, step="unit_shard", unit=unit, job=unit)


def test_units_of_a_shard_without_a_journal_are_counted_when_all_are_done(run):
    """An engine that numbers its shards: the last one is smaller."""
    engine = Engine(
        [of_shard("start", "1"), of_shard("start", "3")], [of_shard("done", "1"), of_shard("done", "3")]
    )
    journals = run.follow()
    size = journals.sharding.size
    source = ShardedEvents(engine, journals, units=2 * size + 1, left=2 * size + 1, announced=False)
    assert [e for e in source.read() if e.step == "unit"] == []
    told = [e for e in source.read() if e.step == "unit"]
    assert {e.kind for e in told} == {"done"}
    assert len({e.unit for e in told}) == len(told) == size + 1


def test_a_journal_that_is_seen_after_its_units_were_counted_tells_only_what_was_repeated(run):
    engine = Engine([of_shard("done", "1-3")])
    journals = run.follow()
    source = ShardedEvents(engine, journals, units=3, left=3, announced=False)
    assert sum(e.step == "unit" for e in source.read()) == 3
    run.add(ONE, ("start", "u1"), ("done", "u1"), ("start", "u2"))
    run.add(TWO, {"kind": "start", "unit": "u2", "again": True}, ("done", "u2"))
    assert [e.kind for e in journals.read(["1-3"])] == ["again"]


def test_a_line_that_is_half_written_waits_for_its_end(run):
    journals = run.follow()
    path = run.folder / f"{ONE}.jsonl"
    path.write_bytes(b'{"kind":"start","unit":"u1"}\n{"kind":"do')
    assert brief(journals.read()) == [("start", "u1")]
    path.write_bytes(path.read_bytes() + b'ne","unit":"u1"}\n')
    assert brief(journals.read()) == [("done", "u1")]


def test_a_shard_that_has_ended_is_not_looked_at_again(run, monkeypatch):
    read: list[str] = []
    real = following.lines_after
    monkeypatch.setattr(
        following, "lines_after", lambda path, offset: (read.append(path.name), real(path, offset))[1]
    )
    journals = run.follow()
    for number in range(1, 51):
        run.add(
            f"{number:07d}-{number:07d}.1", ("start", f"u{number}"), ("done", f"u{number}"), {"kind": "end"}
        )
    run.add("0000051-0000051.1", ("start", "u51"))
    assert len(journals.read()) == 101
    read.clear()
    journals.read()
    assert read == ["0000051-0000051.1.jsonl"]


def test_a_second_attempt_repeats_what_was_lost_and_is_counted_once(run):
    run.add(ONE, ("start", "u1"), ("done", "u1"), ("start", "u2"))
    run.add(
        TWO,
        {"kind": "start", "unit": "u2", "again": True},
        ("done", "u2"),
        ("start", "u3"),
        ("done", "u3"),
        {"kind": "end"},
    )
    events = run.follow().read()
    assert counts(events) == (3, 0, 0)
    assert [e.unit for e in events if e.kind == "again"] == ["u2"]
    data = [msgspec.json.encode(e) + b"\n" for e in events]
    assert progress.fold(State(phase=Phase.EXECUTING), data, ["unit"]).progress.second_executions == 1


def test_what_a_lost_attempt_writes_too_late_is_not_counted_twice(run):
    journals = run.follow()
    run.add(ONE, ("start", "u1"))
    run.add(TWO, {"kind": "start", "unit": "u1", "again": True})
    events = journals.read()
    run.add(ONE, ("done", "u1"))
    events += journals.read()
    run.add(TWO, ("done", "u1"))
    events += journals.read()
    run.add(TWO, {"kind": "end"})
    run.add(ONE, ("start", "u9"))
    events += journals.read()
    assert [k for k, u in brief(events) if u == "u1"].count("done") == 1
    assert counts(events)[0] == 1


def test_an_engine_that_begins_anew_is_told_everything_once_more(run):
    journals = run.follow()
    run.add(ONE, ("start", "u1"), ("done", "u1"), {"kind": "end"})
    first = journals.read()
    journals.begin_anew()
    assert brief(journals.read()) == brief(first)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_successor_neither_loses_nor_repeats_what_was_told(tmp_path_factory, data):
    """The supervisor is killed after any number of lines of events.jsonl, while the shards go on."""
    run = Folder(tmp_path_factory.mktemp("run"))
    script: list[Any] = [
        ("start", "u1"),
        ("done", "u1"),
        ("start", "u2"),
        ("failed", "u2"),
        ("start", "u2"),
        ("done", "u2"),
        ("start", "u3"),
        ("done", "u3"),
        {"kind": "end"},
    ]
    log: list[bytes] = []
    for name in (ONE, "0000004-0000006.1"):
        written = 0
        while written < len(script):
            step = data.draw(st.integers(1, 4))
            entries = [
                e if isinstance(e, dict) else (e[0], f"{e[1]}-{name}")
                for e in script[written : written + step]
            ]
            run.add(name, *entries)
            written += step
            (run.run / "events.jsonl").write_bytes(b"".join(log))
            journals = run.follow(EventLog.journals(_Log(run.run)))  # type: ignore[arg-type]
            events = [msgspec.json.encode(e) + b"\n" for e in journals.read()]
            log += events[: data.draw(st.integers(0, len(events)))]
    (run.run / "events.jsonl").write_bytes(b"".join(log))
    log += [msgspec.json.encode(e) + b"\n" for e in run.follow(EventLog.journals(_Log(run.run))).read()]  # type: ignore[arg-type]
    p = progress.fold(State(phase=Phase.EXECUTING), log, ["unit"]).progress
    assert (p.units_done, p.units_failed, p.units_running) == (6, 0, 0)
    told = [msgspec.json.decode(line, type=Event) for line in log]
    assert len([e for e in told if e.kind == "done"]) == 6


class _Log:
    """Of an event log, where it is."""

    def __init__(self, folder: Path) -> None:
        self.run = self
        self.events_path = folder / "events.jsonl"


class Engine:
    """An engine's events, in parts."""

    def __init__(self, *parts: list[Event]) -> None:
        self.parts = list(parts)

    def read(self) -> list[Event]:
        return self.parts.pop(0) if self.parts else []


def test_the_number_of_units_is_told_after_the_engines_own_plan(run):
    plan = Event(t=1, kind="plan", epoch=1, totals={"unit_shard": 2, "summary": 1})
    run.add(ONE, ("start", "u1"), ("done", "u1"))
    events = ShardedEvents(Engine([plan]), run.follow(), 6, 6, announced=False).read()
    assert [e.totals for e in events[:2]] == [plan.totals, {"unit": 6}]
    data = [msgspec.json.encode(e) + b"\n" for e in events]
    p = progress.fold(State(phase=Phase.EXECUTING), data, ["unit"]).progress
    assert (p.units_total, p.units_done) == (6, 1)


def test_a_failed_shard_is_explained_by_its_units(run):
    run.add(ONE, ("start", "u1"), ("failed", "u1"), {"kind": "end"})
    ended = [
        Event(t=1, kind="failed", epoch=1, step="unit_shard", unit=part)
        for part in ("1-3", "1", "4-6", "all")
    ]
    events = ShardedEvents(Engine([], ended), run.follow(), 6, 6, announced=True)
    read = events.read() + events.read()
    assert [e.reason for e in read if e.step == "unit_shard"] == [Reason.UNITS, Reason.UNITS, None, None]
    data = [msgspec.json.encode(e) + b"\n" for e in read]
    state = progress.fold(State(phase=Phase.EXECUTING), data, ["unit"])
    assert [(f.step, f.unit) for f in state.failures] == [
        ("unit_shard", "4-6"),
        ("unit_shard", "all"),
        ("unit", "u1"),
    ] or [(f.step, f.unit) for f in state.failures] == [
        ("unit", "u1"),
        ("unit_shard", "4-6"),
        ("unit_shard", "all"),
    ]


def test_logs_are_named_as_they_lie_in_the_run_directory(run):
    run.add(
        ONE,
        {"kind": "begin", "root": f"{run.run}/work/shards/unit/kept"},
        {"kind": "failed", "unit": "u1", "log": "logs/u1.log"},
    )
    (event,) = run.follow().read()
    assert event.log == "work/shards/unit/kept/logs/u1.log"
