"""
Jobs for which an engine waits although its workload manager does not know them any more: it has lost its
state, or has forgotten them before the engine asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esap_wf.formats.quantities import human_count, human_seconds
from esap_wf.models.run import Event
from esap_wf.running.jobs import Jobs
from esap_wf.running.ownership import Ownership

#: Jobs that are named.
NAMED = 5


@dataclass(frozen=True)
class Missing:
    """
    What is missed.

    Parameters
    ----------
    what : str
        For people.
    certain : bool
        None of them works any more, so another engine may do again what they have not done.
    """

    what: str
    certain: bool


def look(owner: Ownership, jobs: Jobs) -> Missing | None:
    """
    What an engine waits for in vain; None if it may be at work itself, on this machine or in its own job.

    Parameters
    ----------
    owner : Ownership
    jobs : Jobs
        Which has missed them for long.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    left = owner.engine.left_behind(owner.run.dir, owner.epoch) if owner.engine.takes_up else []
    running = owner.events.state.progress.jobs_running
    if not left and owner.here.quiet(owner.key(owner.epoch), None) is None:
        return None
    title, place, seconds = owner.engine.title, owner.plan.backend, human_seconds(jobs.missed_for())
    what = (
        f"{title} has waited for {_named(left) or human_count(running, 'job')} for {seconds}, and {place} "
        "has none of them any more"
    )
    if not left:
        return Missing(f"{what}: nobody can say how they ended", certain=False)
    silent = set(owner.here.silent_nodes())
    where = {job.batch: jobs.nodes.get(job.batch or "", "") for job in left}
    at = sorted({node for node in where.values() if node} & silent)
    if at or (silent and not all(where.values())):
        nodes = ", ".join(at or sorted(silent)[:NAMED])
        return Missing(f"{what}; they may still work on {nodes}, which does not answer", certain=False)
    return Missing(what, certain=True)


def _named(left: Sequence[Event]) -> str:
    if not left:
        return ""
    names = [f"job {e.batch} ({e.step}{f' {e.unit}' if e.unit else ''})" for e in left[:NAMED]]
    rest = len(left) - NAMED
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")
