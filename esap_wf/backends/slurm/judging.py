"""How pieces are that are jobs: what their sandboxes tell, and what Slurm says where those say nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence

from esap_wf.backends import printed
from esap_wf.backends.launcher import BatchJob, Condition, NeedsPersonError, OutageError, Seen
from esap_wf.backends.slurm import questions, states, submission
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.sandbox import Exit, Sandbox, Void
from esap_wf.backends.slurm.sandboxes import Sandboxes
from esap_wf.models.run import Reason

#: Exit codes of ``there.sh`` itself, if its piece has not begun.
_UNSEEN, _READ_ONLY, _AGAIN = 91, 92, 93
#: In the place of a signal, if the node could not open the file for what a job prints.
_NOT_OPENED = 53
#: Ended at a limit of its own: its files are worth a look.
_LIMITS = (Reason.TIMEOUT, Reason.OUT_OF_MEMORY)


class Judge:
    """
    Says how pieces are.

    Parameters
    ----------
    commands : Commands
    sandboxes : Sandboxes
    latency : float
        Seconds until what a node writes is seen here.
    """

    def __init__(self, commands: Commands, sandboxes: Sandboxes, latency: float) -> None:
        self.commands, self.sandboxes, self.latency = commands, sandboxes, latency

    def queued(self) -> dict[str, list[BatchJob]]:
        """This user's pieces that wait or work, by key. One question."""
        found: dict[str, list[BatchJob]] = {}
        for job in questions.active(self.commands):
            if key := submission.key_of(job):
                found.setdefault(key, []).append(job)
        return found

    def look(self, keys: Sequence[str]) -> dict[str, Seen]:
        """How each is; UNKNOWN: its sandbox doesn't tell enough, and nobody can be asked."""
        seen = {key: self._at_once(key) for key in keys}
        asked = [key for key, one in seen.items() if one is None]
        answers = {key: one for key, one in seen.items() if one is not None}
        if not asked:
            return answers
        try:
            queued = self.queued()
            missing = [key for key in asked if not queued.get(key)]
            ids = {key: self.sandboxes.of(key).job for key in missing}
            known = self._known(ids)
        except (OutageError, NeedsPersonError) as error:
            unknown = Seen(Condition.UNKNOWN, reason=" ".join(str(error).split("\n")))
            return {**answers, **dict.fromkeys(asked, unknown)}
        requeued = [job.id for key in asked for job in self._twice(key, queued.get(key, ()))]
        if requeued:
            questions.cancel(self.commands, requeued)
        for key in asked:
            if jobs := queued.get(key):
                answers[key] = self._in_queue(key, jobs)
            else:
                answers[key] = self._out_of_queue(key, known.get(key))
        return answers

    def _known(self, ids: Mapping[str, str]) -> dict[str, BatchJob]:
        """
        What Slurm knows of the jobs of some keys. An id alone says nothing: a controller that has lost its
        latest state gives it to another job.
        """
        asked = [one for one in ids.values() if one]
        found = questions.known(self.commands, asked) if asked else {}
        mine = {key: found[one] for key, one in ids.items() if one in found}
        return {key: job for key, job in mine.items() if submission.key_of(job) == key}

    def may_come(self, key: str) -> bool:
        """Whether somebody may be about to submit a piece that Slurm doesn't have."""
        sandbox = self.sandboxes.of(key)
        if not sandbox.exists:
            return self.sandboxes.arriving(key)
        return not sandbox.job and sandbox.started is None and sandbox.is_submitted

    # --- by its sandbox

    def _at_once(self, key: str) -> Seen | None:
        """How one is of which Slurm needs not be asked; None if it has to be."""
        sandbox = self.sandboxes.of(key)
        if not sandbox.exists:
            if self.sandboxes.arriving(key):
                return Seen(Condition.WAITING, reason="it is being put there")
            if not sandbox.exists:  # it may have come meanwhile
                return Seen(Condition.GONE, reason="there is nothing of it")
        end = sandbox.end()
        if isinstance(end, Void):
            return _given_up(sandbox, end)
        if end is not None and (end.code == 0 or sandbox.said is not None or not sandbox.job):
            return _ended(sandbox, end, sandbox.said)
        if end is None and not sandbox.job and sandbox.started is None and sandbox.is_submitted:
            return Seen(Condition.WAITING, reason="it is being submitted", root=str(sandbox.root))
        return None

    # --- by Slurm

    def _twice(self, key: str, jobs: Iterable[BatchJob]) -> list[BatchJob]:
        """Jobs in the queue of a piece that one has begun with already: they would find it begun."""
        sandbox = self.sandboxes.of(key)
        if sandbox.started is None:
            return []
        return [job for job in jobs if job.condition is Condition.WAITING]

    def _in_queue(self, key: str, jobs: Sequence[BatchJob]) -> Seen:
        sandbox = self.sandboxes.of(key)
        job = next((j for j in jobs if j.condition is Condition.RUNNING), jobs[0])
        where, root = job.node, str(sandbox.root)
        if job.condition is Condition.UNKNOWN:
            return Seen(Condition.UNKNOWN, reason=job.reason, where=where, root=root)
        if sandbox.started is not None:
            reason = job.reason
            if job.condition is Condition.WAITING:
                sandbox.keep_said(Void("Slurm put it back into the queue", Reason.NODE_FAIL))
                reason = "Slurm put it back into the queue, from where it is taken"
            return Seen(Condition.RUNNING, reason=reason, where=sandbox.started[1] or where, root=root)
        return Seen(job.condition, reason=job.reason, where=where, root=root)

    def _out_of_queue(self, key: str, job: BatchJob | None) -> Seen:
        """Its job is over, or was never there."""
        sandbox = self.sandboxes.of(key)
        root, where = str(sandbox.root), job.node if job else ""
        end = sandbox.end()
        if isinstance(end, Void):
            return _given_up(sandbox, end)
        if isinstance(end, Exit):
            return self._explained(sandbox, end, job)
        if job is not None and job.condition not in states.OVER:
            return Seen(job.condition, reason=job.reason, where=where, root=root)
        why = sandbox.said or self._why(sandbox, job)
        began = sandbox.started is not None and not sandbox.bar()
        own = job is not None and (job.exit_code in (_UNSEEN, _READ_ONLY) or job.signal == _NOT_OPENED)
        ran = not own and job is not None and bool(job.node)
        # what the node has written may come later
        late = not sandbox.again if began else ran
        if late and sandbox.missed_for() < self.latency:
            return Seen(Condition.RUNNING, reason="it is over; how is awaited", where=where, root=root)
        if not began and not sandbox.bar():
            return Seen(Condition.RUNNING, reason="it is beginning", where=where, root=root)
        end = sandbox.give_up(why)
        if isinstance(end, Exit):
            return self._explained(sandbox, end, job)
        return _given_up(sandbox, end)

    def _explained(self, sandbox: Sandbox, end: Exit, job: BatchJob | None) -> Seen:
        """One that has failed may have been ended by Slurm, which says why."""
        said = sandbox.said
        if said is None and sandbox.again:
            said = Void("Slurm has started it again", Reason.NODE_FAIL)
            sandbox.keep_said(said)
        if said is None:
            kind = states.state(job.state).reason if job is not None else None
            said = Void(job.reason, kind) if job is not None and kind is not None else Void("")
            sandbox.keep_said(said)
        return _ended(sandbox, end, said)

    def _why(self, sandbox: Sandbox, job: BatchJob | None) -> Void:
        if job is None:
            return Void("Slurm does not know it any more")
        text = f"job {job.id}: {job.reason or job.state}"
        folder = self.sandboxes.folder
        if job.exit_code == _UNSEEN:
            text = f"job {job.id}: its node does not see {folder}"
            return Void(text, Reason.PLACE, job.node)
        if job.signal == _NOT_OPENED:
            text = f"job {job.id}: its node does not see {folder}, or can't write there"
            return Void(text, Reason.PLACE, job.node)
        if job.exit_code == _READ_ONLY:
            text = f"job {job.id}: its node can't write in {folder}"
            return Void(text, Reason.PLACE, job.node)
        if job.exit_code == _AGAIN:
            text = f"job {job.id}: Slurm has started it again"
            return Void(text, Reason.NODE_FAIL, job.node)
        kind = states.state(job.state).reason or ""
        if not kind and (ended := printed.said(sandbox.printed)):
            return Void(f"job {job.id}: {ended[1]}", ended[0], job.node)
        if not kind and job.signal == signal.SIGKILL:
            text = (
                "it was killed (signal 9), and Slurm doesn't say why; that it used too much memory is a guess"
            )
            return Void(f"job {job.id}: {text}", Reason.SIGNAL, job.node)
        if job.state == "COMPLETED":
            text = f"job {job.id}: Slurm says that it has ended well, and what it wrote is not seen here"
        return Void(text, kind, job.node)


def _ended(sandbox: Sandbox, end: Exit, said: Void | None) -> Seen:
    return Seen(
        Condition.ENDED,
        exit_code=end.code,
        reason=said.reason if said else "",
        kind=said.kind if said else "",
        where=end.where,
        root=str(sandbox.root),
        usage=end.usage,
    )


def _given_up(sandbox: Sandbox, why: Void) -> Seen:
    return Seen(
        Condition.ENDED if why.kind in _LIMITS else Condition.GONE,
        reason=why.reason,
        kind=why.kind,
        where=why.where,
        root=str(sandbox.root),
    )
