"""
How an engine is that is a job of Slurm: what its own record tells, and what Slurm says of its job where that
says nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from esap_wf.backends.launcher import BatchJob, Condition, Seen, Usage
from esap_wf.backends.slurm import head_environment
from esap_wf.runs import attempts
from esap_wf.runs.attempts import EngineExit

#: States in which Slurm has taken a job away: what its engine did with the last signal is not how it ended.
_TAKEN = frozenset(
    {"CANCELLED", "PREEMPTED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "REVOKED", "OUT_OF_MEMORY"}
)


class Judge:
    """
    Says how engines are.

    Parameters
    ----------
    name : str
        Of the place.
    latency : float
        Seconds until what a node writes is seen here.
    """

    def __init__(self, name: str, latency: float) -> None:
        self.name, self.latency = name, latency
        #: When it was first seen that the job of a key is over although its word isn't there.
        self._silent: dict[str, float] = {}

    def judged(self, key: str, folder: Path, job: BatchJob | None) -> Seen:
        """What is to be thought of an engine of which Slurm has said this; its own word is read last."""
        epoch = epoch_of(key)
        end = attempts.end_of(folder, epoch)
        if job and job.state in _TAKEN and not (end and end.exit_code == 0):
            head_environment.remove(folder, epoch)
            reason = f"job {job.id}{on_node(job)}: {job.reason or job.state}"
            return Seen(Condition.GONE, reason=reason, where=job.node, usage=job.usage, orphans=True)
        if end and end.exit_code and job and job.condition is Condition.RUNNING:
            # Slurm is about to say whether it has taken it away
            return Seen(Condition.RUNNING, reason="its job is ending", where=job.node, root=str(folder))
        if end:
            return ended(end, job, folder)
        if job and job.condition is Condition.WAITING:
            return Seen(Condition.WAITING, reason=f"job {job.id}: {job.reason or 'it waits for its turn'}")
        if job and job.condition is Condition.RUNNING:
            self._silent.pop(key, None)
            return Seen(Condition.RUNNING, where=job.node, root=str(folder))
        if job and job.condition is Condition.UNKNOWN:
            return Seen(Condition.UNKNOWN, reason=f"job {job.id}: {job.reason}")
        return self._without_a_word(key, folder, job)

    def _without_a_word(self, key: str, folder: Path, job: BatchJob | None) -> Seen:
        """Its job is over, or nobody knows of one: its word may not be seen here yet."""
        epoch, moment = epoch_of(key), time.monotonic()
        since = self._silent.setdefault(key, moment)
        record = attempts.job_of(folder, epoch)
        if job is None and not began(folder, epoch) and not (record and record.job):
            return Seen(Condition.GONE, reason="was never handed in")
        if moment - since < self.latency:
            where = job.node if job else ""
            reason = "its job is over, and what it has written is not yet seen here"
            return Seen(Condition.RUNNING, reason=reason, where=where, root=str(folder))
        head_environment.remove(folder, epoch)
        what = f"job {job.id}{on_node(job)} has ended" if job else f"{self.name} knows nothing of its job"
        said = f": {job.reason}" if job and job.reason else ""
        log = f"engine/{epoch}.job.log"
        reason = f"{what}{said}, and left no word of its engine; {log} may say more"
        return Seen(Condition.GONE, reason=reason, where=job.node if job else "", orphans=True)


def ended(end: EngineExit, job: BatchJob | None, folder: Path) -> Seen:
    """An engine that has ended: whether its jobs are gone is asked before anything is accepted."""
    return Seen(
        Condition.ENDED,
        exit_code=end.exit_code,
        where=job.node if job else "",
        root=str(folder.resolve()),
        usage=Usage(end.cpu_seconds, end.max_rss_bytes or None),
        orphans=True,
        drained=end.drained,
    )


def epoch_of(key: str) -> int:
    """Of the key of an engine."""
    return int(key.rpartition(".")[2])


def is_engine(key: str) -> bool:
    """Whether a key is one of run and epoch; what is asked for may be anything."""
    return bool(re.fullmatch(r"[^.]+\.[1-9]\d{0,8}", key))


def handle_of(job: str, folder: Path) -> str:
    """By which also other runs can ask for it."""
    return f"{job} {folder}"


def began(folder: Path, epoch: int) -> tuple[str, str] | None:
    """Job and node that have begun with the engine of an epoch."""
    try:
        words = (folder / "engine" / f"{epoch}.started").read_text("utf-8", "replace").split()
    except OSError:
        return None
    return (words[0], words[1] if len(words) > 1 else "") if words and words[0].isdecimal() else None


def chosen(jobs: Sequence[BatchJob], began: tuple[str, str] | None) -> BatchJob | None:
    """Of several jobs of one key the one that has begun with it; before that any that is still to begin."""
    if began and (mine := [j for j in jobs if j.id == began[0]]):
        return mine[0]
    return next((j for j in jobs if j.condition in (Condition.WAITING, Condition.RUNNING)), None) or next(
        iter(jobs), None
    )


def on_node(job: BatchJob) -> str:
    """Where a job is, to be put behind its id."""
    return f" on {job.node}" if job.node else ""
