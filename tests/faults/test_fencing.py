"""A supervisor that was only asleep: nobody takes its run while it may wake up, and when somebody has, it writes nothing any more."""

from __future__ import annotations

import os
import signal
import time
from unittest import mock

import pytest
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs import processes
from esap_wf.runs.lease import Lease

from .place import WatchedPlace

pytestmark = pytest.mark.faults


def asleep(place: WatchedPlace) -> tuple[str, int]:
    """A run whose supervisor is stopped, while its engine comes to an end."""
    run = place.start("--units", "3", "--seconds", "2")
    place.executing(run, done=0)
    with place.held(run):
        supervisor = place.supervisor(run)
        assert supervisor
        os.kill(supervisor, signal.SIGSTOP)
        while list(place.run(run).dir.glob(".*.tmp")):  # in the middle of a write, which a rename would end
            os.kill(supervisor, signal.SIGCONT)
            time.sleep(0.02)
            os.kill(supervisor, signal.SIGSTOP)
    engine = place.engine(run)
    assert engine
    until(lambda: processes.start_time(engine.engine.pid) is None, what="the engine to end")
    return run, supervisor


def test_a_sleeping_supervisor_on_this_host_keeps_its_run(place: WatchedPlace) -> None:
    run, supervisor = asleep(place)
    answer = place("resume", run)
    assert (answer.code, "it is still under way" in answer.err) == (3, True), answer
    assert place("rm", run).code == 3
    assert place.status(run)["phase"] == "EXECUTING"
    os.kill(supervisor, signal.SIGCONT)
    assert place.ended(run).phase is Phase.COMPLETED
    place.tidy(run)


def test_a_superseded_supervisor_wakes_up_and_writes_nothing(place: WatchedPlace) -> None:
    run, supervisor = asleep(place)
    there = place.run(run)
    with mock.patch.object(
        processes, "alive", lambda holder: False
    ):  # as an observer on another host comes to think
        successor = Lease.acquire(there)
    before = {p.name: p.read_bytes() for p in there.dir.iterdir() if p.is_file() and p.name != "events.jsonl"}
    os.kill(supervisor, signal.SIGCONT)
    until(lambda: processes.start_time(supervisor) is None, what="the late supervisor to give up")
    after = {p.name: p.read_bytes() for p in there.dir.iterdir() if p.is_file() and p.name != "events.jsonl"}
    assert after == before, "state.json, lease.json and the results are the successor's"
    assert place.accepted(run) == 0
    assert "has a new owner" in (there.dir / "logs" / "supervisor.log").read_text()
    successor.release()
    assert place.status(run)["phase"] == "UNKNOWN"
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    outputs = there.outputs()
    assert outputs and outputs.epoch == 3
    assert place.accepted(run) == 1
    assert place.status(run)["progress"]["units_done"] == 3
    place.tidy(run)
