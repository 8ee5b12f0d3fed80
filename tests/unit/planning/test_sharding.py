"""How many units share a job."""

from __future__ import annotations

import msgspec
import pytest

from esap_wf.models.manifest import Implementation, Shards
from esap_wf.models.place import Queue
from esap_wf.models.plan import Estimate
from esap_wf.planning.sharding import GOAL, Work, share
from esap_wf.runs.measurements import Measurement

SHARDED = Implementation(engine="snakemake", file="Snakefile", shards=Shards(step="unit", job="unit_shard"))
PLAIN = Implementation(engine="snakemake", file="Snakefile")
QUEUE = Queue(kind="slurm")


def work(**changes: object) -> Work:
    seconds = changes.pop("seconds", 0.0)
    units = changes.pop("units", 1000)
    estimate = Estimate(core_hours=seconds * units / 3600, memory_bytes=0, disk_bytes=0, wall_seconds=0)  # type: ignore[operator]
    values = {
        "implementation": SHARDED,
        "engine": "Snakemake",
        "units": units,
        "slots": 4,
        "estimate": estimate,
        "queue": QUEUE,
    }
    return Work(**{**values, **changes})  # type: ignore[arg-type]


def measured(unit_seconds: float) -> Measurement:
    return Measurement(
        run="r",
        version="1.0.0",
        engine="snakemake",
        units=10,
        input_bytes=0,
        cpu_seconds=1,
        memory_bytes=1,
        wall_seconds=1,
        core_seconds=1,
        unit_seconds=unit_seconds,
    )


def size(**changes: object) -> int:
    sharding, problems = share(work(**changes), None)
    assert not problems
    return sharding.size


def test_a_shard_takes_some_twenty_minutes_by_what_was_measured():
    assert size(units=100_000, earlier=[measured(10), measured(12), measured(11)]) == GOAL // 11
    assert size(units=100_000, earlier=[measured(10)], seconds=500.0) == GOAL // 10, (
        "what was measured counts more than the model"
    )


def test_by_the_model_alone_shards_are_smaller():
    assert size(units=100_000, seconds=10.0) == 60


def test_of_a_unit_that_nobody_knows_the_first_shards_are_small():
    sharding, _ = share(work(units=100_000), None)
    assert sharding.size == 20 and "nobody has measured" in sharding.why


@pytest.mark.parametrize("slots", [1, 3, 64, 5000])
def test_there_are_never_fewer_shards_than_slots(slots):
    sharding, _ = share(work(seconds=0.001, slots=slots), None)
    assert sharding.shards >= slots or not sharding.size


def test_a_shard_fits_into_the_time_limit_of_a_job():
    assert size(units=100_000, earlier=[measured(10)], limit=600) == 30
    assert size(units=100_000, earlier=[measured(1000)], limit=600) == 1


def test_on_this_machine_shards_serve_for_many_units_alone():
    assert size(queue=None, units=4999, seconds=0.1) == 0
    assert size(queue=None, units=5000, seconds=0.1) > 0
    assert size(queue=QUEUE, units=10, seconds=0.1) == 2
    assert size(queue=QUEUE, units=4, seconds=0.1) == 0, "a slot for each"


def test_what_the_user_asks_for_counts():
    sharding, problems = share(work(units=10, queue=None), 4)
    assert (sharding.size, sharding.shards, sharding.step, sharding.job) == (
        4,
        3,
        "unit",
        "unit_shard",
    ) and not problems
    assert share(work(units=10), 1_000_000)[0].shards == 1


def test_a_workflow_without_shards_has_none_and_says_so_if_asked():
    assert share(work(implementation=PLAIN), None) == (share(work(implementation=PLAIN), None)[0], [])
    assert share(work(implementation=PLAIN), None)[0].size == 0
    _, (problem,) = share(work(implementation=PLAIN), 4)
    assert problem.where == "--shard-size" and "has no shards" in problem.what


def test_slices_of_another_file_have_no_shards():
    other = msgspec.structs.replace(SHARDED, shards=Shards(step="unit", job="shard", file="shards.cwl"))
    assert share(work(implementation=other, sliced=True), None)[0].size == 0
    assert share(work(implementation=other, sliced=True), 5)[1]
