"""One look at the pieces of a run after the other, and what follows: start, pull, accept, forget."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import msgspec

from esap_wf.backends import Condition, NeedsPersonError, OutageError, Part, Piece, Refusal, Seen, Signal
from esap_wf.models.run import Reason, now
from esap_wf.running.ownership import Ownership
from esap_wf.running.pieces import bringing, bundle, carried
from esap_wf.running.pieces.asking import Asking
from esap_wf.running.pieces.feed import Feed
from esap_wf.running.pieces.shipping import Shipping
from esap_wf.running.pieces.slices import Slice, Slices
from esap_wf.running.trouble import Trouble
from esap_wf.runs import crashpoints
from esap_wf.runs.pieces import JOIN, Attempt, AttemptEnd, SliceEnd

logger = logging.getLogger(__name__)

#: Why a place ends a piece that would end in the same way again, or should not go on.
_FOR_GOOD = (Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.CANCELLED)


class Rounds:
    """
    What is done with the pieces of a run, in the order in which it must be done.

    Parameters
    ----------
    owner : Ownership
    slices : Slices
    place : Asking
    trouble : Trouble
        Told of what can't be seen.

    Attributes
    ----------
    feed : Feed
        What the pieces report.
    stopping : bool
        The run is to end: nothing is started any more, and what is gone is not missed.
    tidy : bool
        The place has nothing that it could be told to forget.
    """

    def __init__(self, owner: Ownership, slices: Slices, place: Asking, trouble: Trouble) -> None:
        self.owner, self.slices, self.place, self.trouble = owner, slices, place, trouble
        self.pieces = slices.pieces
        self.stopping = self.tidy = False
        self.shipping = Shipping(owner, self.pieces, place, self._gives())
        self.feed = self._feed()

    def _feed(self) -> Feed:
        """All that counts, from its start."""
        plan = self.owner.plan
        feed = Feed(self.owner.engine, self.owner.lease.epoch, plan.sharding, plan.units, plan.slicing.slices)
        for slice_ in self.slices.all:
            if slice_.attempt is not None and self.pieces.pulled(slice_.attempt).is_dir():
                feed.add(slice_.attempt, self.pieces.pulled(slice_.attempt))
        return feed

    def next(self) -> None:
        """
        One round.

        Raises
        ------
        OutageError, NeedsPersonError
            The place could not be asked; what was learnt before is kept.
        """
        self.owner.lease.require()
        if not self.stopping:
            for slice_ in self.slices.wanted:
                self.slices.begin(slice_, self._why(slice_))
            self._start()
        self._look()
        for slice_ in self.shipping.at_work(self.slices.under_way):
            if slice_.attempt:
                self.feed.add(slice_.attempt, self.pieces.pulled(slice_.attempt))
        self._finish()
        self._forget()
        if not any(s.seen and s.seen.condition is Condition.UNKNOWN for s in self.slices.under_way):
            self.trouble.end()

    def stop(self, signal: Signal | None) -> None:
        """Ask for the end of all pieces: by a signal, or by whatever ends them for sure."""
        self.stopping = True
        for slice_ in self.slices.under_way:
            slice_.watched = True
        asked = {s.attempt.key: s.handle or None for s in self.slices.under_way if s.attempt}
        self.place.stop(asked, signal)

    # --- starting

    def _why(self, slice_: Slice) -> str:
        end = self.pieces.end_of(slice_.earlier[-1]) if slice_.earlier else None
        return (end.reason or f"exit code {end.exit_code}") if end else ""

    def _start(self) -> None:
        """Start what has no handle; what is there already is not started again."""
        waiting = [s for s in self.slices.under_way if s.handle is None and not self._is_pulled(s)]
        if not waiting:
            return
        attempts = [(s, s.attempt) for s in waiting if s.attempt]
        made = [self._made(slice_, attempt) for slice_, attempt in attempts]
        self.owner.lease.require()
        answers = self.place.start(made)
        crashpoints.reached("piece-started")
        for slice_, attempt in attempts:
            answer = answers.get(attempt.key)
            if isinstance(answer, Refusal):
                self._refused(slice_, answer.reason)
            elif answer is not None:
                self.pieces.keep_handle(attempt, answer)
                slice_.handle = answer
                crashpoints.reached("handle-kept")
                logger.info("slice %s, attempt %d: started", slice_.name, attempt.attempt)

    def _made(self, slice_: Slice, attempt: Attempt) -> Piece:
        """What is sent for an attempt; it may wait long for a slot, and is put together once."""
        if slice_.piece is None:
            finished = self._finished(slice_)
            carried.keep(self.pieces.path(slice_.name, attempt.attempt), finished)
            slice_.piece = bundle.make(self.owner, self.pieces, attempt, self._given(slice_), finished)
        return slice_.piece

    def _finished(self, slice_: Slice) -> dict[str, Path]:
        """What earlier attempts at a slice had finished: by the word of the last one that was heard of."""
        found: dict[str, Path] = {}
        for earlier in slice_.earlier:
            found |= carried.finished(self.pieces.pulled(earlier), self.owner.plan.sharding)
        return found

    def _refused(self, slice_: Slice, reason: str) -> None:
        slice_.watched = True
        what = f"{self.owner.plan.backend} does not take it: {reason}"
        self._give_up(slice_, AttemptEnd(ran=False, reason=what, ended=now()))

    def _given(self, slice_: Slice) -> dict[str, dict[str, Path]]:
        if slice_.name != JOIN:
            return {}
        accepted = [a for a in self.slices.accepted() if a.slice != JOIN]
        return bringing.given(self.pieces, self._gives(), accepted)

    def _gives(self) -> dict[str, str]:
        stage = bundle.implementation(self.owner).map
        return stage.gives if stage else {}

    def _is_pulled(self, slice_: Slice) -> bool:
        return slice_.attempt is not None and self.pieces.end_of(slice_.attempt) is not None

    # --- looking

    def _look(self) -> None:
        """How all pieces are; while a run is stopped, also those of which nobody knows whether they began."""
        asked = {
            s.attempt.key: s.handle or None
            for s in self.slices.under_way
            if s.attempt and not self._is_pulled(s) and (s.handle is not None or self.stopping)
        }
        if not asked:
            return
        seen = self.place.look(asked)
        for slice_ in self.slices.under_way:
            if slice_.attempt and (one := seen.get(slice_.attempt.key)):
                self._saw(slice_, slice_.attempt, one)

    def _saw(self, slice_: Slice, attempt: Attempt, seen: Seen) -> None:
        before, slice_.seen = slice_.seen, seen
        if seen.condition is Condition.RUNNING and (before is None or before.condition is not seen.condition):
            self.pieces.keep_begun(attempt, seen.where)
        if seen.condition is Condition.UNKNOWN:
            self.trouble.begin(seen.reason or "it can't be asked")
        elif seen.condition in (Condition.WAITING, Condition.RUNNING):
            slice_.watched = True
        elif seen.condition is Condition.GONE:
            self._bring_last(slice_, attempt)
            self._forget_one(attempt)
            slice_.watched = slice_.watched or self.stopping
            reason = f"{self.owner.plan.backend} has it no more: {seen.reason or 'nobody knows why'}"
            end = AttemptEnd(
                lost=self._is_lost(seen), reason=reason, kind=seen.kind, where=seen.where, ended=now()
            )
            self._give_up(slice_, end)

    def _is_lost(self, seen: Seen) -> bool:
        """Whether it ended by no fault of its own, so that another attempt may end otherwise."""
        if self.stopping or seen.kind in _FOR_GOOD:
            return False
        return seen.exit_code is None or (seen.exit_code != 0 and bool(seen.kind))

    def _bring_last(self, slice_: Slice, attempt: Attempt) -> None:
        """What it has told before it was lost, if it is still there: a further attempt may go on from it."""
        if self.pieces.forgotten(attempt):
            return
        with contextlib.suppress(LookupError, OutageError, NeedsPersonError):
            self._bring(slice_, Part.RECORD)
            if self.owner.plan.sharding.size:
                self._bring(slice_, Part.RESULTS)

    def _give_up(self, slice_: Slice, end: AttemptEnd) -> None:
        """An attempt is lost, or has failed. If another one takes its place, what it has told is void."""
        self.slices.lost(slice_, end)
        self.tidy = False
        if slice_.attempt is not None or self.stopping:
            return
        self.owner.note(f"slice {slice_.name} is started again: {end.reason or f'exit code {end.exit_code}'}")
        self.owner.acquire()
        self.feed = self._feed()

    # --- what they have made

    def _bring(self, slice_: Slice, part: Part) -> None:
        attempt = self.shipping.bring(slice_, part)
        self.feed.add(attempt, self.pieces.pulled(attempt))

    def _finish(self) -> None:
        for slice_ in self.slices.under_way:
            if slice_.attempt is None:
                continue
            if self._is_pulled(slice_):
                self._accept(slice_, slice_.attempt)
            elif slice_.seen and slice_.seen.condition is Condition.ENDED:
                self._bring_home(slice_, slice_.attempt, slice_.seen)

    def _bring_home(self, slice_: Slice, attempt: Attempt, seen: Seen) -> None:
        try:
            self._bring(slice_, Part.RESULTS)
        except LookupError as error:
            self._saw(
                slice_, attempt, msgspec.structs.replace(seen, condition=Condition.GONE, reason=str(error))
            )
            return
        crashpoints.reached("pulled")
        self.owner.count(self.feed)
        folder = self.pieces.path(slice_.name, attempt.attempt)
        if seen.exit_code == 0:
            carried.complete(self.pieces.pulled(attempt), folder / bundle.SENT, carried.names(folder))
        end = AttemptEnd(
            exit_code=seen.exit_code,
            lost=self._is_lost(seen),
            reason=seen.reason,
            kind=seen.kind,
            where=seen.where,
            cpu_seconds=seen.usage.cpu_seconds,
            max_rss_bytes=seen.usage.max_rss_bytes,
            wall_seconds=seen.usage.wall_seconds,
            ended=now(),
        )
        if seen.exit_code == 0:
            self.pieces.keep_end(attempt, end)
            crashpoints.reached("end-kept")
            self._accept(slice_, attempt)
        else:
            self._give_up(slice_, end)

    def _accept(self, slice_: Slice, attempt: Attempt) -> None:
        """Fill the slot of a slice, once it is sure that nothing else of it works."""
        if slice_.earlier and not self._is_alone(slice_, attempt):
            return
        folder = self.pieces.path(slice_.name, attempt.attempt)
        sent, given = folder / bundle.SENT, carried.names(folder)
        made = bringing.made(self.pieces.pulled(attempt), sent, self.owner.renew, given)
        self.owner.lease.require()
        end = self.pieces.accept(attempt, SliceEnd(attempt=attempt.attempt, files=made, accepted=now()))
        crashpoints.reached("slot-taken")
        slice_.accepted, self.tidy = True, False
        if end.attempt != attempt.attempt:  # an earlier owner was quicker, with another attempt
            slice_.attempt = next(a for a in self.pieces.attempts(slice_.name) if a.attempt == end.attempt)
        logger.info("slice %s: attempt %d is accepted", slice_.name, end.attempt)

    def _is_alone(self, slice_: Slice, attempt: Attempt) -> bool:
        """Whether nothing works any more of a slice's other attempts; what does is asked to end."""
        left = self.place.survivors(self.owner.run.id)
        if left is None:
            raise OutageError("it can't say what of this run still works there")
        others = {a.key for a in self.pieces.attempts(slice_.name)} - {attempt.key}
        self.place.stop(dict.fromkeys(working := [key for key in left if key in others]), None)
        return not working

    # --- tidying up

    def _forget(self) -> None:
        """Nothing of what has ended stays at the place."""
        if self.tidy:
            return
        waiting = [(s.name, s.attempt.attempt) for s in self.slices.all if s.is_open and s.attempt]
        for name in self.pieces.slices():
            for attempt in self.pieces.attempts(name):
                is_done = (name, attempt.attempt) not in waiting and self.pieces.end_of(attempt) is not None
                if is_done and not self.pieces.forgotten(attempt):
                    self._forget_one(attempt)
        self.tidy = True

    def _forget_one(self, attempt: Attempt) -> None:
        self.place.forget(attempt.key, self.pieces.handle(attempt) or None)
        crashpoints.reached("forgotten")
        self.pieces.keep_forgotten(attempt)
