"""Two supervisors of one run whose pieces work elsewhere: one owns it, and what counts counts once."""

from __future__ import annotations

import os
import signal
import time
from unittest import mock

import pytest
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.running import control
from esap_wf.runs import processes
from esap_wf.runs.lease import Lease

from .elsewhere import Elsewhere

pytestmark = pytest.mark.faults


def asleep(there: Elsewhere) -> tuple[str, int]:
    """A run whose supervisor is stopped, while its pieces come to an end."""
    run = there.begin("--seconds", "1")
    there.wait(run, lambda s: s.phase is Phase.EXECUTING)
    supervisor = there.supervisor(run)
    assert supervisor
    os.kill(supervisor, signal.SIGSTOP)
    while list(there.run(run).dir.rglob(".*.tmp")):  # in the middle of a write, which a rename would end
        os.kill(supervisor, signal.SIGCONT)
        time.sleep(0.02)
        os.kill(supervisor, signal.SIGSTOP)
    return run, supervisor


def test_one_that_comes_second_does_nothing(there: Elsewhere) -> None:
    run = there.begin("--seconds", "0.5")
    there.wait(run, lambda s: s.phase is Phase.EXECUTING)
    second = control.spawn(there.run(run))
    assert second.wait(60) == 0
    assert there("resume", run).code == 3
    there.completed(run)
    assert set(there.executed(run).values()) == {1}
    assert there.again(run) == 0


def test_one_that_was_asleep_while_another_finished_the_run_changes_nothing(there: Elsewhere) -> None:
    run, supervisor = asleep(there)
    directory = there.run(run).dir
    with mock.patch.object(processes, "alive", lambda holder: False):  # as another host comes to think
        Lease.acquire(there.run(run)).release()
    assert there.ok("resume", run)["phase"] == "COMPLETED"
    names = ("state.json", "outputs.json", "pieces/1/end", "pieces/join/end", "outputs/all.txt")
    before = {name: (directory / name).read_bytes() for name in names}
    os.kill(supervisor, signal.SIGCONT)
    until(lambda: processes.start_time(supervisor) is None, what="the late supervisor to give up")
    assert {name: (directory / name).read_bytes() for name in names} == before
    assert "has a new owner" in (directory / "logs/supervisor.log").read_text()
    there.clean(run)
    assert set(there.executed(run).values()) == {1}
    assert there.again(run) == 0
