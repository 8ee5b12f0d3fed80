"""
More memory or time for jobs of a step that have run out of it, where the workflow has a rule for that
(`esap_wf.models.manifest.More`): the engine is started again, and what is done stays done.
"""

from __future__ import annotations

import logging
import math

import msgspec

from esap_wf.engines import queued
from esap_wf.formats.quantities import human_bytes, human_seconds
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Sharding
from esap_wf.models.run import Failure, Raised, Reason
from esap_wf.running.ownership import Ownership

logger = logging.getLogger(__name__)

_MORE = frozenset({Reason.OUT_OF_MEMORY, Reason.TIMEOUT})


def gets_more(owner: Ownership) -> bool:
    """
    Whether the engine that has ended badly is to be started again with more for its jobs; then it is written
    down how much.

    Only if nothing else has failed, and each step concerned has a rule that is not used up.
    """
    plan, state = owner.plan, owner.events.state
    failures = [
        _of_job(f, plan.sharding)
        for f in state.failures
        if f.epoch in (None, owner.epoch) and f.reason not in (Reason.CANCELLED, Reason.UNITS)
    ]
    steps = {f.step for f in failures}
    if plan.queue is None or not failures or any(f.reason not in _MORE for f in failures):
        return False
    inner = plan.sharding.step if plan.sharding.size else None
    if any(s.failed and s.name not in (*steps, inner) for s in state.steps) or not steps <= plan.steps.keys():
        return False
    if not owner.engine.raises:
        owner.note(f"{owner.engine.title} can't give jobs more than was planned: run it again with more")
        return False
    before = queued.raised(owner.run.dir)
    after = dict(before)
    for step in sorted(steps):
        now = before.get(step, Raised())
        more = raised(plan.steps[step], now, [f for f in failures if f.step == step], plan.queue)
        if more is None:
            logger.info("decided: %s gets no more: its rule is used up, or a job can't be given more", step)
            return False
        after[step] = more
    queued.keep_raised(owner.run.dir, after, owner.store.file_mode)
    for step in sorted(steps):
        what = told(step, plan.steps[step], before.get(step, Raised()), after[step])
        logger.info(what)
        owner.note(what)
    return True


def _of_job(failure: Failure, sharding: Sharding) -> Failure:
    """A unit in a shard has run out of what its shard was given."""
    if not sharding.size or failure.step != sharding.step:
        return failure
    return msgspec.structs.replace(failure, step=sharding.job)


def raised(step: StepNeeds, now: Raised, failures: list[Failure], queue: Queue) -> Raised | None:
    """
    What jobs of a step get next; None if its rule is used up, or if they can't be given more.

    Parameters
    ----------
    step : StepNeeds
        As planned.
    now : Raised
        What they had beyond that.
    failures : list of Failure
    queue : Queue
    """
    if now.times >= step.times:
        return None
    reasons = {f.reason for f in failures}
    memory, wall = now.memory_bytes, now.wall_seconds
    if Reason.OUT_OF_MEMORY in reasons:
        memory = _more(memory or step.memory_bytes, step.memory_factor, queue.most_memory_bytes)
        if memory is None:
            return None
    if Reason.TIMEOUT in reasons:
        wall = _more(wall or step.wall_seconds, step.wall_factor, queue.most_wall_seconds)
        if wall is None:
            return None
    return msgspec.structs.replace(now, memory_bytes=memory, wall_seconds=wall, times=now.times + 1)


def _more(amount: int | None, factor: float, most: int | None) -> int | None:
    """None if there is no more, or if nobody knows how much it was."""
    if amount is None:
        return None
    wanted = math.ceil(amount * factor)
    given = min(wanted, most) if most else wanted
    return given if given > amount else None


def told(step: str, planned: StepNeeds, before: Raised, after: Raised) -> str:
    """What was raised, in words."""
    parts = []
    for key, words, what in (
        ("memory_bytes", human_bytes, " of memory"),
        ("wall_seconds", human_seconds, ""),
    ):
        now, was = getattr(after, key), getattr(before, key)
        if now and now != was:
            earlier = was or getattr(planned, key)
            parts.append(f"{words(now)}{what}" + (f" ({words(earlier)} before)" if earlier else ""))
    allowed = f"by the workflow's rule, {after.times} of {planned.times}"
    return f"jobs of {step} had too little, so they get {' and '.join(parts)} from now on ({allowed})"
