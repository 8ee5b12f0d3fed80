"""
The pieces of a run, from their start at a place to the acceptance of what they made.

An outage is waited out, for days if need be: nothing is started or accepted while nobody can be asked. What
needs a person holds the run until it is there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import msgspec

from esap_wf.backends import Condition, NeedsPersonError, OutageError, Seen, Signal, Usage
from esap_wf.engines import StopSignal
from esap_wf.errors import EsapError
from esap_wf.formats.quantities import human_seconds, to_seconds
from esap_wf.models.run import Failure, Phase, Progress, Reason, now
from esap_wf.running.ownership import GRACE, Leaving, Ownership
from esap_wf.running.pieces import bringing, former
from esap_wf.running.pieces.asking import Asking, FaultError
from esap_wf.running.pieces.rounds import Rounds
from esap_wf.running.pieces.slices import Slices
from esap_wf.running.trouble import Trouble
from esap_wf.runs import attempts
from esap_wf.runs.attempts import EngineExit
from esap_wf.runs.pieces import WHOLE

#: Seconds between two looks at the pieces, at first and at most; they grow with the time that a run takes.
LOOK, SELDOM, SHARE = 0.5, 10.0, 0.02
#: Seconds for which a run that is done waits for its place, to remove what it has left there.
TIDY = 300.0
#: So often in a row a place's plug-in may be at fault.
FAULTS = 8
#: Seconds between two checkpoints of a run that makes progress.
CHECKPOINT = 1.0
#: Seconds between two looks for a request to stop.
TICK = 0.2


class PiecesWatch:
    """
    The watch over all pieces of a run.

    Parameters
    ----------
    owner : Ownership

    Attributes
    ----------
    late : bool
        Whether the time limit that the user asked for was reached.
    hung : str
        Always empty: what hangs at a place is the place's to end.
    leaving : bool
        Set from outside: the watch ends, the pieces go on.
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.late, self.hung, self.leaving = False, "", False
        self.trouble = Trouble(owner.plan.backend)
        self._place = Asking(owner.launcher, owner.plan.backend)
        self._rounds = self._made()
        self._faults = 0
        self._began = time.monotonic()
        self._next = 0.0
        #: When the pieces were asked to end at once; None while they may take their time.
        self._asked_at: float | None = None
        self._done_at: float | None = None
        self._told: tuple[str, Progress | None] = ("", None)
        self._told_at = 0.0
        wall = owner.plan.request.resources.wall
        self._limit = None if wall is None else to_seconds(wall)

    def _made(self) -> Rounds:
        return Rounds(self.owner, Slices(self.owner), self._place, self.trouble)

    def until_end(self) -> Seen | None:
        """Until all slices are accepted, or nothing of them works any more; None if that was no success."""
        self._clear_former_plans()
        while True:
            if self.leaving:
                raise Leaving
            self.owner.renew()
            self._heed_request()
            self._heed_limit()
            self._try(self._rounds.next)
            self.owner.count(self._rounds.feed)
            self._tell()
            if ended := self._ended():
                return self._conclude(*ended)
            self._wait()

    def _clear_former_plans(self) -> None:
        found = former.of_other_plans(self.owner, self._rounds.pieces)
        cleared: list[bool] = []
        while found and not any(cleared) and not self.owner.run.stop_requested():
            self.owner.renew()
            self._try(lambda: cleared.append(former.end(self._rounds.pieces, found, self._place)))
            self._tell()
            self._wait()
        if found:
            self._rounds = self._made()

    def _try(self, what: Callable[[], None]) -> None:
        """Do what asks the place, if it is time; what it can't be asked for is tried again."""
        if time.monotonic() < self._next:
            return
        try:
            what()
        except NeedsPersonError as error:
            self.trouble.begin(str(error), person=True)
        except FaultError as error:
            self.trouble.begin(str(error))
            self._faults += 1
            if self._faults > FAULTS:
                raise
        except OutageError as error:
            self.trouble.begin(str(error))
        else:
            self._faults = 0
        pause = min(SELDOM, max(LOOK, SHARE * (time.monotonic() - self._began)))
        self._next = time.monotonic() + (self.trouble.pause() if self.trouble.what else pause)

    def _wait(self) -> None:
        time.sleep(max(0.01, min(TICK, self._next - time.monotonic())))

    # --- the end

    def _ended(self) -> tuple[int | None] | None:
        """The exit code, if nothing is left to be done."""
        slices = self._rounds.slices
        if slices.under_way or (slices.wanted and not self._rounds.stopping):
            return None
        if not self._rounds.tidy and not self._gives_up_tidying():
            return None
        if slices.is_done:
            return (0,)
        codes = [s.failed.exit_code for s in slices.failures if s.failed]
        return (next((c for c in codes if c), None),)

    def _gives_up_tidying(self) -> bool:
        """Whether a run that is done has waited long enough for its place, only to remove what is left."""
        self._done_at = self._done_at or time.monotonic()
        if not self.trouble.what or time.monotonic() - self._done_at < TIDY:
            return False
        self.owner.note(f"what is left at {self.trouble.place} could not be removed: {self.trouble.what}")
        return True

    def _conclude(self, code: int | None) -> Seen | None:
        """Bring what is known of the pieces into the run directory."""
        slices, pieces, owner = self._rounds.slices, self._rounds.pieces, self.owner
        ended = [(a, end) for s in slices.all for a in pieces.attempts(s.name) if (end := pieces.end_of(a))]
        bringing.bring_logs(pieces, [a for a, _ in ended])
        telling = next(iter(slices.failures), slices.all[-1])
        last = telling.attempt or next(iter(telling.earlier[-1:]), None)
        owner.worked = pieces.pulled(last) if last else None
        owner.epoch = owner.lease.epoch
        if code is None:
            return None
        if code == 0:
            bringing.bring(pieces, slices.accepted())
        used = EngineExit(
            exit_code=code,
            cpu_seconds=round(sum(end.cpu_seconds or 0.0 for _, end in ended), 3),
            max_rss_bytes=max((end.max_rss_bytes or 0 for _, end in ended), default=0),
            orphans=False,
        )
        attempts.keep_end(owner.run.dir, owner.epoch, used)  # for the report of the run
        return Seen(Condition.ENDED, code, usage=Usage(used.cpu_seconds, used.max_rss_bytes))

    def losses(self) -> list[Failure]:
        """Slices that their place has ended, has lost too often, or does not take."""
        return [
            Failure(
                step="engine",
                unit=None if s.name == WHOLE else f"slice {s.name}",
                reason=s.failed.kind or (Reason.NODE_FAIL if s.failed.lost else Reason.PLACE),
                detail=s.failed.reason,
                log="logs/supervisor.log",
                node=s.failed.where or None,
            )
            for s in self._rounds.slices.failures
            if s.failed and (s.failed.exit_code is None or s.failed.kind) and not self._rounds.stopping
        ]

    def clear(self) -> None:
        """What was pulled has become the run's: the second names of its files go."""
        bringing.clear(self._rounds.pieces)

    def abandon(self) -> None:
        """The run ends by an error of its own: nothing of it works on, if the place can be asked."""
        with contextlib.suppress(EsapError):
            self._rounds.stop(None)

    # --- stopping

    def _heed_request(self) -> None:
        """Pass on a request to stop; after one to drain, one to stop at once counts."""
        request, earlier = self.owner.run.stop_requested(), self.owner.stop
        if request is None or (earlier is not None and not (earlier.drain and not request.drain)):
            return
        drain = self.owner.engine.stop_signal(True) if request.drain else None
        self.owner.stop = msgspec.structs.replace(request, drain=drain is not None)
        how = "running jobs end first" if drain else "jobs are cancelled"
        self.owner.note(f"stop requested by {request.by}: {how}")
        self._stop(drain or self.owner.engine.stop_signal(False), at_once=drain is None)

    def _heed_limit(self) -> None:
        """End what has used up the time that the user gave it, and what doesn't end when it is asked to."""
        moment = time.monotonic()
        if self._limit is not None and not self.late and moment - self._began > self._limit:
            self.late = True
            limit = human_seconds(self._limit)
            self.owner.note(f"the time limit of {limit} has been reached: jobs are cancelled")
            self._stop(self.owner.engine.stop_signal(False), at_once=True)
        if self._asked_at is not None and moment - self._asked_at > GRACE and self._rounds.slices.under_way:
            self._stop(None, at_once=True)

    def _stop(self, signal: StopSignal | None, at_once: bool) -> None:
        self._asked_at = time.monotonic() if at_once else None
        try:
            self._rounds.stop(Signal(signal.number, signal.to_jobs) if signal else None)
        except (OutageError, NeedsPersonError) as error:
            self.trouble.begin(str(error), person=isinstance(error, NeedsPersonError))
        self._next = 0.0

    # --- what people are told

    def _tell(self) -> None:
        """The phase and its reason, when they change; counts at times."""
        state = self.owner.events.state
        phase = Phase.EXECUTING if state.started or self._has_begun() else Phase.QUEUED
        if self.trouble.person:
            phase = Phase.HELD
        reason = self.trouble.reason or self._waiting_for()
        told = f"{phase} {reason}", state.progress
        unchanged = told == self._told or (
            told[0] == self._told[0] and time.monotonic() - self._told_at < CHECKPOINT
        )
        if unchanged:
            return
        if state.phase is Phase.HELD and phase is Phase.EXECUTING:
            self.owner.write(Phase.QUEUED, reason="")
        started = state.started or (now() if phase is Phase.EXECUTING else None)
        self.owner.write(phase, reason=reason, started=started)
        self._told, self._told_at = told, time.monotonic()

    def _has_begun(self) -> bool:
        done = [s for s in self._rounds.slices.all if s.accepted or s.failed]
        return bool(done) or Condition.RUNNING in self._conditions()

    def _conditions(self) -> set[Condition]:
        return {s.seen.condition for s in self._rounds.slices.under_way if s.seen}

    def _waiting_for(self) -> str:
        place = self.trouble.place
        if self._rounds.stopping:
            return f"being stopped at {place}"
        seen = [s.seen for s in self._rounds.slices.under_way if s.seen]
        reasons = [s.reason for s in seen if s.condition is Condition.WAITING and s.reason]
        reasons += [self._place.waiting_for] if self._place.waiting_for else []
        return f"waiting at {place}: {reasons[0]}" if reasons and not self._has_begun() else ""
