"""What a workload manager says of jobs, in the words of a run: how they ended, and why they wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from esap_wf.backends import Condition
from esap_wf.backends.launcher import BatchJob
from esap_wf.models.run import Event, Reason, Waiting

#: Reasons why jobs wait that are told one by one.
SHOWN = 5
#: What an engine is surer of than its manager, which only sees how the job ended.
_ENGINES = frozenset(
    {
        Reason.MISSING_OUTPUT,
        Reason.INVALID_OUTPUT,
        Reason.NO_SPACE,
        Reason.UNITS,
        Reason.STAGE_IN,
        # read in the job's log: a manager may only see that a process was killed
        Reason.OUT_OF_MEMORY,
        Reason.TIMEOUT,
    }
)


def told_by(job: BatchJob, ended: Event, epoch: int) -> Event:
    """
    What a workload manager says of an ended job, as an event beside the engine's own.

    Parameters
    ----------
    job : BatchJob
    ended : Event
        By which the engine told its end.
    epoch : int
        Of who writes it.
    """
    used = job.usage if ended.cpu_seconds is None else None
    largest = job.usage.max_rss_bytes if ended.memory_bytes is None else None
    event = Event(
        t=time.time(),
        kind="job",
        epoch=epoch,
        step=ended.step,
        unit=ended.unit,
        job=ended.job,
        batch=job.id,
        host=job.node or ended.host,
        state=job.state or None,
        cpu_seconds=used.cpu_seconds if used else None,
        memory_bytes=largest,
    )
    if ended.kind != "failed":
        return event
    reason, detail = why(job, ended)
    code = job.exit_code if ended.exit_code is None and job.exit_code else None
    return msgspec.structs.replace(event, reason=reason, detail=detail or None, exit_code=code)


def why(job: BatchJob, ended: Event) -> tuple[str | None, str]:
    """Why an ended job has failed, and in words; None: what the engine has said of it stands."""
    if job.kind:
        return job.kind, job.reason
    if ended.reason in _ENGINES:
        return None, ""
    if job.signal:
        return Reason.SIGNAL, job.reason or f"it was ended by signal {job.signal}"
    if ended.reason in (None, Reason.UNKNOWN) and job.exit_code:
        return Reason.EXIT_CODE, ""
    return None, ""


def waiting(jobs: Sequence[BatchJob]) -> list[Waiting]:
    """Jobs that wait, by why: the most first."""
    groups: dict[str, list[BatchJob]] = {}
    for job in jobs:
        if job.condition is Condition.WAITING:
            groups.setdefault(job.reason, []).append(job)
    found = [
        Waiting(jobs=len(group), reason=reason, since=_moment([j.since for j in group]))
        for reason, group in groups.items()
    ]
    found.sort(key=lambda w: (-w.jobs, w.reason))
    if len(found) <= SHOWN:
        return found
    rest = found[SHOWN - 1 :]
    others = Waiting(
        jobs=sum(w.jobs for w in rest),
        reason=f"of {len(rest)} other reasons",
        since=min((w.since for w in rest if w.since), default=""),
    )
    return [*found[: SHOWN - 1], others]


def _moment(since: Iterable[float | None]) -> str:
    known = [s for s in since if s]
    return (
        datetime.fromtimestamp(min(known), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        if known
        else ""
    )
