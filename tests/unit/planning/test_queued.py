"""What a plan sees to where an engine submits the jobs of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esap_wf.backends.places import Place
from esap_wf.backends.slurm import Slurm
from esap_wf.engines import Demand
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.errors import Problem, RefusedError
from esap_wf.models.place import Containers, Profile
from esap_wf.models.plan import Allocation, Estimate
from esap_wf.planning import queued
from esap_wf.planning.wishes import Wishes

GB = 10**9


class Seeing(Slurm):
    """Whose jobs see a store, don't, or nobody knows."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer

    def sees(self, profile: Profile, folder: Path, cache: Path) -> bool | None:
        return self.answer


def place(kind: Slurm | None = None, **settings: Any) -> Place:
    return Place(Profile(name="farm", kind="slurm", settings={"way": "native", **settings}), kind or Slurm())


def allocation(**changes: Any) -> Allocation:
    return Allocation(**{"cores": 8, "memory_bytes": GB, "disk_bytes": 0, "wall_seconds": 60, **changes})


def wishes(*demands: Demand, given: tuple[str, ...] = ()) -> Wishes:
    return Wishes(demands, frozenset(given), sized=False, engine="Snakemake")


def estimate(seconds: float) -> Estimate:
    return Estimate(core_hours=1, memory_bytes=1, disk_bytes=1, wall_seconds=seconds)


def test_the_largest_job_is_that_of_a_step_not_of_the_run() -> None:
    demands = (Demand("memory", 3 * GB, "rule a", "f:1"), Demand("wall", 7200, "rule b", "f:2"))
    job = queued.largest_job(place(), allocation(step_cores=4, memory_bytes=64 * GB), wishes(*demands))
    assert (job.cores, job.memory_bytes, job.wall_seconds) == (4, 3 * GB, 7200)
    # what nobody says is what the queue gives
    plain = queued.largest_job(place(job_memory="5 GB", job_wall="3 h", job_cores=2), allocation(), wishes())
    assert (plain.cores, plain.memory_bytes, plain.wall_seconds) == (2, 5 * GB, 10800)
    # and what the user says goes before
    mine = queued.largest_job(place(), allocation(memory_bytes=9 * GB), wishes(given=("memory",)))
    assert mine.memory_bytes == 9 * GB


def test_a_piece_is_one_job_with_all_of_it() -> None:
    whole = allocation(cores=8, memory_bytes=64 * GB)
    assert queued.largest_job(place(way="there", folder="/x"), whole, wishes()) == whole


def test_containers_are_started_by_what_nodes_have() -> None:
    assert queued.contained(place().profile).containers == Containers(runtimes=["apptainer"])
    named = Profile(containers=Containers(runtimes=["docker", "apptainer"], map={"a": "/b.sif"}))
    assert queued.contained(named).containers == Containers(runtimes=["apptainer"], map={"a": "/b.sif"})
    other = queued.contained(Profile(containers=Containers(runtimes=["docker"])))
    assert other.containers
    assert other.containers.runtimes not in ([], ["docker"])


@pytest.mark.parametrize(("answer", "words"), [(True, None), (None, "nobody knows yet")])
def test_a_store_that_is_seen_and_one_of_which_nobody_knows(
    tmp_path: Path, answer: bool | None, words: str | None
) -> None:
    warnings = queued.seen(place(Seeing(answer)), tmp_path, tmp_path)
    assert len(warnings) == (words is not None)
    assert all(words in w for w in warnings if words)


def test_a_store_that_is_not_seen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        queued.seen(place(Seeing(False)), tmp_path, tmp_path)
    (problem,) = refused.value.problems
    assert problem.where == str(tmp_path)
    assert "--store" in problem.hint
    assert "`folder`" in problem.hint


def test_paths_of_one_machine_are_told() -> None:
    warnings = queued.of_one_machine(["/home/a/x", "/tmp/x", "/dev/shm/y"], Path("/home/a/store"), "farm")
    assert len(warnings) == 1
    assert warnings[0].startswith("/tmp/x, /dev/shm/y: ")
    # the store is there itself, and its jobs see it
    assert queued.of_one_machine(["/tmp/x"], Path("/tmp/store"), "farm") == []
    assert queued.of_one_machine(["/tmpx/x", "/home/b"], Path("/home/store"), "farm") == []


def test_an_engine_that_cannot_hand_over_must_have_the_time() -> None:
    short = place(head="job", head_wall="1 h")
    with pytest.raises(RefusedError) as refused:
        queued.confirm_head(short, Nextflow(), estimate(7200))
    assert "can't hand over" in refused.value.problems[0].what
    queued.confirm_head(short, Nextflow(), estimate(3000))
    queued.confirm_head(short, Snakemake(), estimate(7200))
    queued.confirm_head(place(head="here", head_wall="1 h"), Nextflow(), estimate(7200))


def test_what_is_against_several_ways_is_told_once() -> None:
    same = RefusedError("x", [Problem("a", "there is no partition")])
    other = RefusedError("y", [Problem("a", "there is no partition"), Problem("b", "no engine there")])
    assert queued.several(place(), "hello", [(place(), same)]) is same
    both = queued.several(place(), "hello", [(place(), same), (place(), other)])
    assert [p.what for p in both.problems] == ["there is no partition", "no engine there"]


def test_what_the_place_itself_does_not_have_is_told_alone() -> None:
    size = RefusedError("x", [Problem("backend farm", "900 GB asked for")])
    other = RefusedError("y", [Problem("cwl", "was not found at farm")])
    assert queued.several(place(), "hello", [(place(), size), (place(), other)]) is size
