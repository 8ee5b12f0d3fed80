"""The engine while it runs: what it reports is counted, requests to stop are passed on to it, and one that
hangs, or has no time left, is ended."""

from __future__ import annotations

import logging
import time
from signal import SIGKILL, SIGTERM

import msgspec

from esap_wf.backends.launcher import Condition, NeedsPersonError, OutageError, Seen, Signal
from esap_wf.engines import Cursor
from esap_wf.formats.quantities import human_seconds, to_seconds
from esap_wf.models.run import Failure, Phase, Reason, now
from esap_wf.running import clearing, missing
from esap_wf.running.jobs import Jobs
from esap_wf.running.ownership import GRACE, Leaving, Ownership
from esap_wf.running.patience import Patience
from esap_wf.running.pulse import DEAD, DEAD_ON_FULL_DISK, Pulse
from esap_wf.runs.run import StopRequest

logger = logging.getLogger(__name__)

#: Seconds between two looks at the engine's record, unless the launcher knows that something has changed.
LOOK = 0.2
#: Seconds after which jobs that a workload manager doesn't have count as forgotten: an engine that asks for
#: them more seldom than we do has had time to hear of their end.
MISSED = 600.0
#: Seconds between two checkpoints of a run that makes progress.
CHECKPOINT = 1.0


