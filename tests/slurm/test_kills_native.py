"""
Runs in shards, whose engine submits to Slurm from here or is a job itself, and of which something is killed or taken away: nothing is lost,
nothing counts twice, no job is left, and units that were executed again are counted.
"""

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
from services.slurm import Cluster

from .witnessed import Natively

# with the other file of strikes on one cluster
pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.xdist_group("broken-slurm")]


@pytest.fixture
def native(broken: Cluster, tmp_path: Path) -> Iterator[Natively]:
    made = Natively(tmp_path, on=broken)
    yield made
    end(made)
    broken.mend()


def _heads(native: Natively, run: str) -> None:
    """All that is here, at once."""
    for process in native.heads(run):
        process.kill()


def _supervisor(native: Natively, run: str) -> None:
    pid = native.supervisor(run)
    assert pid
    psutil.Process(pid).kill()


def _engine(native: Natively, run: str) -> None:
    next(p for p in native.heads(run) if "snakemake" in " ".join(p.cmdline())).kill()


def _runner(native: Natively, run: str) -> None:
    """The shard runner alone: its engine sees a job that fails."""
    job, _ = native.at_work(run)
    next(p for p in native.processes(job) if "--journal" in p.cmdline() and "python" in p.name()).kill()


def _job(native: Natively, run: str) -> None:
    """Everything of a job."""
    job, _ = native.at_work(run)
    for process in native.processes(job):
        with contextlib.suppress(psutil.Error):
            process.kill()


def _slurmd(native: Natively, run: str) -> None:
    _, node = native.at_work(run)
    native.slurm.crash_slurmd(node)
    native.slurm.restart_slurmd(node)


def _node(native: Natively, run: str) -> None:
    _, node = native.at_work(run)
    native.slurm.kill_node(node)
    native.slurm.start_node(node)


def _controller(native: Natively, run: str) -> None:
    native.at_work(run)
    native.slurm.stop_controller()
    time.sleep(12)
    native.slurm.start_controller()


def _cancel(native: Natively, run: str) -> None:
    native.slurm.cancel(native.at_work(run)[0])


def _head_job(native: Natively, run: str) -> None:
    """The engine's own job, by an administrator."""
    native.at_work(run)
    native.slurm.cancel(_job_of_head(native, run))


def _head_node(native: Natively, run: str) -> None:
    native.at_work(run)
    node = native.slurm.field(_job_of_head(native, run), "NodeList")
    native.slurm.kill_node(node)
    native.slurm.start_node(node)


def _job_of_head(native: Natively, run: str) -> str:
    told = native.slurm.ask("squeue", "-h", "-t", "R", "-o", "%i %j").splitlines()
    return next(job for job, name in map(str.split, told) if name.startswith(f"ewf-{run}."))


#: With a short test-only lease, and little patience with a controller that has forgotten jobs.
IMPATIENT = [sys.executable, str(HERE / "impatient.py")]
Strike = Callable[[Natively, str], None]
#: What happens while shards work: where the engine is, and how often at most a user has to resume for it. A job of a node that dies is
#: put back by Slurm, and begins some time later: that is in the long series.
FAULTS: dict[str, tuple[str, Strike, int]] = {
    "all that is here": ("farm", _heads, 1),
    "runner": ("farm", _runner, 1),
    "cancelled by an administrator": ("farm", _cancel, 1),
    "job of a head": ("heads", _head_job, 1),
}


@pytest.mark.parametrize(
    "fault",
    [f if f != "cancelled by an administrator" else pytest.param(f, marks=pytest.mark.soak) for f in FAULTS],
)
def test_a_run_in_shards_survives(fault: str, native: Natively) -> None:
    backend, strike, most = FAULTS[fault]
    run = native.begin(backend)
    until(lambda: sum(native.said("end").values()) >= 2, what="units", detail=lambda: native.explain(run))
    strike(native, run)
    assert native.resume_until_completed(run) <= most, native.explain(run)
    native.clean(run)


def test_what_nextflow_does_again_after_its_head_was_killed_is_counted(native: Natively) -> None:
    """It can't take up what ended while it did not live."""
    given = ["run", "noop", "--engine", "nextflow", "--units", "2", "--seconds", "12", "--cores", "2"]
    run = str(native.ok(*given, "--backend", "farm", "--detach")["run"])

    def began() -> int:
        """What units have written in the folders of their tasks."""
        logs = native.run(run).dir.glob("work/*/*/work/executions/*.log")
        return sum(log.read_text().count("start") for log in logs)

    until(lambda: began() == 2, what="both units", detail=lambda: native.explain(run))
    _heads(native, run)
    assert native.resume_until_completed(run) == 1, native.explain(run)
    assert native.status(run)["progress"]["second_executions"] == began() - 2 == 2, native.explain(run)
    until(lambda: not native.jobs_at(run), what="no job to be left", detail=lambda: native.jobs_at(run))
    native.nothing_runs(run)
    assert native.accepted(run) == 1


