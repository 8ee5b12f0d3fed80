from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esap_wf.models.run import Event, Phase, Progress, State
from esap_wf.runs import event_lines, folding, progress
from esap_wf.runs.counts import ended, unnamed

START = State(phase=Phase.EXECUTING)


def lines(*events: Event) -> list[bytes]:
    return [msgspec.json.encode(e) + b"\n" for e in events]


def event(kind: str, unit: str | None = None, step: str | None = "sim", **more: Any) -> Event:
    more.setdefault("epoch", 1)
    return Event(t=1.0, kind=kind, step=step if kind != "plan" else None, unit=unit, **more)


def counts(state: State, step: str = "sim") -> tuple[int, int, int, int]:
    found = next(s for s in state.steps if s.name == step)
    return found.total, found.done, found.failed, found.running


def test_a_run() -> None:
    state = progress.fold(
        START,
        lines(
            event("plan", totals={"sim": 3, "merge": 1}),
            event("start", "1"),
            event("start", "2"),
            event("done", "1"),
            event("start", "3"),
            event("failed", "2", reason="EXIT_CODE", exit_code=7, log="logs/2", detail="why"),
        ),
        unit_steps=["sim"],
    )
    assert counts(state) == (3, 1, 1, 1)
    assert state.progress.units_total == 3
    assert state.progress.jobs_total == 4
    assert (state.failures[0].unit, state.failures[0].exit_code, state.failures[0].log) == ("2", 7, "logs/2")
    later = progress.fold(
        state,
        lines(
            event("start", "2"),
            event("done", "2"),
            event("done", "3"),
            event("start", None, "merge", job="9"),
        ),
    )
    assert counts(later) == (3, 3, 0, 0)
    assert later.failures == []
    assert (later.progress.units_done, later.progress.jobs_done, later.progress.jobs_running) == (3, 3, 1)
    assert later.phase is Phase.EXECUTING


def test_what_is_told_twice_counts_once() -> None:
    once = lines(
        event("plan", totals={"sim": 5}),
        event("start", "1"),
        event("done", "1"),
        event("start", "2"),
        event("failed", "2"),
    )
    twice = [line for line in once for _ in range(2)]
    assert counts(progress.fold(START, once)) == counts(progress.fold(START, twice)) == (5, 1, 1, 0)


@pytest.mark.parametrize("starts", [True, False])
def test_what_the_engine_before_did_last_is_done_again_and_counts_once(starts: bool) -> None:
    first = [
        event("plan", totals={"sim": 3}),
        event("start", "1"),
        event("done", "1"),
        event("start", "2"),
        event("done", "2"),
    ]
    second = [
        event("plan", totals={"sim": 2}),
        event("start", "2"),
        event("start", "3"),
        event("done", "2"),
        event("done", "3"),
    ]
    again = [msgspec.structs.replace(e, epoch=2) for e in second if starts or e.kind != "start"]
    state = progress.fold(START, lines(*first, *again))
    assert counts(state) == (3, 3, 0, 0)
    assert counts(progress.fold(progress.fold(START, lines(*first, *again[:2])), lines(*again[2:]))) == (
        3,
        3,
        0,
        0,
    )


def test_an_engine_that_knows_nothing_of_the_one_before_does_everything_again() -> None:
    first = [event("plan", totals={"sim": 50}), *(event("done", str(n)) for n in range(50))]
    second = [
        event("anew", step=None),
        event("plan", totals={"sim": 50}),
        *(event("done", str(n)) for n in range(20)),
    ]
    state = progress.fold(START, lines(*first, *(msgspec.structs.replace(e, epoch=2) for e in second)))
    assert counts(state) == (50, 20, 0, 0)


def test_an_engine_without_starts_and_without_totals() -> None:
    state = progress.fold(START, lines(event("done", "1"), event("done", "2"), event("failed", "3")))
    assert counts(state) == (3, 2, 1, 0)
    state = progress.fold(START, lines(event("start"), event("start"), event("done")))
    assert counts(state) == (2, 1, 0, 1)


def test_the_expected_units_stand_until_the_engine_tells_of_units() -> None:
    created = msgspec.structs.replace(START, progress=Progress(units_total=3))
    state = progress.fold(
        created,
        lines(event("plan", totals={"prepare": 2, "merge": 1}), event("done", "1", "prepare")),
        ["sim"],
    )
    assert (state.progress.units_done, state.progress.units_total, state.progress.jobs_total) == (0, 3, 3)
    stored = msgspec.json.decode(msgspec.json.encode(state), type=State)
    state = progress.fold(stored, lines(event("done", "2", "prepare")))
    assert state.progress.units_total == 3
    state = progress.fold(state, lines(event("plan", totals={"prepare": 2, "merge": 1, "sim": 2})))
    assert state.progress.units_total == 2, "the engine knows better"
    again = progress.fold(created, lines(event("plan", totals={"sim": 0})), ["sim"])
    assert again.progress.units_total == 0


