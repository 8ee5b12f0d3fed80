"""
What engines of a run have left: processes here, jobs at a workload manager. Before another engine starts, and
before a run ends, none of it works any more; who can't be asked is asked again, for hours.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from esap_wf.backends import Condition, NeedsPersonError, OutageError
from esap_wf.backends.launcher import BatchJob
from esap_wf.formats.quantities import human_count
from esap_wf.formats.summaries import waiting_text
from esap_wf.models.run import Event
from esap_wf.running.jobs import waiting
from esap_wf.running.ownership import GRACE, Ownership
from esap_wf.running.trouble import Trouble

logger = logging.getLogger(__name__)

#: Seconds between two looks at jobs of an earlier engine, and within which a pause sees to the lease.
LOOK, _BEAT = 2.0, 0.5
#: Jobs that are named one by one.
TOLD = 20


def clear(owner: Ownership) -> None:
    """
    End whatever engines in the run directory have left, also at places of earlier plans; without a workload
    manager that takes some seconds.
    """
    if not owner.left_former:
        for name, launcher in owner.former_places().items():
            _patiently(owner, name, lambda there=launcher: there.clear(owner.run.id, GRACE, owner.note))  # type: ignore[misc]
        owner.left_former = True
    if owner.queue is None:
        owner.clear_survivors()
        return
    _patiently(owner, owner.plan.backend, owner.clear_survivors)


def _patiently(owner: Ownership, place: str, what: Callable[[], None]) -> None:
    """Until it was done; a place that can't be asked is waited for."""
    trouble = Trouble(place)
    while True:
        try:
            what()
            break
        except OutageError as error:
            trouble.begin(str(error))
        except NeedsPersonError as error:
            trouble.begin(str(error), person=True)
        _tell(owner, trouble.reason)
        _pause(owner, trouble.pause())
    if trouble.what:
        _tell(owner, "")


def _tell(owner: Ownership, reason: str) -> None:
    owner.write(owner.events.state.phase, reason=reason)


def _pause(owner: Ownership, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        owner.renew()
        owner.here.wait(min(_BEAT, left))


def wait_for_jobs(owner: Ownership) -> int:
    """
    Let the jobs of an earlier engine end, if a new one can take up what they do, unless somebody asks the run
    to stop.

    Returns
    -------
    int
        How many of those that are left have not begun.
    """
    if owner.queue is None:
        return 0
    trouble, told = Trouble(owner.plan.backend), ""
    jobs: Sequence[BatchJob] | None = None
    while not owner.run.stop_requested():
        jobs = _asked(owner, trouble)
        if jobs is not None and (not jobs or not owner.engine.takes_up):
            break
        reason = trouble.reason or _still(jobs or ())
        if reason != told:
            _tell(owner, reason)
            told = reason
        _pause(owner, trouble.pause() if jobs is None else LOOK)
    if told:
        _tell(owner, "")
    return sum(job.condition is Condition.WAITING for job in jobs or ())


def _asked(owner: Ownership, trouble: Trouble, ids: Sequence[str] = ()) -> Sequence[BatchJob] | None:
    """What the workload manager says; None if it can't be asked, and why in `trouble`."""
    try:
        jobs = owner.here.batch_jobs(owner.run.id, ids)
    except NeedsPersonError as error:
        trouble.begin(str(error), person=True)
        return None
    except OutageError as error:
        trouble.begin(str(error))
        return None
    if jobs is None:
        trouble.begin("it can't be asked now")
    else:
        trouble.end()
    return jobs


def _still(jobs: Sequence[BatchJob]) -> str:
    why = "; ".join(map(waiting_text, waiting(jobs)))
    text = f"{human_count(len(jobs), 'job')} of an earlier engine must end first"
    return f"{text}: {why}" if why else text


def take_up(owner: Ownership, epoch: int, never_began: int) -> None:
    """
    What jobs of a killed engine have done counts, if its successor can take it up. What that does again is a
    second execution.

    Parameters
    ----------
    owner : Ownership
    epoch : int
        Of the engine; all that it has told is counted.
    never_began : int
        Jobs that were ended before they began.
    """
    if owner.queue is None:
        return
    left = owner.engine.left_behind(owner.run.dir, epoch)
    ended = _how_ended(owner, left)
    if well := [job for job in left if _is_well(ended.get(job.batch or ""))]:
        owner.engine.take_up(owner.run.dir, well)
        owner.events.append([msgspec.structs.replace(job, t=time.time(), kind="done") for job in well])
        owner.note(f"{human_count(len(well), 'job')} ended well while no engine lived: none is repeated")
    if lost := [j for j in left if j not in well and _began(j, ended)]:
        # units of shards are counted by their journals
        if not owner.plan.sharding.size:
            owner.events.append([Event(t=time.time(), kind="again") for _ in lost])
        named = "; ".join(_how(job, ended.get(job.batch or "")) for job in lost[:TOLD])
        more = f" and {len(lost) - TOLD} more" if len(lost) > TOLD else ""
        what = f"{human_count(len(lost), 'job')} of an earlier engine did not end well"
        owner.note(f"{what}: {named}{more}: what they have not finished is done again")
    repeated = 0 if owner.engine.takes_up else max(0, owner.events.state.progress.jobs_running - never_began)
    if repeated:
        owner.events.append([Event(t=time.time(), kind="again") for _ in range(repeated)])
        owner.note(
            f"{human_count(repeated, 'job')} of an earlier engine to be done again: "
            f"{owner.engine.title} can't take up what ended while it did not live"
        )


def _how_ended(owner: Ownership, left: Sequence[Event]) -> dict[str, BatchJob]:
    """What the workload manager says of them, by id; of two with one id nobody knows which it means."""
    counted = Counter(job.batch for job in left if job.batch)
    ids = [one for one, times in counted.items() if times == 1]
    trouble = Trouble(owner.plan.backend)
    while ids and not owner.run.stop_requested():
        jobs = _asked(owner, trouble, ids)
        if jobs is not None:
            return {job.id: job for job in jobs if job.id in ids}
        _tell(owner, trouble.reason)
        _pause(owner, trouble.pause())
    return {}


def _how(job: Event, said: BatchJob | None) -> str:
    """A job, and how it ended by the workload manager's word."""
    name = f"job {job.batch or job.job or '?'} ({job.step}{f' {job.unit}' if job.unit else ''})"
    if said is None:
        return f"{name}, nobody knows how"
    why = said.reason or said.state
    return f"{name}{f' on {said.node}' if said.node else ''}, {why}"


def _is_well(job: BatchJob | None) -> bool:
    """Whether the workload manager is sure of it."""
    return job is not None and job.state == "COMPLETED" and not job.exit_code


def _began(job: Event, ended: Mapping[str, BatchJob]) -> bool:
    """Whether a job may have begun: one that nobody knows may have."""
    said = ended.get(job.batch or "")
    return said is None or bool(said.node)
