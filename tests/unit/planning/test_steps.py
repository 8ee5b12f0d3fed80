"""What jobs of a step ask for: by the manifest and the size, and what earlier runs had to be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf.catalogue.manifests import read_manifest
from esap_wf.errors import RefusedError, UsageError
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Raised
from esap_wf.planning import steps
from esap_wf.runs import measurements
from esap_wf.runs.measurements import RaisedBefore

GB = 10**9
QUEUE = Queue(kind="slurm", partition="main", most_memory_bytes=4 * GB, most_wall_seconds=7200)
STEPS = {
    "unit": {
        "memory": "1 GB",
        "wall": "30 min",
        "more": {"memory": 2, "wall": 1.5, "times": 3},
        "sizes": {"huge": {"memory": "3 GB", "cores": 4}},
    },
    "merge": {"gpus": 1},
}


@pytest.fixture
def workflow(toy: Any) -> Any:
    def made(steps_: Any) -> Any:
        resources = {
            "sizes": {"small": {"cores": 1, "memory": "1 GB"}, "huge": {"cores": 8, "memory": "1 GB"}},
            "steps": steps_,
        }
        return toy({}, {"resources": resources})

    return made


def test_a_step_asks_for_what_the_manifest_says(workflow: Any) -> None:
    asked, told = steps.needs(workflow(STEPS), "small", QUEUE, "slurm", {})
    rule = {"memory_factor": 2.0, "wall_factor": 1.5, "times": 3}
    assert asked == {
        "unit": StepNeeds(memory_bytes=GB, wall_seconds=1800, **rule),  # type: ignore[arg-type]
        "merge": StepNeeds(gpus=1),
    }
    assert told == []


def test_a_size_has_its_own_amounts_and_keeps_the_others(workflow: Any) -> None:
    asked, _ = steps.needs(workflow(STEPS), "huge", QUEUE, "slurm", {})
    assert (asked["unit"].memory_bytes, asked["unit"].cores, asked["unit"].wall_seconds) == (3 * GB, 4, 1800)
    assert asked["unit"].times == 3


def test_what_earlier_runs_had_to_be_given_is_where_the_next_begins(workflow: Any) -> None:
    earlier = {"unit": Raised(memory_bytes=9 * GB, times=2), "merge": Raised(wall_seconds=5000, times=1)}
    asked, told = steps.needs(workflow(STEPS), "small", QUEUE, "slurm", earlier)
    assert asked["unit"].memory_bytes == 4 * GB, "never more than a job can be given"
    assert asked["merge"] == StepNeeds(gpus=1, wall_seconds=5000)
    assert told[0] == ("unit gets 4 GB and 30 min a job: earlier runs there had too little")
    small, told = steps.needs(
        workflow(STEPS), "small", QUEUE, "slurm", {"unit": Raised(memory_bytes=GB // 2)}
    )
    assert (small["unit"].memory_bytes, told) == (GB, [])


def test_a_job_of_many_units_is_given_time_for_all_of_them_within_reason(workflow: Any) -> None:
    asked, _ = steps.needs(workflow(STEPS), "small", QUEUE, "slurm", {"shard": Raised(memory_bytes=3 * GB)})
    three = steps._in_shards(asked, Sharding(step="unit", job="shard", size=3, shards=2), QUEUE)
    assert "unit" not in three
    assert (three["shard"].wall_seconds, three["shard"].memory_bytes) == (5400, 3 * GB)
    assert three["shard"].times == 3
    many = steps._in_shards(asked, Sharding(step="unit", job="shard", size=500, shards=2), QUEUE)
    assert many["shard"].wall_seconds == 7200
    assert steps._in_shards(asked, Sharding(), QUEUE) == asked


def test_a_step_that_no_job_can_do_is_refused_before_the_start(workflow: Any) -> None:
    wide = {"unit": {"memory": "64 GB", "wall": "3 h"}}
    with pytest.raises(RefusedError) as refused:
        steps.needs(workflow(wide), "small", QUEUE, "slurm", {})
    memory, wall = refused.value.problems
    assert memory.what == "a job of unit asks for 64 GB of memory; partition main of slurm gives 4 GB"
    assert "workflow.yaml:" in memory.where
    assert "3 h" in wall.what


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"memory": "much"}, "much"),
        ({"wall": "0 s"}, "too little"),
        ({"memory": "1 GB", "sizes": {"hugh": {"memory": "2 GB"}}}, "there is no size hugh"),
        ({"more": {"memory": 2}}, "asks for neither"),
        ({"sizes": {"huge": {"sizes": {"huge": {}}}}}, "no sizes of its own"),
    ],
)
def test_wrong_amounts_are_told_with_their_line(workflow: Any, wrong: Any, what: str) -> None:
    made = workflow({"unit": wrong})
    (problem,) = steps.problems(made)
    assert what in problem.what
    assert "workflow.yaml:" in problem.where
    with pytest.raises(UsageError):
        steps.needs(made, "small", QUEUE, "slurm", {})


def test_raised_amounts_are_found_again_for_the_same_workflow_engine_size_and_place(tmp_path: Path) -> None:
    told = RaisedBefore(
        version="1", engine="snakemake", size="small", place="slurm", steps={"unit": Raised(memory_bytes=GB)}
    )
    measurements.keep_raised(tmp_path, "toy", told)
    later = msgspec.structs.replace(told, steps={"unit": Raised(memory_bytes=2 * GB)})
    measurements.keep_raised(tmp_path, "toy", later)
    found = measurements.raised_before(tmp_path, "toy", "1", "snakemake", "small", "slurm")
    assert found == {"unit": Raised(memory_bytes=2 * GB)}
    for other in (
        ("2", "snakemake", "small", "slurm"),
        ("1", "nextflow", "small", "slurm"),
        ("1", "snakemake", "huge", "slurm"),
        ("1", "snakemake", "small", "other"),
    ):
        assert measurements.raised_before(tmp_path, "toy", *other) == {}


def test_the_steps_of_our_own_workflows_can_be_read() -> None:
    for folder in sorted(Path(__file__).parents[3].glob("workflows/*/workflow.yaml")):
        workflow = read_manifest(folder)
        assert workflow.manifest.resources.steps
        assert list(steps.problems(workflow)) == []
