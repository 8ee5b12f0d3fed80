"""Death at each named moment of a run's life; the same command once more brings it to its end."""

from __future__ import annotations

import signal
import sys

import pytest

from esap_wf.models.run import Phase
from esap_wf.runs import crashpoints

from .place import HERE, Place

pytestmark = [pytest.mark.faults, pytest.mark.together]

RUN = ["run", "noop", "--units", "2"]
CRASH_AT = [sys.executable, str(HERE / "crash_at.py")]
ARMED = [sys.executable, str(HERE / "armed.py")]

OF_THE_COMMAND = ["claimed", "rendered", "staged", "journaled", "published"]
OF_THE_SUPERVISOR = [
    "supervisor-started", "epoch-taken", "state-announced", "state-written", "engine-started",
    "event-folded", "outputs-checked", "outputs-accepted", "state-announced:3", "final-written",
]  # fmt: skip
OF_REMOVAL = ["tombstone-written", "run-unlinked"]


def test_every_point_has_a_test(place: Place) -> None:
    assert {name.partition(":")[0] for name in OF_THE_COMMAND + OF_THE_SUPERVISOR + OF_REMOVAL} == set(crashpoints.NAMES)


def one_completed(place: Place, run: str) -> None:
    assert place.run(run).observe().phase is Phase.COMPLETED
    assert place.accepted(run) == 1
    assert place.status(run)["progress"]["units_done"] == place.status(run)["progress"]["units_total"] == 2
    place.results(run)
    place.tidy(run)


@pytest.mark.parametrize("point", OF_THE_COMMAND)
def test_a_command_killed_while_it_creates_a_run_is_simply_given_again(place: Place, point: str) -> None:
    killed = place.call(point, "command", *RUN, command=CRASH_AT)
    assert killed.code == -signal.SIGKILL, killed
    assert len(place.listed()) == (point == "published")
    one_completed(place, place.ok(*RUN)["run"])


@pytest.mark.parametrize("point", OF_THE_SUPERVISOR)
def test_a_supervisor_killed_at_a_point_is_succeeded(place: Place, point: str) -> None:
    run = str(place.call(point, *RUN, "--detach", "--json", command=ARMED).data["run"])
    state = place.ended(run)
    assert state.phase is (Phase.COMPLETED if point == "final-written" else Phase.UNKNOWN)
    assert place.status(run)["phase"] == state.phase
    assert place.listed() == [run]
    again = place.ok(*RUN)
    assert again["run"] == run
    assert again["phase"] == "COMPLETED"
    one_completed(place, run)


@pytest.mark.parametrize("point", OF_REMOVAL)
def test_a_removal_that_was_killed_is_a_removal(place: Place, point: str) -> None:
    run = place.ok(*RUN)["run"]
    assert place.call(point, "command", "rm", run, command=CRASH_AT).code == -signal.SIGKILL
    assert place.listed() == []
    assert place.call("status", run).code == 2
    place.tidy()
    again = place.ok(*RUN)
    assert (again["run"] != run, again["reused"], again["phase"]) == (True, False, "COMPLETED")
    place.tidy(again["run"])
