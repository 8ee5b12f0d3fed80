"""Runs at a place that loses pieces, answers twice, is away, and whose supervisors are killed: the same bytes as here."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults.place import HERE
from helpers.waiting import until

from esap_wf.models.run import Phase

from .elsewhere import Elsewhere

pytestmark = [pytest.mark.faults, pytest.mark.apart]

ARMED = [sys.executable, str(HERE / "armed.py")]
ONCE = {"1.1": 1, "2.1": 1, "3.1": 1, "join.1": 1}


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]) -> dict[str, str]:
    """The results of the same run on this machine."""
    place = Elsewhere(tmp_path_factory.mktemp("here"), dict(toy_environment))
    return place.results(place.ok("run", place.cut, "--backend", "local")["run"])


@pytest.mark.parametrize("slices", [1, 3, *(pytest.param(n, marks=pytest.mark.soak) for n in (2, 6))])
def test_the_same_bytes_as_here(slices: int, there: Elsewhere, here: dict[str, str]) -> None:
    run = there.begin(slices=slices)
    there.completed(run)
    assert there.results(run) == here
    progress = there.status(run)["progress"]
    assert (progress["units_total"], progress["units_done"], progress["units_failed"]) == (6, 6, 0)
    assert set(there.executed(run).values()) == {1}
    assert there.again(run) == 0


# --- the place does what it shouldn't: fault, for which piece, and what was executed in the end

UNHURT = [
    {"fault": "twice", "piece": "*.1.1"},
    {"fault": "twice", "piece": "*.3.1"},
    {"fault": "handle", "piece": "*.2.1"},
    {"fault": "huge-handle", "piece": "*.2.1"},
    {"fault": "unknown", "piece": "*.1.1"},
    {"fault": "away", "piece": "*", "at": "submit", "seconds": 1.5},
    {"fault": "away", "piece": "*", "at": "state", "seconds": 1.5},
    {"fault": "away", "piece": "*", "at": "pull", "seconds": 1.5},
    {"fault": "away", "piece": "*", "at": "remove", "seconds": 1.5},
    {"fault": "away", "piece": "*.join.1", "at": "submit", "seconds": 1.5},
    {"fault": "slow", "piece": "*.2.1", "seconds": 1.5},
    {"fault": "cut", "piece": "*.2.1"},
    {"fault": "cut", "piece": "*.join.1"},
    {"fault": "busy", "piece": "*.2.1"},
    {"fault": "broken", "piece": "*.2.1", "at": "state"},
    {"fault": "broken", "piece": "*.2.1", "at": "submit"},
    {"fault": "broken", "piece": "*.2.1", "at": "pull"},
    {"fault": "broken", "piece": "*.2.1", "at": "remove"},
]
#: Tried in `make soak`.
SELDOM = [UNHURT[n] for n in (1, 6, 9, 12, 15, 17)]


def named(fault: dict[str, Any]) -> str:
    return "-".join(str(v).lstrip("*.") for v in fault.values() if v != "*")


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, marks=pytest.mark.soak if f in SELDOM else []) for f in UNHURT],
    ids=named,
)
def test_what_a_place_does_wrong_is_waited_out(
    fault: dict[str, Any], there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault(**fault)
    run = there.begin()
    there.completed(run)
    assert there.results(run) == here
    assert there.cluster.waiting_faults() == [], "it has happened"
    assert there.executed(run) == ONCE
    assert there.again(run) == 0


@pytest.mark.parametrize(
    ("fault", "executed", "again"),
    [
        ({"fault": "lose", "piece": "*.2.1", "when": "running"}, {"2.2": 1}, 1),
        ({"fault": "lose", "piece": "*.2.1", "when": "ended"}, {"2.2": 1}, 1),
        ({"fault": "lose", "piece": "*.join.1", "when": "ended"}, {"join.2": 1}, 1),
        ({"fault": "no-exit", "piece": "*.1.1"}, {"1.2": 1}, 1),
    ],
    ids=lambda value: named(value) if isinstance(value, dict) and "fault" in value else "",
)
def test_a_lost_piece_is_executed_once_more_which_is_counted(
    fault: dict[str, Any], executed: dict[str, int], again: int, there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault(**fault)
    run = there.begin("--seconds", "0.5")
    there.completed(run)
    assert there.results(run) == here
    assert there.cluster.waiting_faults() == [], "it has happened"
    assert there.executed(run) == {**ONCE, **executed}
    assert there.again(run) == again
    assert there.status(run)["second_executions"] == again


def test_one_that_was_lost_before_it_began_is_no_second_execution(
    there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault("slow", "*.2.1")
    there.cluster.fault("lose", "*.2.1", when="waiting")
    run = there.begin()
    until(lambda: "2.2" in {k.split(".", 2)[2] for k in there.cluster.jobs()})
    there.cluster.come_back()
    there.completed(run)
    assert there.results(run) == here
    assert there.executed(run) == {"1.1": 1, "2.2": 1, "3.1": 1, "join.1": 1}


def test_a_place_that_is_away_for_long_is_waited_for_and_the_run_says_so(
    there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault("away", at="state")
    run = there.begin("--seconds", "0.2")
    state = there.wait(run, lambda s: "waiting for toy" in s.reason)
    assert state.phase in (Phase.QUEUED, Phase.EXECUTING)
    assert "does not answer" in state.reason
    there.cluster.come_back()
    there.completed(run)
    assert there.results(run) == here
    assert there.executed(run) == ONCE


@pytest.mark.parametrize("at", ["submit", "state", "pull", "remove"])
def test_what_needs_a_person_holds_the_run_until_it_is_there(
    at: str, there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault("person", at=at)
    run = there.begin()
    state = there.wait(run, lambda s: "ticket" in s.reason)
    assert state.phase is (Phase.HELD if at in ("submit", "state") else state.phase)
    there.cluster.come_back()
    there.completed(run)
    assert there.results(run) == here
    assert there.executed(run) == ONCE


def test_a_piece_that_is_refused_is_a_failure_in_the_words_of_the_place(there: Elsewhere) -> None:
    there.cluster.fault("refuse", "*.2.1")
    run = there.begin()
    state = there.ended(run)
    assert state.phase is Phase.ERROR
    assert "jobs on Thursdays are not allowed" in state.reason
    until(lambda: not there.cluster.jobs())
    there.completed(run, times=1)


def test_a_piece_that_fails_fails_the_run_and_resume_repeats_only_it(there: Elsewhere, here: Any) -> None:
    there.cluster.fault("deaf")
    folder = Path(there.cut)
    text = (folder / "map.flow").read_text()
    (folder / "map.flow").write_text(text.replace('UNIT, "-"', "UNIT + '; [ $1 != u003 ] || exit 7', \"-\""))
    run = there.begin()
    state = there.ended(run)
    assert state.phase is Phase.ERROR, state
    assert "u003: exit code 7" in state.reason
    assert there.executed(run) == {"1.1": 1, "2.1": 1, "3.1": 1}
    assert there("resume", run, "--json").code == 1
    assert there.executed(run) == {"1.1": 1, "2.1": 1, "2.2": 1, "3.1": 1}


@pytest.mark.parametrize("drain", [False, True])
def test_a_cancelled_run_leaves_nothing_there_though_a_request_was_lost(
    drain: bool, there: Elsewhere
) -> None:
    there.cluster.fault("deaf", "*.2.1")
    run = there.begin("--seconds", "600" if not drain else "3")
    until(lambda: len(there.executed(run)) == 3)
    done = there("cancel", run, "--json", *(["--drain"] if drain else []))
    assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    until(lambda: not there.cluster.jobs())
    assert there.cluster.processes() == []
    assert "join.1" not in there.executed(run)


def test_a_waiting_piece_is_cancelled(there: Elsewhere) -> None:
    there.cluster.fault("slow", "*.1.1")
    run = there.begin()
    state = there.wait(run, lambda s: "(Priority)" in s.reason)
    assert state.phase is Phase.QUEUED
    done = there("cancel", run, "--json")
    assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    until(lambda: not there.cluster.jobs())
    assert there.executed(run) == {}


# --- the supervisor is killed

POINTS = [
    point
    for name in (
        "piece-written",
        "piece-started",
        "handle-kept",
        "pulled",
        "end-kept",
        "slot-taken",
        "forgotten",
    )
    for point in (name, f"{name}:3", f"{name}:4")
    if point != "piece-started:3" and point != "piece-started:4"
] + ["piece-started:2", "outputs-checked", "outputs-accepted"]


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=pytest.mark.soak if p.endswith(":3") else []) for p in POINTS]
)
def test_a_supervisor_killed_at_a_point_is_succeeded(
    point: str, there: Elsewhere, here: dict[str, str]
) -> None:
    given = ["run", there.cut, "--backend", "toy", "--slices", "3"]
    run = str(there(point, *given, "--detach", "--json", command=ARMED).json["run"])
    # before its supervisor is there, it is UNKNOWN for a moment, too
    until((there.run(run).dir / "pieces").is_dir, what="the first piece")
    assert there.ended(run).phase is Phase.UNKNOWN
    again = there.ok(*given)
    assert (again["run"], again["phase"]) == (run, "COMPLETED"), there.explain(run)
    there.clean(run)
    assert there.results(run) == here
    assert there.executed(run) == ONCE
    assert there.again(run) == 0
    progress = there.status(run)["progress"]
    assert (progress["units_total"], progress["units_done"]) == (6, 6)


@pytest.mark.parametrize("fault", ["lose", "twice", "handle", "cut", "unknown"])
@pytest.mark.parametrize(
    "point",
    [
        "pulled:2",
        *(pytest.param(p, marks=pytest.mark.soak) for p in ("piece-started", "slot-taken:2", "forgotten:2")),
    ],
)
def test_a_supervisor_is_killed_while_the_place_does_something_wrong(
    point: str, fault: str, there: Elsewhere, here: dict[str, str]
) -> None:
    there.cluster.fault(fault, "*.2.1")
    given = ["run", there.cut, "--backend", "toy", "--slices", "3", "--seconds", "0.2"]
    run = str(there(point, *given, "--detach", "--json", command=ARMED).json["run"])
    there.ended(run)
    assert there.resume_until_completed(run) <= 1
    there.clean(run)
    assert there.results(run) == here
    begun = sum(there.executed(run).values())
    assert begun == (4 if "2.2" not in there.executed(run) else 5)
    assert there.again(run) == begun - 4


# --- several runs at one place


def test_runs_keep_to_the_caps_of_a_place_together_and_say_what_they_wait_for(
    there: Elsewhere, here: dict[str, str]
) -> None:
    there.profile = "poll = 0.1\ncaps = {heads = 2}"
    there.__post_init__()
    there.cluster.fault("slow", "*.1.1")
    first = there.begin()
    until(lambda: len(there.cluster.jobs()) == 2)
    second = there.begin("--seconds", "0.1")
    there.wait(second, lambda s: "2 pieces of yours are at toy, where 2 may be at a time" in s.reason)
    assert len(there.cluster.jobs()) == 2
    there.cluster.come_back()
    for run in (first, second):
        there.resume_until_completed(run)
        assert there.executed(run) == ONCE
    there.clean(first)
    assert there.results(first) == here
    lives, most = 0, 0
    for entry in there.cluster.log():
        lives += {"taken": 1, "over": -1}.get(entry.get("job", ""), 0)
        most = max(most, lives)
    assert most == 2


def test_runs_share_their_questions(there: Elsewhere, here: dict[str, str]) -> None:
    there.profile = "poll = 1.0"
    there.__post_init__()
    runs = [there.begin("--seconds", str(4 + number / 10)) for number in range(4)]
    until(lambda: all(len(there.executed(run)) == 3 for run in runs))
    before, began = len(there.cluster.log(call="state")), time.monotonic()
    for run in runs:
        assert there.resume_until_completed(run) == 0
    asked, took = len(there.cluster.log(call="state")) - before, time.monotonic() - began
    # at most twelve pieces are there, each is asked about once a question
    assert asked / 12 <= took + 2, (asked, took)
    by = {entry["by"] for entry in there.cluster.log(call="state")}
    assert by, "supervisors take turns"
