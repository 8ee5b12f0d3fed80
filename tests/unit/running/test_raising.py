"""Jobs that ran out of memory or time get more by their step's rule, and never more than a job can be given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from esap_wf.engines import queued
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Failure, Phase, Raised, Reason, State, Step
from esap_wf.running import raising
from esap_wf.running.ownership import Ownership

GB = 10**9
RULE = StepNeeds(memory_bytes=2 * GB, wall_seconds=600, memory_factor=2.0, wall_factor=3.0, times=2)
QUEUE = Queue(kind="slurm", most_memory_bytes=6 * GB, most_wall_seconds=3600)


def failed(reason: str, step: str = "unit", epoch: int = 1) -> Failure:
    return Failure(step=step, reason=reason, epoch=epoch)


def owner_of(folder: Path, *failures: Failure, raises: bool = True, queue: Queue | None = QUEUE) -> Ownership:
    (folder / "engine").mkdir(exist_ok=True)
    names = {f.step for f in failures}
    state = State(
        phase=Phase.EXECUTING,
        failures=list(failures),
        steps=[Step(name=n, failed=1) for n in names],
    )
    notes: list[str] = []
    made: Any = SimpleNamespace(
        plan=SimpleNamespace(queue=queue, steps={"unit": RULE}, sharding=Sharding()),
        events=SimpleNamespace(state=state),
        epoch=1,
        engine=SimpleNamespace(raises=raises, title="An engine"),
        run=SimpleNamespace(dir=folder),
        store=SimpleNamespace(file_mode=0o644),
        note=notes.append,
        notes=notes,
    )
    return cast(Ownership, made)


def test_memory_is_raised_until_the_rule_is_used_up(tmp_path: Path) -> None:
    owner = owner_of(tmp_path, failed("OUT_OF_MEMORY"), failed("CANCELLED"))
    assert raising.gets_more(owner)
    assert queued.raised(tmp_path) == {"unit": Raised(memory_bytes=4 * GB, times=1)}
    assert raising.gets_more(owner)
    assert queued.raised(tmp_path) == {"unit": Raised(memory_bytes=6 * GB, times=2)}, "no job gets more"
    assert not raising.gets_more(owner)
    assert cast(Any, owner).notes[0] == (
        "jobs of unit had too little, so they get 4 GB of memory (2 GB before) from now on "
        "(by the workflow's rule, 1 of 2)"
    )


def test_both_are_raised_at_once_and_each_by_its_factor(tmp_path: Path) -> None:
    assert raising.gets_more(owner_of(tmp_path, failed("OUT_OF_MEMORY"), failed("TIMEOUT")))
    assert queued.raised(tmp_path)["unit"] == Raised(memory_bytes=4 * GB, wall_seconds=1800, times=1)


@pytest.mark.parametrize(
    "failures",
    [
        [],
        [failed("EXIT_CODE")],
        [failed("OUT_OF_MEMORY"), failed("EXIT_CODE")],
        [failed("OUT_OF_MEMORY"), failed("TIMEOUT", step="other")],
        [failed("CANCELLED")],
    ],
)
def test_nothing_is_raised_if_anything_else_has_failed(tmp_path: Path, failures: list[Failure]) -> None:
    assert not raising.gets_more(owner_of(tmp_path, *failures))
    assert queued.raised(tmp_path) == {}


def test_nothing_is_raised_without_a_queue_or_by_an_engine_that_cannot(tmp_path: Path) -> None:
    assert not raising.gets_more(owner_of(tmp_path, failed("TIMEOUT"), queue=None))
    assert not raising.gets_more(owner := owner_of(tmp_path, failed("TIMEOUT"), raises=False))
    assert "can't give jobs more" in cast(Any, owner).notes[0]


def test_the_shards_of_units_that_ran_out_of_memory_get_more(tmp_path: Path) -> None:
    owner = owner_of(tmp_path, failed("OUT_OF_MEMORY"), failed("UNITS", "unit_shard"))
    plan: Any = owner.plan
    plan.steps, plan.sharding = (
        {"unit_shard": RULE},
        Sharding(step="unit", job="unit_shard", size=9, shards=2),
    )
    assert raising.gets_more(owner)
    assert queued.raised(tmp_path) == {"unit_shard": Raised(memory_bytes=4 * GB, times=1)}


def test_an_amount_that_nobody_named_or_that_is_the_most_is_not_raised() -> None:
    step = StepNeeds(times=3, memory_factor=2.0)
    assert raising.raised(step, Raised(), [failed("OUT_OF_MEMORY")], QUEUE) is None
    assert raising.raised(RULE, Raised(memory_bytes=6 * GB), [failed("OUT_OF_MEMORY")], QUEUE) is None
    assert raising.raised(RULE, Raised(), [failed(Reason.TIMEOUT)], QUEUE) == Raised(
        wall_seconds=1800, times=1
    )