class Watch:
    """
    The watch over the engine of an epoch.

    Parameters
    ----------
    owner : Ownership
        Its `epoch` is the engine's.

    Attributes
    ----------
    late : bool
        Whether the time limit that the user asked for was reached.
    hung : str
        Why the engine was ended although nobody had asked for it: it did nothing any more.
    gone : str
        Why it is gone, if nobody saw how it ended.
    forgotten : str
        Why it was ended, to be started again: it waited for jobs that nobody knows any more.
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner, self.run = owner, owner.run
        self.late = False
        self.hung = self.gone = self.forgotten = ""
        self._key = owner.key(owner.epoch)
        self._seen = Seen(Condition.WAITING)
        self._pulse = Pulse()
        self._began = time.monotonic()
        self._changed, self._written = False, self._began
        # when the engine was asked to end at once, as long as it has not been killed for not doing so
        self._asked_at: float | None = None
        wall = owner.plan.request.resources.wall
        self._limit = None if wall is None else to_seconds(wall)
        self._patience = Patience(owner)
        self._next_try = 0.0

    def until_end(self) -> Seen | None:
        """Until the engine has ended; None if nobody saw how."""
        owner = self.owner
        adopted = owner.epoch != owner.lease.epoch
        cursor = owner.events.cursor(owner.epoch) if adopted else Cursor.START
        jobs = Jobs(owner)
        source = jobs.heard(owner.source(owner.epoch, cursor))
        while True:
            if owner.leaving:
                raise Leaving
            self._look()
            if owner.count(source):
                self._changed = True
                self._pulse.reported()
            if self._seen.condition in (Condition.ENDED, Condition.GONE):
                jobs.finish()
                self.gone = self._seen.reason
                return self._seen if self._seen.condition is Condition.ENDED else None
            self._changed |= jobs.look()
            self._tell()
            self._checkpoint()
            owner.renew()
            self._end_in_time()
            self._end_if_hung()
            self._end_if_jobs_are_missing(jobs)
            self._pass_on_request()
            self._kill_after_grace()
            owner.here.wait(LOOK)

    def _look(self) -> None:
        """How the engine is; a place that can't be asked is waited for."""
        trouble = self._patience.trouble
        try:
            self._seen = self.owner.here.look({self._key: None})[self._key]
        except NeedsPersonError as error:
            trouble.begin(str(error), person=True)
            return
        if not self.owner.here.is_queue:
            return
        if self._seen.condition is Condition.UNKNOWN:
            trouble.begin(self._seen.reason or "it can't be asked")
        elif time.monotonic() >= self._next_try:  # else it is a signal that could not be given
            trouble.end()

    def _tell(self) -> None:
        """The phase and its reason where an engine waits for its turn, or can't be asked for."""
        state, seen = self.owner.events.state, self._seen
        if self._patience.trouble.what:
            self._patience.tell()
            return
        if not self.owner.here.is_queue:
            return
        runs = seen.condition is Condition.RUNNING
        if not state.started and not runs:
            self._began = time.monotonic()
        phase = Phase.EXECUTING if state.started or runs else Phase.QUEUED
        reason = "" if runs else f"waiting at {self.owner.place}: {seen.reason}"
        if (phase, reason) != (state.phase, state.reason):
            if state.phase is Phase.HELD and phase is Phase.EXECUTING:
                self.owner.write(Phase.QUEUED, reason="")
            self.owner.write(phase, reason=reason, started=state.started or (now() if runs else None))

    def losses(self) -> list[Failure]:
        """An engine that was a job, and was lost so often that it was not started again."""
        if not self.gone or not self.owner.here.is_queue:
            return []
        where = "logs/engine.log"
        return [Failure(step="engine", reason=Reason.NODE_FAIL, detail=self.gone, log=where)]

    def _checkpoint(self) -> None:
        moment = time.monotonic()
        if self._changed and moment - self._written >= CHECKPOINT:
            if self.owner.here.is_queue:
                self.owner.write(self.owner.events.state.phase)
            else:
                self.owner.write(Phase.EXECUTING)
            self._changed, self._written = False, moment

    # --- reasons to end the engine

    def _end_in_time(self) -> None:
        """Stop an engine that has used up the time that the user gave it."""
        if self._limit is None or self.late or time.monotonic() - self._began <= self._limit:
            return
        if self._stop(drain=False) is None:
            return
        self.late, self._asked_at = True, time.monotonic()
        self.owner.note(
            f"the time limit of {human_seconds(self._limit)} has been reached: jobs are cancelled"
        )

    def _end_if_hung(self) -> None:
        """End an engine that does nothing any more; the reason is kept for the end of the run."""
        stop = self.owner.stop
        if self._asked_at is not None or self.late or (stop and not stop.drain):
            return
        idle = self._pulse.idle_for(lambda: self.owner.here.quiet(self._key, None))
        if idle < DEAD_ON_FULL_DISK:
            return
        busy = self.owner.events.state.progress.jobs_running
        if stop:  # asked to let its jobs end; a signal at the wrong moment can block it for ever
            dead = idle >= DEAD or not busy
        else:
            dead = (idle >= DEAD and not busy) or self.owner.is_disk_full()
        if not dead:
            return
        what = f"{self.owner.engine.title} has done nothing for {human_seconds(idle)}, so it is ended"
        if stop is None:
            self.hung = what
        self._end_engine(what)

    def _end_if_jobs_are_missing(self, jobs: Jobs) -> None:
        """One that waits for jobs which its manager has forgotten: Snakemake would do so for ever."""
        if jobs.missed_for() < MISSED or self._asked_at is not None or self.late or self.owner.stop:
            return
        try:
            found = missing.look(self.owner, jobs)
        except (OutageError, NeedsPersonError):
            return  # nobody can be asked: that is told elsewhere
        if found is None:
            return
        if found.certain:
            self.forgotten = found.what
        else:
            self.hung = found.what
        self._end_engine(f"{found.what}, so it is ended")

    def _end_engine(self, why: str) -> None:
        logger.info(why)
        self.owner.note(why)
        self._signal(Signal(SIGTERM, to_jobs=False))
        self._asked_at = time.monotonic()

    def _pass_on_request(self) -> None:
        """Stop the engine if somebody asks for it; after a request to drain one to stop at once counts."""
        request, earlier = self.run.stop_requested(), self.owner.stop
        if request is None or (earlier is not None and not (earlier.drain and not request.drain)):
            return
        drains = self._stop(request.drain)
        if drains is None:
            return
        self.owner.stop = msgspec.structs.replace(request, drain=drains)
        self._note_request(request, drains)
        self._asked_at = None if drains else time.monotonic()

    def _note_request(self, request: StopRequest, drains: bool) -> None:
        how = "running jobs end first" if drains else "jobs are cancelled"
        if request.drain and not drains:
            how += f", {self.owner.engine.title} can't let them end and start no others"
        what = f"stop requested by {request.by}: {how}"
        logger.info(what)
        self.owner.note(what)

    def _kill_after_grace(self) -> None:
        """An engine that was asked to end at once, and doesn't, is killed with all that it has started."""
        if self._asked_at is not None and time.monotonic() - self._asked_at > GRACE:
            logger.info("the engine was asked to end %s ago and has not: it is killed", human_seconds(GRACE))
            self._signal(Signal(SIGKILL, to_jobs=False))
            clearing.clear(self.owner)
            self._asked_at = None

    # --- signals to the engine

    def _stop(self, drain: bool) -> bool | None:
        """Ask the engine to stop: whether its jobs end first; None if it isn't known yet."""
        asked = self.owner.engine.stop_signal(True) if drain else None
        now = asked or self.owner.engine.stop_signal(False)
        assert now is not None
        sent = Signal(now.number, now.to_jobs)
        if self.owner.plan.queue and now.submitting is not None:
            sent = Signal(now.submitting, to_jobs=False)
        return asked is not None if self._signal(sent) else None

    def _signal(self, sent: Signal) -> bool:
        """False if there is no engine yet: it is about to be started; or if its place can't be asked."""
        whole: Signal | None = sent
        if self._seen.condition is Condition.WAITING:
            if not self.owner.here.is_queue:
                return False
            whole = None  # it has not begun, and is not to
        if time.monotonic() < self._next_try:
            return False
        trouble = self._patience.trouble
        try:
            self.owner.here.stop({self._key: None}, whole)
        except (OutageError, NeedsPersonError) as error:
            trouble.begin(str(error), person=isinstance(error, NeedsPersonError))
            self._next_try = time.monotonic() + trouble.pause()
            return False
        return True