def test_a_new_epoch_plans_what_is_left() -> None:
    first = progress.fold(
        START,
        lines(
            event("plan", totals={"sim": 4}),
            event("start", "1"),
            event("done", "1"),
            event("start", "2"),
            event("failed", "2"),
            event("start", "3"),
        ),
    )
    assert counts(first) == (4, 1, 1, 1)
    started = progress.fold(first, lines(event("engine", step=None, epoch=2)))
    assert counts(started) == (4, 1, 1, 0)
    second = progress.fold(started, lines(event("plan", totals={"sim": 3}, epoch=2)))
    assert counts(second) == (4, 1, 0, 0)
    assert second.failures == []
    late = progress.fold(second, lines(event("done", "3", epoch=1)))
    assert counts(late) == (4, 1, 0, 0), "a late writer's result is void"
    end = progress.fold(
        late, lines(*(e for u in "234" for e in (event("start", u, epoch=2), event("done", u, epoch=2))))
    )
    assert counts(end) == (4, 4, 0, 0)


def test_what_an_engine_without_totals_does_again_is_no_other_unit() -> None:
    """After a repaired failure it is 2/2, not 2/3: with names of units, and of an engine that names steps only."""
    for units in (("1", "2"), (None, None)):
        steps = ["sim", "sim"] if units[0] else ["sim", "fit"]
        first = progress.fold(
            START,
            lines(
                *(
                    event(k, u, s)
                    for k, u, s in (
                        ("start", units[0], steps[0]),
                        ("done", units[0], steps[0]),
                        ("start", units[1], steps[1]),
                        ("failed", units[1], steps[1]),
                    )
                )
            ),
        )
        assert (first.progress.jobs_done, first.progress.jobs_failed, first.progress.jobs_total) == (1, 1, 2)
        again = progress.fold(first, lines(event("start", units[1], steps[1], epoch=2)))
        assert (again.failures, again.progress.jobs_failed, again.progress.jobs_running) == ([], 0, 1)
        end = progress.fold(again, lines(event("done", units[1], steps[1], epoch=2)))
        assert (end.progress.jobs_done, end.progress.jobs_failed, end.progress.jobs_total) == (2, 0, 2)


def test_a_further_attempt_is_the_same_unit_in_whatever_order_it_is_told() -> None:
    told = {
        "start 1": event("start", "1", attempt=1),
        "failed 1": event("failed", "1", attempt=1),
        "start 2": event("start", "1", attempt=2),
        "done 2": event("done", "1", attempt=2),
        "failed 2": event("failed", "1", attempt=2),
    }
    for order in (["start 1", "failed 1", "start 2"], ["start 1", "start 2", "failed 1"]):
        state = progress.fold(START, lines(*(told[o] for o in order)))
        assert counts(state) == (1, 0, 0, 1), order
        assert counts(progress.fold(state, lines(told["done 2"]))) == (1, 1, 0, 0), order
        failed = progress.fold(state, lines(told["failed 2"]))
        assert counts(failed) == (1, 0, 1, 0), order
        assert [f.attempt for f in failed.failures] == [2]


def test_nothing_runs_in_a_run_that_has_ended_and_what_comes_late_still_counts() -> None:
    state = progress.fold(
        START, lines(event("plan", totals={"sim": 3}), event("start", "1"), event("start", "2"))
    )
    end = ended(state, completed=False)
    assert counts(end) == (3, 0, 0, 0)
    assert (end.progress.units_running, end.progress.jobs_running, end.progress.units_total) == (0, 0, 3)
    assert counts(progress.fold(end, lines(event("done", "1")))) == (3, 1, 0, 0)


def test_a_completed_run_has_no_units_left_that_nobody_has_seen() -> None:
    created = msgspec.structs.replace(START, progress=Progress(units_total=3))
    told = lines(*(event(kind, unit) for unit in "12" for kind in ("start", "done")))
    state = progress.fold(created, told, ["nothing-of-this-name"])
    assert (state.progress.units_done, state.progress.units_total) == (0, 3)
    assert (ended(state, completed=False).progress.units_total, unnamed(state)) == (
        3,
        ["nothing-of-this-name"],
    )
    end = ended(state, completed=True)
    assert (end.progress.units_done, end.progress.units_total) == (2, 2), "each job is a unit"
    whole = ended(progress.fold(created, told, ["sim"]), completed=True)
    assert (whole.progress.units_done, whole.progress.units_total, unnamed(whole)) == (2, 2, [])
    inner = progress.fold(created, lines(event("done", "1", "SUB:sim"), event("done", "1", "other")), ["sim"])
    assert (inner.progress.units_done, inner.progress.jobs_done) == (1, 2), (
        "a workflow inside of another prefixes its steps"
    )


def test_many_failures_are_capped_and_taken_back() -> None:
    units = [str(n) for n in range(100)]
    state = progress.fold(START, lines(*(event("failed", u) for u in units)))
    assert len(state.failures) == progress.SHOWN
    assert state.failures_more == 80
    state = progress.fold(state, lines(*(event("done", u) for u in units)))
    assert counts(state) == (100, 100, 0, 0)
    assert (state.failures, state.failures_more) == ([], 0)


