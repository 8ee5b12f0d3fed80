"""Runs on Slurm of which something is killed, or taken away: nothing is lost, nothing counts twice, no job is left, and what was begun again is told."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from faults.conftest import end
from faults.place import HERE
from helpers.waiting import until
from services.slurm import NODES, Cluster

from esap_wf.models.run import Phase

from .watched import OnSlurm

# with the other file of strikes on one cluster
pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.xdist_group("broken-slurm")]
ARMED = [sys.executable, str(HERE / "armed.py")]


@pytest.fixture
def there(broken: Cluster, tmp_path: Path, toy_environment: dict[str, str]) -> Iterator[OnSlurm]:
    made = OnSlurm(tmp_path, dict(toy_environment), on=broken)
    yield made
    end(made)
    broken.mend()


@pytest.mark.parametrize("point", ["piece-started", pytest.param("handle-kept", marks=pytest.mark.soak)])
def test_a_supervisor_killed_at_a_point_is_succeeded(point: str, there: OnSlurm) -> None:
    given = ["run", there.cut, "--backend", "toy", "--slices", "3"]
    began = there(point, *given, "--detach", "--json", command=ARMED)
    assert began.code == 0, began
    run = str(began.json["run"])
    until((there.run(run).dir / "pieces").is_dir, what="the first piece")
    assert there.ended(run).phase is Phase.UNKNOWN
    again = there.ok(*given)
    assert (again["run"], again["phase"]) == (run, "COMPLETED"), there.explain(run)
    there.clean(run)
    assert there.again(run) == 0


def _supervisor(there: OnSlurm, run: str) -> None:
    there.kill_supervisor(run)


def _engine(there: OnSlurm, run: str) -> None:
    next(p for p in there.working(run) if "miniflow" in " ".join(p.cmdline())).kill()


def _slurmd(there: OnSlurm, run: str) -> None:
    _, node = there.a_job(run)
    there.slurm.crash_slurmd(node)
    there.slurm.restart_slurmd(node)


def _node(there: OnSlurm, run: str) -> None:
    _, node = there.a_job(run)
    there.slurm.kill_node(node)
    there.slurm.start_node(node)


def _controller(there: OnSlurm, run: str) -> None:
    there.slurm.stop_controller()
    try:
        there.wait(run, lambda s: "waiting for toy since" in s.reason)
    finally:
        there.slurm.start_controller()


def _cancel(there: OnSlurm, run: str) -> None:
    there.slurm.cancel(there.a_job(run)[0])


Strike = Callable[[OnSlurm, str], None]
#: What happens while pieces work, and how often at most a user has to resume for it.
FAULTS: dict[str, tuple[Strike, int]] = {
    "supervisor": (_supervisor, 1),
    "engine": (_engine, 1),
    "slurmd": (_slurmd, 0),
    "node": (_node, 0),
    "controller": (_controller, 0),
    "cancelled by an administrator": (_cancel, 1),
}


#: Those that nothing in `test_kills_native` is like.
SHORT = ("engine", "slurmd", "controller")


@pytest.mark.parametrize(
    "fault", [f if f in SHORT else pytest.param(f, marks=pytest.mark.soak) for f in FAULTS]
)
def test_a_run_survives(fault: str, there: OnSlurm) -> None:
    strike, most = FAULTS[fault]
    run = there.begin("--seconds", "1")
    until(lambda: there.said("begin"), what="the first unit", detail=lambda: there.explain(run))
    strike(there, run)
    assert there.resume_until_completed(run) <= most, there.explain(run)
    there.clean(run)


# --- long series


def _unit(there: OnSlurm, run: str) -> None:
    next(p for p in there.working(run) if p.name() == "sleep").kill()


def _drain(there: OnSlurm, run: str) -> None:
    there.slurm.drain(there.a_job(run)[1])


def _crashed_controller(there: OnSlurm, run: str) -> None:
    # what it was told in its last seconds it has forgotten, and it gives the same ids again
    there.slurm.kill_controller()
    time.sleep(random.Random(run).uniform(0, 5))
    there.slurm.start_controller()


def _full_disk(there: OnSlurm, run: str) -> None:
    _, node = there.a_job(run)
    spool = there.slurm.folder / "spool" / node
    there.slurm.cover(node, spool, "4k")
    time.sleep(random.Random(run).uniform(0, 5))
    there.slurm.uncover(node, spool)


#: A long series goes on where another one has stopped: `make soak` with FIRST_SEED=60 in its environment.
SEEDS = range(FIRST := int(os.environ.get("FIRST_SEED", "0")), FIRST + 60)
STRIKES: tuple[Strike, ...] = (
    *(strike for strike, _ in FAULTS.values()),
    *(_unit, _drain, _crashed_controller, _full_disk),
)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_survives_whatever_happens_whenever(seed: int, there: OnSlurm) -> None:
    """The short form: one thing at a time, above."""
    chance = random.Random(seed)
    run = there.begin("--seconds", "1")
    for nth in range(chance.randint(1, 3)):
        strike = STRIKES[seed % len(STRIKES)] if nth == 0 else chance.choice(STRIKES)
        time.sleep(chance.uniform(0, 4))
        # there may be nothing to strike any more, or the controller is away
        with contextlib.suppress(StopIteration, AssertionError, RuntimeError, psutil.Error):
            strike(there, run)
            print(f"{run}: seed {seed}, {strike.__name__.removeprefix('_')}")
        there.slurm.mend()
    there.resume_until_completed(run)
    there.clean(run)


@pytest.mark.soak
def test_a_controller_that_is_away_for_minutes_is_waited_for(there: OnSlurm) -> None:
    run = there.begin("--seconds", "30")
    until(lambda: there.said("begin"), what="the first unit", detail=lambda: there.explain(run))
    there.slurm.stop_controller()
    time.sleep(240)
    assert "waiting for toy since" in there.status(run)["reason"]
    there.slurm.start_controller()
    assert there.resume_until_completed(run) == 0, there.explain(run)
    there.clean(run)
    assert there.again(run) == 0


@pytest.mark.soak
def test_all_nodes_are_lost_and_come_back(there: OnSlurm) -> None:
    run = there.begin("--seconds", "5")
    until(lambda: len(there.said("begin")) > 2, what="units", detail=lambda: there.explain(run))
    for name in NODES:
        there.slurm.kill_node(name)
    there.slurm.mend()
    there.resume_until_completed(run)
    there.clean(run)
