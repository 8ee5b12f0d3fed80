"""What one job of each step asks for at a workload manager: by the manifest, the size, and earlier runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats.quantities import human_bytes, human_seconds, to_bytes, to_seconds
from esap_wf.models.manifest import StepResources
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Plan, Sharding
from esap_wf.models.run import Raised
from esap_wf.runs import measurements

#: Seconds that a job of many units is given at most, unless one unit is given more: shards are made to be
#: much shorter.
LONG = 7200


def with_steps(plan: Plan, workflow: Workflow, config: Config) -> Plan:
    """
    The plan with what jobs of its steps ask for, if its engine submits them.

    Raises
    ------
    UsageError, RefusedError
        See `needs`.
    """
    if plan.queue is None:
        return plan
    manifest = workflow.manifest
    size = plan.request.size or manifest.resources.default
    earlier = measurements.raised_before(
        config.store / "records", manifest.name, manifest.version, plan.engine.name, size, plan.backend
    )
    asked, told = needs(workflow, size, plan.queue, plan.backend, earlier)
    asked = _in_shards(asked, plan.sharding, plan.queue)
    return msgspec.structs.replace(plan, steps=asked, warnings=[*plan.warnings, *told])


def _in_shards(asked: dict[str, StepNeeds], sharding: Sharding, queue: Queue) -> dict[str, StepNeeds]:
    """
    The same where units share jobs: one such job does as many units one after the other, and is given time
    for all of them, within reason.
    """
    step = asked.get(sharding.step) if sharding.size else None
    if step is None:
        return asked
    wall = step.wall_seconds
    if wall is not None:
        wall = max(wall, min(wall * sharding.size, LONG, queue.most_wall_seconds or LONG))
    rest = {name: other for name, other in asked.items() if name != sharding.step}
    # what earlier shards had to be given counts as it is
    of_shards = rest.get(sharding.job, StepNeeds())
    return rest | {
        sharding.job: msgspec.structs.replace(
            step,
            memory_bytes=max(step.memory_bytes or 0, of_shards.memory_bytes or 0) or None,
            wall_seconds=max(wall or 0, of_shards.wall_seconds or 0) or None,
        )
    }


def needs(
    workflow: Workflow,
    size: str,
    queue: Queue,
    place: str,
    earlier: Mapping[str, Raised],
) -> tuple[dict[str, StepNeeds], list[str]]:
    """
    What jobs ask for, and what is worth knowing of it.

    Parameters
    ----------
    workflow : Workflow
    size : str
    queue : Queue
    place : str
    earlier : mapping
        What earlier runs there had to be given.

    Raises
    ------
    UsageError
        An amount of the manifest can't be read.
    RefusedError
        A step asks for more than any job can be given there.
    """
    if wrong := list(problems(workflow)):
        raise UsageError("the manifest's resources of steps can't be read", wrong)
    steps = workflow.manifest.resources.steps
    asked = {name: _needs(_of_size(step, size)) for name, step in steps.items()}
    if above := list(_above(workflow, asked, queue, place)):
        raise RefusedError(f"{place} can't run a job of each step of {workflow.manifest.name}", above)
    told = []
    for name, amounts in earlier.items():
        given = _measured(asked.get(name, StepNeeds()), amounts, queue)
        if given != asked.get(name, StepNeeds()):
            asked[name] = given
            told.append(f"{name} gets {_amounts(given)} a job: earlier runs there had too little")
    return asked, told


def problems(workflow: Workflow) -> Iterator[Problem]:
    """Amounts that can't be read and sizes that aren't there, each with its line."""
    where = workflow.document.where
    sizes = workflow.manifest.resources.sizes
    for name, step in workflow.manifest.resources.steps.items():
        at = ["resources", "steps", name]
        yield from _unreadable(workflow, step, at)
        named = [step, *step.sizes.values()]
        if any(s.more for s in named) and all(s.memory is None and s.wall is None for s in named):
            what = f"{name} may get more of memory or time, but asks for neither"
            yield Problem(where([*at, "more"]), what, "say `memory` or `wall` beside `more`")
        for size, other in step.sizes.items():
            yield from _unreadable(workflow, other, [*at, "sizes", size])
            if size not in sizes:
                hint = f"there are {', '.join(sizes)}" if sizes else "the workflow has no sizes"
                yield Problem(where([*at, "sizes", size]), f"there is no size {size}", hint)
            if other.sizes:
                what = "a size of a step has no sizes of its own"
                yield Problem(where([*at, "sizes", size, "sizes"]), what, "name them beside it")


def _unreadable(workflow: Workflow, step: StepResources, at: list[str]) -> Iterator[Problem]:
    for key, read in (("memory", to_bytes), ("wall", to_seconds)):
        value = getattr(step, key)
        try:
            if value is not None and int(read(value)) < 1:
                raise ValueError(f"{value!r} is too little")
        except ValueError as error:
            hint = 'such as "90 min" or "2 h"' if key == "wall" else 'such as "500 MB" or "4 GiB"'
            yield Problem(workflow.document.where([*at, key]), str(error), hint)


def _of_size(step: StepResources, size: str) -> StepResources:
    other = step.sizes.get(size)
    if other is None:
        return step
    said: dict[str, Any] = {
        key: value
        for key in ("cores", "memory", "wall", "gpus", "more")
        if (value := getattr(other, key)) is not None
    }
    return msgspec.structs.replace(step, **said)


def _needs(step: StepResources) -> StepNeeds:
    more = step.more
    return StepNeeds(
        cores=step.cores,
        memory_bytes=None if step.memory is None else int(to_bytes(step.memory)),
        wall_seconds=None if step.wall is None else int(to_seconds(step.wall)),
        gpus=step.gpus,
        memory_factor=more.memory if more else 1.0,
        wall_factor=more.wall if more else 1.0,
        times=more.times if more else 0,
    )


def _above(workflow: Workflow, asked: Mapping[str, StepNeeds], queue: Queue, place: str) -> Iterator[Problem]:
    """Steps that no job can do there."""
    part = f"partition {queue.partition} of {place}" if queue.partition else place
    for name, step in asked.items():
        where = workflow.document.where(["resources", "steps", name])
        memory, wall = queue.most_memory_bytes, queue.most_wall_seconds
        if memory and step.memory_bytes and step.memory_bytes > memory:
            what = f"a job of {name} asks for {human_bytes(step.memory_bytes)} of memory"
            yield Problem(where, f"{what}; {part} gives {human_bytes(memory)}", _ELSEWHERE)
        if wall and step.wall_seconds and step.wall_seconds > wall:
            what = f"a job of {name} asks for {human_seconds(step.wall_seconds)}"
            yield Problem(where, f"{what}; {part} gives {human_seconds(wall)}", _ELSEWHERE)


_ELSEWHERE = "choose another size, another partition in the profile, or another place (esap-wf backends)"


def _measured(step: StepNeeds, amounts: Raised, queue: Queue) -> StepNeeds:
    """At least what earlier runs had to be given, and no more than a job can be given."""
    return msgspec.structs.replace(
        step,
        memory_bytes=_larger(
            step.memory_bytes, amounts.memory_bytes, queue.memory_bytes, queue.most_memory_bytes
        ),
        wall_seconds=_larger(
            step.wall_seconds, amounts.wall_seconds, queue.wall_seconds, queue.most_wall_seconds
        ),
    )


def _larger(asked: int | None, measured: int | None, default: int, most: int | None) -> int | None:
    if measured is None or measured <= (asked or default):
        return asked
    return min(measured, most) if most else measured


def _amounts(step: StepNeeds) -> str:
    parts = [human_bytes(step.memory_bytes)] if step.memory_bytes else []
    return " and ".join([*parts, *([human_seconds(step.wall_seconds)] if step.wall_seconds else [])])
