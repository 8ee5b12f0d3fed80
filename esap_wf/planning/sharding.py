"""How many units share a job of the engine, and why: a shard is such a job (docs/shards.md)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from esap_wf.errors import Problem
from esap_wf.formats.quantities import human_count, human_seconds
from esap_wf.models.manifest import Implementation
from esap_wf.models.place import Queue
from esap_wf.models.plan import Estimate, Sharding
from esap_wf.runs.measurements import Measurement

#: Units from which shards serve where no batch system starts each job: below, a job costs next to nothing.
MANY = 5000
#: Seconds that a shard is to take: between 10 and 30 minutes.
GOAL = 1200.0
#: The same where nobody has measured a unit: the workflow's own model may be wrong by a factor.
GOAL_BY_MODEL = 600.0
#: Units of a shard where nobody knows how long a unit takes: the first run measures it for the next.
CANARY = 20
#: Units of a shard at most, however short they are.
LARGEST = 10_000
#: Part of a job's time limit that a shard may be expected to take.
SAFE = 0.5


@dataclass(frozen=True)
class Work:
    """
    What of a run decides how its units are put into shards.

    Parameters
    ----------
    implementation : Implementation
        Which is run.
    engine : str
        Its engine, for people.
    units : int
    slots : int
        Jobs that can be at work at a time.
    estimate : Estimate
        Of the run, corrected by earlier ones.
    earlier : sequence of Measurement
        Runs of this workflow, with the same engine at the same place.
    queue : Queue or None
        To which the engine submits its jobs; None: they work where it does.
    limit : int or None
        Seconds that a job may take there.
    sliced : bool
        Whether the run is cut into slices, each an engine run of its own.
    """

    implementation: Implementation
    engine: str
    units: int
    slots: int
    estimate: Estimate
    earlier: Sequence[Measurement] = ()
    queue: Queue | None = None
    limit: int | None = None
    sliced: bool = False


def share(work: Work, asked: int | None) -> tuple[Sharding, list[Problem]]:
    """
    How the units are put into shards; none if each is a job of its own.

    Parameters
    ----------
    work : Work
    asked : int, optional
        Units a shard that the user wants.

    Returns
    -------
    sharding : Sharding
    problems : list of Problem
        Why it can't be done as it is asked for.
    """
    shards = work.implementation.shards
    if shards is None:
        if asked is None:
            return Sharding(), []
        what = (
            f"shards of {human_count(asked, 'unit')} asked for, but the workflow's implementation for "
            f"{work.engine} has no shards"
        )
        return Sharding(), [Problem("--shard-size", what, "leave it out: each unit is a job of its own")]
    if shards.file and work.sliced:
        why = f"a slice is run by {work.engine} without shards"
        what = f"{why}, and this run is cut into slices"
        problem = Problem("--shard-size", what, "leave out one of the two")
        return Sharding(why=why), [problem] if asked is not None else []
    if asked is not None:
        return _of(work, asked, "as you asked"), []
    if work.queue is None and work.units < MANY:
        return Sharding(why=f"with fewer than {MANY} units a job of its own for each costs little here"), []
    if work.units <= work.slots:
        return Sharding(why="there is a slot for each unit"), []
    return _chosen(work), []


def unit_seconds(work: Work) -> tuple[float, str, bool]:
    """How long a unit takes (0: nobody knows), how that is known, and whether it was measured."""
    measured = [m.unit_seconds for m in work.earlier if m.unit_seconds]
    if measured:
        how = f"by {human_count(len(measured), 'earlier run')} a unit takes"
        return statistics.median(measured), how, True
    seconds = work.estimate.core_hours * 3600 / max(1, work.units)
    if work.estimate.measured_runs:
        return seconds, "by what earlier runs used in all, a unit takes", True
    return seconds, "by the workflow's own model a unit takes", False


def _chosen(work: Work) -> Sharding:
    seconds, how, measured = unit_seconds(work)
    most = max(1, work.units // max(1, work.slots))  # never fewer shards than slots
    if not seconds:
        size = min(CANARY, most)
        return _of(
            work, size, "nobody has measured a unit yet, so shards are small; the next plan knows more"
        )
    goal = GOAL if measured else GOAL_BY_MODEL
    if work.limit is not None:
        goal = min(goal, work.limit * SAFE)
    size = max(1, min(LARGEST, most, math.floor(goal / seconds)))
    why = f"{how} {human_seconds(seconds) if seconds >= 1 else f'{seconds:.2g} s'}"
    if size == most and most < goal / seconds:
        why += f", and none of {human_count(work.slots, 'slot')} is to be idle"
    return _of(work, size, why)


def _of(work: Work, size: int, why: str) -> Sharding:
    shards = work.implementation.shards
    assert shards
    return Sharding(step=shards.step, job=shards.job, size=size, shards=math.ceil(work.units / size), why=why)