def test_failures_beyond_the_remembered_ones_are_taken_back_by_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folding, "REMEMBERED", 3)
    units = [str(n) for n in range(50)]
    failed = [e for u in units for e in (event("start", u, attempt=1), event("failed", u, attempt=1))]
    again = [e for u in units for e in (event("start", u, attempt=2), event("done", u, attempt=2))]
    state = progress.fold(START, lines(*failed))
    assert counts(state) == (50, 0, 50, 0)
    assert counts(progress.fold(state, lines(*again))) == (50, 50, 0, 0)


def test_garbage_is_counted_and_a_torn_end_waits(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = lines(event("start", "1"))[0]
    path.write_bytes(b"\xff\xfe{\n" + b"[1]\n" + b'{"kind": 3}\n' + b"\n" + whole + whole[:20])
    state = progress.follow(START, path)
    assert state.fold.garbage == 3
    assert counts(state) == (1, 0, 0, 1)
    assert progress.follow(state, path) is not None
    with path.open("ab") as file:
        file.write(whole[20:] + lines(event("done", "1"))[0])
    state = progress.follow(state, path)
    assert counts(state) == (1, 1, 0, 0)
    assert state.offset == path.stat().st_size
    assert progress.follow(state, path) is state
    assert progress.follow(START, tmp_path / "none") is START


kinds = st.sampled_from(["start", "done", "failed", "plan", "engine", "note", "phase"])
anything = st.lists(
    st.one_of(
        st.builds(
            lambda kind, unit, step, epoch, attempt: event(
                kind,
                unit,
                step,
                epoch=epoch,
                attempt=attempt,
                totals={"sim": 4, "fit": 2} if kind == "plan" else None,
            ),
            kinds,
            st.sampled_from([None, "1", "2", "3", "x" * 100]),
            st.sampled_from([None, "sim", "fit"]),
            st.sampled_from([None, 1, 1, 1, 2, 3]),
            st.sampled_from([None, 1, 2]),
        ).map(lambda e: msgspec.json.encode(e) + b"\n"),
        st.binary(max_size=10).map(lambda b: b.replace(b"\n", b"") + b"\n"),
    ),
    max_size=40,
)


@given(anything, st.lists(st.integers(0, 40), max_size=5))
@settings(max_examples=300, deadline=None)
def test_however_the_log_is_cut(log: list[bytes], cuts: list[int]) -> None:
    created = msgspec.structs.replace(START, progress=Progress(units_total=5))
    whole = progress.fold(created, log, ["sim"])
    state = progress.fold(created, [], ["sim"])
    places = sorted({0, len(log), *(min(c, len(log)) for c in cuts)})
    for begin, end in pairwise(places):
        # through its stored form, as a restarted supervisor reads it
        state = msgspec.json.decode(msgspec.json.encode(progress.fold(state, log[begin:end])), type=State)
    assert state == whole


@given(anything)
@settings(max_examples=300, deadline=None)
def test_counts_make_sense_whatever_comes(log: list[bytes]) -> None:
    state = progress.fold(START, log)
    for step in state.steps:
        assert min(step.total, step.done, step.failed, step.running) >= 0
        assert step.done <= step.total
    assert len(state.failures) <= progress.SHOWN
    assert state.offset == sum(len(line) for line in log)


def test_many_units_fold_into_a_small_checkpoint_from_which_only_the_tail_is_read(tmp_path: Path) -> None:
    # how long a million take is printed by benchmarks/status_log.py
    path = tmp_path / "events.jsonl"
    total = 100_000
    with path.open("wb") as file:
        file.write(lines(event("plan", totals={"sim": total}))[0])
        for n in range(total):
            file.write(
                b'{"t":1700000000.123,"kind":"start","epoch":1,"step":"sim","unit":"%d","job":"%d"}\n'
                % (n, n)
            )
            file.write(
                b'{"t":1700000000.123,"kind":"done","epoch":1,"step":"sim","unit":"%d","job":"%d"}\n' % (n, n)
            )
    state = progress.follow(START, path)
    assert counts(state) == (total, total, 0, 0)
    assert len(msgspec.json.encode(state)) < 2000
    with path.open("ab") as file:
        file.write(lines(event("start", "again"))[0])
    tail = list(event_lines.complete_lines(path, state.offset))
    assert len(tail) == 1
    assert progress.follow(state, path).offset == state.offset + len(tail[0])


def test_units_that_a_killed_engine_did_without_telling_are_counted_when_the_run_is_completed() -> None:
    created = State(phase=Phase.PENDING, progress=Progress(units_total=3))
    log = lines(
        event("plan", epoch=1, totals={"sim": 3}),
        event("done", "1", epoch=1),
        event("plan", epoch=2, totals={"sim": 1}),
        event("done", "3", epoch=2),
    )
    state = msgspec.structs.replace(progress.fold(created, log, ["sim"]), epoch=2)
    assert counts(ended(state, True))[:2] == (3, 3), "unit 2 was done, and nobody told it"
    one = msgspec.structs.replace(state, epoch=1)
    assert counts(ended(one, True))[:2] == (2, 2), (
        "of one engine all is told: what it left out was not needed"
    )