def test_jobs_that_the_controller_has_forgotten_are_named_and_done_again(native: Natively) -> None:
    run = native.begin("farm", command=IMPATIENT)
    until(lambda: sum(native.said("end").values()) >= 2, what="units", detail=lambda: native.explain(run))
    jobs = native.jobs_at(run)
    native.slurm.forget_jobs()
    # somebody else's jobs get their ids; those between them take no core
    others = [
        native.slurm.submit("sleep 300", *([] if str(n) in jobs else ["--hold"]))
        for n in range(1, max(map(int, jobs)) + 1)
    ]
    assert set(jobs) <= set(others)
    assert native.resume_until_completed(run) == 0, native.explain(run)
    told = (native.run(run).dir / "events.jsonl").read_text()
    assert any(f"job {job} (part_shard" in told for job in jobs), told
    assert "has none of them any more" in told
    assert {native.slurm.state(job) for job in others} <= {"RUNNING", "PENDING"}, "others are left alone"
    for job in others:
        native.slurm.cancel(job)
    native.clean(run)


# --- long series


def _drain(native: Natively, run: str) -> None:
    native.slurm.drain(native.at_work(run)[1])


def _requeue(native: Natively, run: str) -> None:
    native.slurm.requeue(native.at_work(run)[0])


def _unit(native: Natively, run: str) -> None:
    job, _ = native.at_work(run)
    next(
        p for p in native.processes(job) if "sums.py" in " ".join(p.cmdline()) and "part" in p.cmdline()
    ).kill()


def _full_disk(native: Natively, run: str) -> None:
    _, node = native.at_work(run)
    spool = native.slurm.folder / "spool" / node
    native.slurm.cover(node, spool, "4k")
    time.sleep(random.Random(run).uniform(0, 5))
    native.slurm.uncover(node, spool)


def _crashed_controller(native: Natively, run: str) -> None:
    native.at_work(run)
    native.slurm.kill_controller()
    time.sleep(random.Random(run).uniform(0, 5))
    native.slurm.start_controller()


#: A long series goes on where another one has stopped: `make soak` with FIRST_SEED=60 in its environment.
SEEDS = range(FIRST := int(os.environ.get("FIRST_SEED", "0")), FIRST + 60)
FROM_HERE: tuple[Strike, ...] = (
    *(_heads, _supervisor, _engine, _runner, _job, _unit, _slurmd, _node),
    *(_controller, _crashed_controller, _cancel, _requeue, _drain, _full_disk),
)
AS_JOB: tuple[Strike, ...] = (
    *(_supervisor, _head_job, _head_node, _runner, _job, _node),
    *(_controller, _cancel, _drain, _slurmd),
)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_in_shards_survives_whatever_happens_whenever(seed: int, native: Natively) -> None:
    """The short form: one thing at a time, above."""
    chance = random.Random(seed)
    backend, strikes = ("farm", FROM_HERE) if seed % 3 else ("heads", AS_JOB)
    run = native.begin(backend)
    for nth in range(chance.randint(1, 3)):
        strike = strikes[seed // 3 % len(strikes)] if nth == 0 else chance.choice(strikes)
        until(native.witness.exists, what="the first unit", detail=lambda: native.explain(run))
        time.sleep(chance.uniform(0, 6))
        # there may be nothing to strike any more, or the controller is away
        with contextlib.suppress(StopIteration, AssertionError, RuntimeError, psutil.Error):
            strike(native, run)
            print(f"{run}: seed {seed}, {strike.__name__.removeprefix('_')}")
        native.slurm.mend()
    native.resume_until_completed(run)
    native.clean(run)


@pytest.mark.soak
def test_a_controller_that_is_away_for_minutes_is_waited_for(native: Natively) -> None:
    native.seconds = 30
    run = native.begin("farm")
    until(native.witness.exists, what="the first unit", detail=lambda: native.explain(run))
    native.slurm.stop_controller()
    time.sleep(240)
    assert "waiting for farm since" in native.status(run)["reason"]
    native.slurm.start_controller()
    native.resume_until_completed(run)
    native.clean(run)
    assert native.status(run)["progress"]["second_executions"] == 0
