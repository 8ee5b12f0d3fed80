"""Runs whose supervisor is gone go on by `attend`; those of others, ended and cancelled ones don't."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from helpers.processes import kill
from helpers.runs import make_run
from helpers.waiting import PATIENCE, until

from esap_wf.attending import Attendant
from esap_wf.config import Config
from esap_wf.models.run import Phase, State, now
from esap_wf.runs import lease, processes
from esap_wf.runs.processes import Holder
from esap_wf.runs.run import BY_THE_SYSTEM, StopRequest

from .place import WatchedPlace, finished

pytestmark = pytest.mark.faults
UNITS = ["--units", "6", "--seconds", "0.4", "--group-size", "3"]
ID = "0123456789abcdef"


def lost(place: WatchedPlace, everything: bool = False, **stop: Any) -> str:
    """A run in the middle whose supervisor was killed."""
    run = place.start(*UNITS)
    place.executing(run)
    with place.held(run):
        supervisor = place.supervisor(run)
        assert supervisor
        kill([supervisor])
        assert place.ended(run).phase is Phase.UNKNOWN
        if stop:
            place.run(run).request_stop(StopRequest(at=now(), **stop))
    if everything:
        place.kill_all(run)
    return run


def attended(place: WatchedPlace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = place.ok("attend", "--once")["attended"]
    return rows


@pytest.mark.together
@pytest.mark.parametrize("everything", [False, True])
def test_a_run_without_supervisor_goes_on(place: WatchedPlace, everything: bool) -> None:
    run = lost(place, everything)
    (row,) = attended(place)
    assert (row["run"], set(row)) == (run, {"run", "phase", "why"})
    assert (
        row["phase"] in ("QUEUED", "EXECUTING") and "its supervisor" in row["why"] and "is gone" in row["why"]
    )
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)
    if not everything:
        assert set(place.executions(run).values()) == {1}, "its engine was taken over"
    assert attended(place) == []
    assert place.accepted(run) == 1
    place.tidy(run)


@pytest.mark.together
def test_of_two_that_attend_at_once_one_resumes(place: WatchedPlace) -> None:
    run = lost(place)
    both = [place.popen("attend", "--once", "--json") for _ in range(2)]
    answers = [finished(process) for process in both]
    assert [a.code for a in answers] == [0, 0]
    assert [row["run"] for a in answers for row in a.json["attended"]] == [run]
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)
    assert lease.latest_epoch(place.run(run)) == 2
    place.tidy(run)


@pytest.mark.together
def test_what_somebody_has_cancelled_is_ended_not_resumed(place: WatchedPlace) -> None:
    run = lost(place, by="ada")
    (row,) = attended(place)
    assert row["run"] == run and row["why"].endswith("ada has stopped it")
    assert place.ended(run).phase is Phase.ABORTED, place.explain(run)
    assert attended(place) == []
    assert place.accepted(run) == 0
    place.tidy(run)


@pytest.mark.together
def test_what_only_the_system_has_stopped_is_resumed(place: WatchedPlace) -> None:
    """A machine that is shut down asks supervisors to end, and may not wait until they have."""
    run = lost(place, everything=True, by=BY_THE_SYSTEM, drain=True)
    assert [row["run"] for row in attended(place)] == [run]
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)


@pytest.mark.together
def test_who_lives_or_has_ended_is_left_alone(place: WatchedPlace) -> None:
    done = place.ok("run", "noop", "--units", "1")["run"]
    failed = place("run", "noop", "--units", "2", "--fail-unit", "1", "--json").json["run"]
    run = place.start(*UNITS)
    place.executing(run)
    with place.held(run):
        assert attended(place) == []
    assert place.ended(run).phase is Phase.COMPLETED
    assert [lease.latest_epoch(place.run(r)) for r in (done, failed, run)] == [1, 1, 1]


@pytest.mark.together
def test_one_that_stays_ends_by_sigterm_and_the_runs_go_on(place: WatchedPlace) -> None:
    run = lost(place)
    process = place.popen("attend", "--json")
    until(lambda: lease.latest_epoch(place.run(run)) > 1, what="a supervisor")
    assert process.stderr
    said = [process.stderr.readline() for _ in range(2)]
    assert run in said[1], said
    process.send_signal(signal.SIGTERM)
    answer = finished(process)
    assert answer.code == 0, answer
    assert [row["run"] for row in answer.json["attended"]] == [run]
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)


def at_work(place: WatchedPlace, holder: Holder | None = None, **record: Any) -> lease.Lease:
    """A run that is EXECUTING, with an owner that never gave it back; no plan, no engine."""
    run = make_run(place, ID, Phase.EXECUTING, **record)
    (run.dir / "logs").mkdir()
    owner = lease.Lease.acquire(run, holder)
    run.write_state(State(phase=Phase.EXECUTING), owner)
    return owner


def attendant(place: WatchedPlace) -> Attendant:
    said: list[str] = []
    return Attendant(Config(place.store, place.root / "cache", place.root / "config.toml"), said.append)


def gone() -> Holder:
    me = processes.me()
    return Holder(host=me.host, boot_id="before it was started anew", pid=1, start=1, machine=me.machine)


def test_runs_of_others_are_left_alone(place: WatchedPlace) -> None:
    at_work(place, gone(), owner="somebody-else")
    assert place.run(ID).observe().phase is Phase.UNKNOWN
    assert attendant(place).look() == []
    assert lease.latest_epoch(place.run(ID)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_run_that_another_has_written_in_my_name_is_left_alone(place: WatchedPlace) -> None:
    at_work(place, gone(), owner=processes.user())
    os.chown(place.run(ID).dir / "run.json", 64_201, -1)
    assert attendant(place).look() == []
    assert lease.latest_epoch(place.run(ID)) == 2


def test_an_owner_on_another_host_is_watched_first(
    place: WatchedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = at_work(place, Holder(host="far-away", boot_id="another", pid=1, start=1), owner=processes.user())
    monkeypatch.setattr(lease, "TTL", 1.0)
    looking = attendant(place)
    assert looking.look() == [], "nobody knows yet"
    owner.renew()
    assert looking.look() == [], "it gave a sign of life"
    (row,) = looking.look(patience=PATIENCE)
    assert (row.run, lease.latest_epoch(place.run(ID))) == (ID, 3)
    assert "far-away" in row.why
    place.nothing_runs(ID)


def test_a_run_that_is_lost_again_is_resumed_later_each_time(place: WatchedPlace) -> None:
    at_work(place, gone(), owner=processes.user())
    looking = attendant(place)
    assert [row.run for row in looking.look()] == [ID]
    place.nothing_runs(ID)
    again = lease.Lease.acquire(place.run(ID), gone())
    state = place.run(ID).state()
    if state.phase is Phase.ERROR:
        place.run(ID).write_state(State(phase=Phase.QUEUED), again)
    assert place.run(ID).observe().phase is Phase.UNKNOWN
    assert looking.look() == [], "not at once"
    assert [row.run for row in attendant(place).look()] == [ID]
    place.nothing_runs(ID)


def test_a_broken_run_does_not_keep_the_others_waiting(place: WatchedPlace) -> None:
    at_work(place, gone(), owner=processes.user())
    broken = make_run(place, "f" * 16, Phase.EXECUTING, owner=processes.user())
    (broken.dir / "state.json").write_text("{")
    looking = attendant(place)
    assert [row.run for row in looking.look()] == [ID]
    place.nothing_runs(ID)


def test_without_a_store_there_is_nothing_to_do(place: WatchedPlace) -> None:
    done = place("attend", "--once", "--json")
    assert (done.code, json.loads(done.out)) == (0, {"attended": []})
