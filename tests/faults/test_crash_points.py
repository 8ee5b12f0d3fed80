"""Death at each named moment of a run's life; the same command once more brings it to its end."""

from __future__ import annotations

import signal
import sys

import pytest
from helpers.workflows import write_workflow

from esap_wf.models.run import Phase
from esap_wf.runs import crashpoints

from .place import HERE, WatchedPlace

pytestmark = [pytest.mark.faults, pytest.mark.together]

CRASH_AT = [sys.executable, str(HERE / "crash_at.py")]
ARMED = [sys.executable, str(HERE / "armed.py")]

OF_THE_COMMAND = ["claimed", "rendered", "staged", "journaled", "published"]
OF_THE_SUPERVISOR = [
    "supervisor-started",
    "epoch-taken",
    "state-announced",
    "state-written",
    "engine-started",
    "event-folded",
    "outputs-checked",
    "outputs-accepted",
    "state-announced:3",
    "final-written",
]
OF_REMOVAL = ["tombstone-written", "run-unlinked"]
#: tests/data/test_kills.py
OF_INPUTS = ["input-fetched", "inputs-brought"]
#: tests/places/test_toy.py
OF_A_PLACE = [
    "piece-written",
    "piece-started",
    "handle-kept",
    "pulled",
    "end-kept",
    "slot-taken",
    "forgotten",
]
#: tests/slurm/test_head_launcher.py
OF_A_HEAD = ["head-recorded", "head-submitted"]
#: tests/runs/test_revisions.py
OF_A_NEW_PLAN = ["revision-begun", "plan-kept", "revision-rendered", "plan-replaced"]


STEPS = """\
workflow:
  type: serial
  specification:
    steps:
      - {name: first, environment: x, commands: ['echo 1 > first.txt']}
      - {name: second, environment: x, commands: ['echo 2 > second.txt']}
outputs: {files: [first.txt, second.txt]}
"""
MANIFEST = {
    "implementations": [{"engine": "command", "file": "reana.yaml"}],
    "software": [{"installed": ["bash"]}],
    "units": {"axis": "step", "count": 2, "steps": ["first", "second"]},
    "outputs": [{"name": "both", "path": "project/*.txt"}],
}
#: Points at which it matters what Snakemake leaves; at the others it has its turn in `make soak`, because it takes seconds to begin.
OF_THE_ENGINE = {"published", "engine-started", "event-folded", "outputs-accepted"}


def each(points: list[str]) -> pytest.MarkDecorator:
    """With bash as the engine at each point, and with Snakemake."""
    slow = [
        pytest.param("snakemake", p, marks=[] if p in OF_THE_ENGINE else pytest.mark.soak) for p in points
    ]
    return pytest.mark.parametrize(("engine", "point"), [*(pytest.param("bash", p) for p in points), *slow])


def words(place: WatchedPlace, engine: str) -> list[str]:
    """A run of two units."""
    if engine == "snakemake":
        return ["run", "noop", "--units", "2"]
    return ["run", str(write_workflow(place.root / "two", manifest=MANIFEST, files={"reana.yaml": STEPS}))]


def test_every_point_has_a_test(place: WatchedPlace) -> None:
    assert {
        name.partition(":")[0]
        for name in OF_THE_COMMAND
        + OF_THE_SUPERVISOR
        + OF_REMOVAL
        + OF_A_NEW_PLAN
        + OF_A_PLACE
        + OF_A_HEAD
        + OF_INPUTS
    } == set(crashpoints.NAMES)


def one_completed(place: WatchedPlace, run: str) -> None:
    assert place.run(run).observe().phase is Phase.COMPLETED
    assert place.accepted(run) == 1
    assert place.status(run)["progress"]["units_done"] == place.status(run)["progress"]["units_total"] == 2
    place.results(run)
    place.tidy(run)


@each(OF_THE_COMMAND)
def test_a_command_killed_while_it_creates_a_run_is_simply_given_again(
    place: WatchedPlace, engine: str, point: str
) -> None:
    given = words(place, engine)
    killed = place(point, "command", *given, command=CRASH_AT)
    assert killed.code == -signal.SIGKILL, killed
    assert len(place.listed()) == (point == "published")
    one_completed(place, place.ok(*given)["run"])


@each(OF_THE_SUPERVISOR)
def test_a_supervisor_killed_at_a_point_is_succeeded(place: WatchedPlace, engine: str, point: str) -> None:
    given = words(place, engine)
    run = str(place(point, *given, "--detach", "--json", command=ARMED).json["run"])
    state = place.ended(run)
    assert state.phase is (Phase.COMPLETED if point == "final-written" else Phase.UNKNOWN)
    assert place.status(run)["phase"] == state.phase
    assert place.listed() == [run]
    again = place.ok(*given)
    assert again["run"] == run
    assert again["phase"] == "COMPLETED"
    one_completed(place, run)


@each(OF_REMOVAL)
def test_a_removal_that_was_killed_is_a_removal(place: WatchedPlace, engine: str, point: str) -> None:
    given = words(place, engine)
    run = place.ok(*given)["run"]
    assert place(point, "command", "rm", run, command=CRASH_AT).code == -signal.SIGKILL
    assert place.listed() == []
    assert place("status", run).code == 2
    place.tidy()
    again = place.ok(*given)
    assert (again["run"] != run, again["reused"], again["phase"]) == (True, False, "COMPLETED")
    place.tidy(again["run"])
