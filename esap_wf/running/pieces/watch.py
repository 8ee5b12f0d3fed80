"""
The pieces of a run, from their start at a place to the acceptance of what they made.

An outage is waited out, for days if need be: nothing is started or accepted while nobody can be asked. What
needs a person holds the run until it is there.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from esap_wf.backends import Condition, NeedsPersonError, OutageError, Part, Refusal, Seen, Signal, Usage
from esap_wf.engines import StopSignal
from esap_wf.errors import EsapError
from esap_wf.formats.quantities import human_seconds, to_seconds
from esap_wf.models.run import Failure, Phase, Progress, Reason, now
from esap_wf.running.ownership import GRACE, Ownership
from esap_wf.running.pieces import bringing, bundle
from esap_wf.running.pieces.feed import Feed
from esap_wf.running.pieces.slices import Slice, Slices
from esap_wf.runs import attempts, crashpoints
from esap_wf.runs.attempts import EngineExit
from esap_wf.runs.pieces import JOIN, WHOLE, Attempt, AttemptEnd, SliceEnd

logger = logging.getLogger(__name__)

#: Seconds between two looks at the pieces, at first and at most; they grow with the time that a run takes.
LOOK, SELDOM = 0.5, 10.0
#: Seconds between two tries of what an outage has stopped, at first and at most.
RETRY, PATIENT = 1.0, 60.0
#: Seconds for which a run that is done waits for its place, to remove what it has left there.
TIDY = 300.0
#: Seconds between two checkpoints of a run that makes progress.
CHECKPOINT = 1.0
#: Seconds between two looks for a request to stop.
TICK = 0.2


@dataclass
class Trouble:
    """
    Why a place can't be used now.

    Attributes
    ----------
    what : str
        For people.
    since : str
        When it began.
    person : bool
        Somebody has to do something.
    pause : float
        Seconds until the next try.
    """

    what: str
    since: str
    person: bool
    pause: float = RETRY


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
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner, self.launcher = owner, owner.launcher
        self.late, self.hung = False, ""
        self.slices = Slices(owner)
        self.pieces = self.slices.pieces
        assert owner.plan.profile is not None
        self.title = owner.plan.backend
        self._feed = Feed(owner.engine, owner.lease.epoch)
        self._trouble: Trouble | None = None
        self._began = time.monotonic()
        self._next_look = self._next_record = 0.0
        self._stopped_at: float | None = None
        self._draining = False
        self._unforgotten = True
        self._done_at: float | None = None
        self._wrote = 0.0
        self._ran = owner.events.state.started is not None
        self._told: tuple[str, Progress | None] = ("", None)
        wall = owner.plan.request.resources.wall
        self._limit = None if wall is None else to_seconds(wall)

    # --- from the start to the end

    def until_end(self) -> Seen | None:
        """Until all slices are accepted, or nothing of them works any more; None if that was no success."""
        self._clear_former_plans()
        for slice_ in self.slices.all:
            for attempt in self.pieces.attempts(slice_.name):
                if (self.pieces.pulled(attempt)).is_dir() and self._counts(slice_, attempt):
                    self._feed.add(attempt, self.pieces.pulled(attempt))
        while True:
            self.owner.renew()
            self._heed()
            if time.monotonic() >= self._next_look:
                self._round()
            self.owner.count(self._feed)
            self._tell()
            if ended := self._ended():
                return self._end(ended[0])
            time.sleep(min(TICK, max(0.0, self._next_look - time.monotonic()) or TICK))

    def _clear_former_plans(self) -> None:
        """
        End and forget what was started by another plan of this run: nothing of it counts any more.
        """
        former = [
            a
            for name in self.pieces.slices()
            for a in self.pieces.attempts(name)
            if a.plan != self.owner.plan.checksum
        ]
        while left := {a.key: self.pieces.handle(a) for a in former if not self.pieces.forgotten(a)}:
            self.owner.renew()
            if self.owner.run.stop_requested():
                return
            try:
                seen = self.launcher.look(left)
                working = {k: h for k, h in left.items() if _works(seen.get(k))}
                if working:
                    self.launcher.stop(working, None)
                else:
                    for attempt in [a for a in former if a.key in left]:
                        self._forget_one(attempt, self.pieces.handle(attempt))
                self._over_trouble()
            except (OutageError, NeedsPersonError) as error:
                self._in_trouble(str(error), person=isinstance(error, NeedsPersonError))
            self._tell()
            time.sleep(self._trouble.pause if self._trouble else LOOK)
        if former:
            self.pieces.put_away()
            self.slices = Slices(self.owner)

    def _counts(self, slice_: Slice, attempt: Attempt) -> bool:
        return slice_.attempt is not None and slice_.attempt.attempt == attempt.attempt

    def _round(self) -> None:
        """One look at the place, and what follows from it."""
        self.owner.lease.require()
        try:
            if self._stopped_at is None:
                self._begin_wanted()
            self._start()
            self._look()
            self._finish_ended()
            self._forget()
        except NeedsPersonError as error:
            self._in_trouble(str(error).replace("\n", " "), person=True)
        except OutageError as error:
            self._in_trouble(str(error).replace("\n", " "), person=False)
        else:
            if not self._unknown():
                self._over_trouble()
        elapsed = time.monotonic() - self._began
        pause = min(SELDOM, max(LOOK, 0.02 * elapsed))
        if self._trouble is not None:
            pause = self._trouble.pause
            self._trouble.pause = min(PATIENT, 1.5 * pause)
        self._next_look = time.monotonic() + pause

    def _ended(self) -> tuple[int | None] | None:
        """The exit code if nothing is left to be done."""
        if self._unforgotten and not self.slices.under_way and not self._is_late_to_forget():
            return None
        if self.slices.is_done:
            return (0,)
        if self.slices.under_way:
            return None
        if self._stopped_at is not None:
            return (None,)
        if self.slices.wanted:
            return None
        codes = [s.failed.exit_code for s in self.slices.failures if s.failed]
        return (next((c for c in codes if c), None),)

    def _end(self, code: int | None) -> Seen | None:
        """Everything that is known of the pieces is in the run directory."""
        shown = [a for s in self.slices.all for a in self.pieces.attempts(s.name) if self.pieces.end_of(a)]
        bringing.bring_logs(self.pieces, shown)
        worst = next((s for s in self.slices.failures), self.slices.all[-1])
        attempt = worst.attempt or (worst.earlier[-1] if worst.earlier else None)
        if attempt is not None:
            self.owner.worked = self.pieces.pulled(attempt)
        self.owner.epoch = self.owner.lease.epoch
        if code is None:
            return None
        if code == 0:
            bringing.bring(self.pieces, self.slices.accepted())
        used = [
            e for s in self.slices.all for a in self.pieces.attempts(s.name) if (e := self.pieces.end_of(a))
        ]
        ended = EngineExit(
            exit_code=code,
            cpu_seconds=round(sum(e.cpu_seconds or 0.0 for e in used), 3),
            max_rss_bytes=max((e.max_rss_bytes or 0 for e in used), default=0),
            orphans=False,
        )
        attempts.keep_end(self.owner.run.dir, self.owner.epoch, ended)
        return Seen(Condition.ENDED, code, usage=Usage(ended.cpu_seconds, ended.max_rss_bytes))

    def _is_late_to_forget(self) -> bool:
        """Whether a run that is done has waited long enough for its place, only to tidy up there."""
        if self._done_at is None:
            self._done_at = time.monotonic()
        if self._trouble is None or time.monotonic() - self._done_at < TIDY:
            return False
        self.owner.note(f"what is left of the run at {self.title} could not be removed: {self._trouble.what}")
        return True

    def abandon(self) -> None:
        """The run ends by an error of its own: nothing of it works on, if the place can be asked."""
        asked = {s.attempt.key: s.handle for s in self.slices.under_way if s.attempt}
        with contextlib.suppress(EsapError):
            self.launcher.stop(asked, None)

    def losses(self) -> list[Failure]:
        """Slices that have failed without an exit code: lost, or refused."""
        return [
            Failure(
                step="engine",
                unit=None if s.name == WHOLE else f"slice {s.name}",
                reason=Reason.NODE_FAIL if s.failed.lost else Reason.ENGINE,
                detail=s.failed.reason,
                log="logs/engine.log",
            )
            for s in self.slices.failures
            if s.failed and s.failed.exit_code is None
        ]

    # --- starting

    def _begin_wanted(self) -> None:
        for slice_ in self.slices.wanted:
            self.slices.begin(slice_, self._why(slice_))

    def _why(self, slice_: Slice) -> str:
        if not slice_.earlier:
            return ""
        end = self.pieces.end_of(slice_.earlier[-1])
        what = (end.reason or f"exit code {end.exit_code}") if end else ""
        return f"attempt {slice_.earlier[-1].attempt}: {what}"

    def _start(self) -> None:
        """Start what has no handle; what is there already is not started again."""
        if self._stopped_at is not None:
            return
        waiting = [s for s in self.slices.under_way if s.handle is None and not self._is_pulled(s)]
        if not waiting:
            return
        made = []
        for slice_ in waiting:
            assert slice_.attempt is not None
            made.append(bundle.make(self.owner, self.pieces, slice_.attempt, self._given(slice_)))
        self.owner.lease.require()
        answers = self.launcher.start(made)
        crashpoints.reached("piece-started")
        for slice_ in waiting:
            assert slice_.attempt is not None
            answer = answers.get(slice_.attempt.key)
            if isinstance(answer, Refusal):
                slice_.watched = True
                end = AttemptEnd(ran=False, reason=f"{self.title} refuses it: {answer.reason}", ended=now())
                self.slices.lost(slice_, end)
            elif answer is not None:
                self.pieces.keep_handle(slice_.attempt, answer)
                slice_.handle = answer
                crashpoints.reached("handle-kept")
                logger.info("slice %s, attempt %d: started", slice_.name, slice_.attempt.attempt)

    def _given(self, slice_: Slice) -> dict[str, dict[str, Path]]:
        if slice_.name != JOIN:
            return {}
        stage = bundle.implementation(self.owner).map
        accepted = [a for a in self.slices.accepted() if a.slice != JOIN]
        return bringing.given(self.pieces, stage.gives if stage else {}, accepted)

    def _is_pulled(self, slice_: Slice) -> bool:
        return slice_.attempt is not None and self.pieces.end_of(slice_.attempt) is not None

    # --- looking

    def _look(self) -> None:
        asked = {
            s.attempt.key: s.handle
            for s in self.slices.under_way
            if s.attempt and not self._is_pulled(s) and (s.handle or self._stopped_at is not None)
        }
        if not asked:
            return
        seen = self.launcher.look(asked)
        for slice_ in self.slices.under_way:
            assert slice_.attempt is not None
            if (one := seen.get(slice_.attempt.key)) is not None:
                self._saw(slice_, one)
        self._pull_records()

    def _saw(self, slice_: Slice, seen: Seen) -> None:
        assert slice_.attempt is not None
        slice_.seen = seen
        if seen.condition is Condition.UNKNOWN:
            self._in_trouble(seen.reason or "it can't be asked", person=False)
        elif seen.condition in (Condition.WAITING, Condition.RUNNING):
            slice_.watched = True
            self._ran = self._ran or seen.condition is Condition.RUNNING
        elif seen.condition is Condition.GONE:
            self._forget_one(slice_.attempt, slice_.handle)
            end = AttemptEnd(
                lost=self._stopped_at is None,
                reason=f"{self.title} has it no more: {seen.reason or 'nobody knows why'}",
                where=seen.where,
                ended=now(),
            )
            slice_.watched = slice_.watched or self._stopped_at is not None
            self._give_up(slice_, end)

    def _give_up(self, slice_: Slice, end: AttemptEnd) -> None:
        """An attempt is lost, or has failed: what it has told is void if another one takes its place."""
        self.slices.lost(slice_, end)
        self._unforgotten = True
        if slice_.attempt is not None or self._stopped_at is not None:
            return
        self.owner.note(f"slice {slice_.name} is started again: {end.reason or f'exit code {end.exit_code}'}")
        self.owner.acquire()
        self._feed = Feed(self.owner.engine, self.owner.lease.epoch)
        for other in self.slices.all:
            if other.attempt is not None and self.pieces.pulled(other.attempt).is_dir():
                self._feed.add(other.attempt, self.pieces.pulled(other.attempt))

    def _unknown(self) -> bool:
        return any(s.seen and s.seen.condition is Condition.UNKNOWN for s in self.slices.under_way)

    def _pull_records(self) -> None:
        """What pieces at work report; seldom, because it is pulled as whole files."""
        if time.monotonic() < self._next_record:
            return
        began = time.monotonic()
        for slice_ in self.slices.under_way:
            if slice_.seen and slice_.seen.condition is Condition.RUNNING:
                with contextlib.suppress(LookupError):
                    self._pull(slice_, Part.RECORD)
        took = time.monotonic() - began
        self._next_record = time.monotonic() + max(2 * LOOK, 10 * took, 0.02 * (began - self._began))

    def _pull(self, slice_: Slice, part: Part) -> None:
        assert slice_.attempt is not None
        pulled, engine = self.pieces.pulled(slice_.attempt), self.owner.engine
        wanted = list(engine.records)
        if part is Part.RESULTS and slice_.name not in (JOIN, WHOLE):
            stage = bundle.implementation(self.owner).map
            wanted += bringing.folders_of(stage.gives) if stage else []
        pulled.mkdir(parents=True, exist_ok=True)
        self.launcher.pull(slice_.attempt.key, slice_.handle, pulled, part, wanted)
        bringing.relocate(pulled, slice_.seen.root if slice_.seen else "", engine.records)
        self._feed.add(slice_.attempt, pulled)

    # --- pieces that have ended

    def _finish_ended(self) -> None:
        for slice_ in self.slices.under_way:
            if self._is_pulled(slice_):
                self._accept(slice_)
            elif slice_.seen and slice_.seen.condition is Condition.ENDED:
                self._finish(slice_, slice_.seen)

    def _finish(self, slice_: Slice, seen: Seen) -> None:
        assert slice_.attempt is not None
        try:
            self._pull(slice_, Part.RESULTS)
        except LookupError as error:
            self._saw(slice_, replace(seen, condition=Condition.GONE, reason=str(error)))
            return
        crashpoints.reached("pulled")
        self.owner.count(self._feed)
        end = AttemptEnd(
            exit_code=seen.exit_code,
            lost=seen.exit_code is None,
            reason=seen.reason,
            where=seen.where,
            cpu_seconds=seen.usage.cpu_seconds,
            max_rss_bytes=seen.usage.max_rss_bytes,
            wall_seconds=seen.usage.wall_seconds,
            ended=now(),
        )
        if seen.exit_code == 0:
            self.pieces.keep_end(slice_.attempt, end)
            self._accept(slice_)
        else:
            self._give_up(slice_, end)

    def _accept(self, slice_: Slice) -> None:
        """Fill the slot of a slice, when it is sure that nothing else of it works."""
        assert slice_.attempt is not None
        if slice_.earlier and not self._alone(slice_):
            return
        pulled = self.pieces.pulled(slice_.attempt)
        sent = self.pieces.path(slice_.name, slice_.attempt.attempt) / bundle.SENT
        made = bringing.made(pulled, sent, self.owner.renew)
        self.owner.lease.require()
        end = self.pieces.accept(
            slice_.attempt, SliceEnd(attempt=slice_.attempt.attempt, files=made, accepted=now())
        )
        crashpoints.reached("slot-taken")
        slice_.accepted = self._unforgotten = True
        if end.attempt != slice_.attempt.attempt:  # another owner was quicker with another attempt
            slice_.attempt = next(a for a in self.pieces.attempts(slice_.name) if a.attempt == end.attempt)
        logger.info("slice %s: attempt %d is accepted", slice_.name, end.attempt)

    def _alone(self, slice_: Slice) -> bool:
        """Whether nothing works any more of a slice's other attempts; asked to end if something does."""
        assert slice_.attempt is not None
        left = self.launcher.survivors(self.owner.run.id)
        if left is None:
            self._in_trouble("it can't say what of this run still works there", person=False)
            return False
        others = {a.key for a in self.pieces.attempts(slice_.name)} - {slice_.attempt.key}
        working = [key for key in left if key in others]
        if working:
            self.launcher.stop(dict.fromkeys(working), None)
        return not working

    def _forget(self) -> None:
        """Nothing of what has ended stays at the place."""
        if not self._unforgotten:
            return
        for name in self.pieces.slices():
            for attempt in self.pieces.attempts(name):
                done = self.pieces.end_of(attempt) is not None and not self._is_waiting(name, attempt)
                if done and not self.pieces.forgotten(attempt):
                    self._forget_one(attempt, self.pieces.handle(attempt))
        self._unforgotten = False

    def _is_waiting(self, name: str, attempt: Attempt) -> bool:
        """Whether an attempt is pulled, and its slice not yet accepted."""
        known = [s for s in self.slices.all if s.name == name and s.is_open]
        return any(s.attempt and s.attempt.attempt == attempt.attempt for s in known)

    def _forget_one(self, attempt: Attempt, handle: str | None) -> None:
        self.launcher.forget({attempt.key: handle})
        crashpoints.reached("forgotten")
        self.pieces.keep_forgotten(attempt)

    # --- stopping

    def _heed(self) -> None:
        """Pass on a request to stop, or the end of the time that the user gave."""
        request, earlier = self.owner.run.stop_requested(), self.owner.stop
        if request and (earlier is None or (earlier.drain and not request.drain)):
            sign = self.owner.engine.stop_signal(True) if request.drain else None
            self.owner.stop = msgspec.structs.replace(request, drain=sign is not None)
            self.owner.note(f"stop requested by {request.by}")
            self._stop(sign or self.owner.engine.stop_signal(False), draining=sign is not None)
        if self._limit is not None and not self.late and time.monotonic() - self._began > self._limit:
            self.late = True
            self.owner.note(f"the time limit of {human_seconds(self._limit)} has been reached")
            self._stop(self.owner.engine.stop_signal(False), draining=False)
        if self._stopped_at and not self._draining and time.monotonic() - self._stopped_at > GRACE:
            self._stop(None, draining=False)

    def _stop(self, sign: StopSignal | None, draining: bool) -> None:
        self._stopped_at, self._draining = time.monotonic(), draining
        self._next_look = 0.0
        asked = {s.attempt.key: s.handle for s in self.slices.under_way if s.attempt}
        for slice_ in self.slices.under_way:
            slice_.watched = True
        number = Signal(sign.number, sign.to_jobs) if sign else None
        with contextlib.suppress(OutageError, NeedsPersonError):
            self.launcher.stop(asked, number)

    # --- what people are told

    def _in_trouble(self, what: str, person: bool) -> None:
        if self._trouble is None or self._trouble.person != person:
            self._trouble = Trouble(what, now(), person)
            logger.info("%s can't be used: %s", self.title, what)
        else:
            self._trouble.what = what

    def _over_trouble(self) -> None:
        if self._trouble is not None:
            logger.info("%s can be used again", self.title)
        self._trouble = None

    def _tell(self) -> None:
        """The phase and its reason, when they change; counts at times."""
        trouble = self._trouble
        if trouble is None:
            phase, reason = (Phase.EXECUTING if self._ran else Phase.QUEUED), self._progress()
        else:
            verb = "needs somebody" if trouble.person else "waiting for"
            reason = f"{verb} {self.title} since {trouble.since}: {trouble.what}"[:1000]
            phase = Phase.HELD if trouble.person else (Phase.EXECUTING if self._ran else Phase.QUEUED)
        state = self.owner.events.state
        told = f"{phase} {reason}", state.progress
        if told == self._told or (told[0] == self._told[0] and time.monotonic() - self._wrote < CHECKPOINT):
            return
        if state.phase is Phase.HELD and phase is Phase.EXECUTING:
            self.owner.write(Phase.QUEUED, reason="")
        self.owner.write(phase, reason=reason, started=state.started or (now() if self._ran else None))
        self._told, self._wrote = told, time.monotonic()

    def _progress(self) -> str:
        if self._stopped_at is not None:
            return f"being stopped at {self.title}"
        waiting = [s for s in self.slices.under_way if s.seen and s.seen.condition is Condition.WAITING]
        if not self._ran and waiting and waiting[0].seen and waiting[0].seen.reason:
            return f"waiting at {self.title}: {waiting[0].seen.reason}"
        return ""


def _works(seen: Seen | None) -> bool:
    """Whether a piece may be at work, as far as is known."""
    return seen is None or seen.condition in (Condition.WAITING, Condition.RUNNING, Condition.UNKNOWN)
