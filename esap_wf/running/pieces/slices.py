"""
The slices of a run, and which attempt at each counts: what `esap_wf.runs.pieces` records, as its owner goes
on from it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from esap_wf.backends import Piece, Seen
from esap_wf.errors import EsapError
from esap_wf.models.run import Reason, now
from esap_wf.running.ownership import Ownership
from esap_wf.runs import crashpoints
from esap_wf.runs.pieces import JOIN, WHOLE, Attempt, AttemptEnd, Pieces

logger = logging.getLogger(__name__)

#: So often a place may lose a piece before it is called a failure.
LOSSES = 5
#: The same of those that were killed, and nobody knows by whom: it may be for what they do themselves.
KILLS = 1


@dataclass
class Slice:
    """
    One slice, as its owner knows it.

    Attributes
    ----------
    name : str
    attempt : Attempt or None
        The one that is under way, or was the last.
    handle : str or None
        What the place calls it.
    seen : Seen or None
        How it was when it was last looked at.
    accepted : bool
        Its results count.
    failed : AttemptEnd or None
        It has failed for good, as far as this owner is concerned.
    piece : Piece or None
        What is sent for the attempt, once it was put together.
    watched : bool
        It was seen at work, or started, by this owner: its failure is told, not tried once more.
    """

    name: str
    attempt: Attempt | None = None
    handle: str | None = None
    seen: Seen | None = None
    accepted: bool = False
    failed: AttemptEnd | None = None
    piece: Piece | None = None
    watched: bool = False
    earlier: list[Attempt] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to do for it."""
        return not self.accepted and self.failed is None

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt of it may be at its place."""
        return self.is_open and self.attempt is not None


class Slices:
    """
    All slices of a run; the one that joins them comes last, when the others are accepted.

    Parameters
    ----------
    owner : Ownership
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.pieces = Pieces(owner.run.dir, owner.store)
        number = owner.plan.slicing.slices
        names = [WHOLE] if number < 2 else [*map(str, range(1, number + 1)), JOIN]
        self.all = [self._found(name) for name in names]

    def _found(self, name: str) -> Slice:
        """A slice as earlier owners have left it."""
        found = Slice(name)
        attempts = [a for a in self.pieces.attempts(name) if a.plan == self.owner.plan.checksum]
        if accepted := self.pieces.accepted(name):
            found.accepted = True
            found.attempt = next((a for a in attempts if a.attempt == accepted.attempt), None)
            return found
        for attempt in attempts:
            end = self.pieces.end_of(attempt)
            if end is None or end.exit_code == 0:  # at work, or pulled and not yet accepted
                found.attempt, found.handle = attempt, self.pieces.handle(attempt)
            else:
                found.earlier.append(attempt)
        return found

    def of(self, name: str) -> Slice:
        """The slice of a name."""
        return next(s for s in self.all if s.name == name)

    @property
    def under_way(self) -> list[Slice]:
        """Those of which an attempt may be at the place."""
        return [s for s in self.all if s.is_under_way]

    @property
    def wanted(self) -> list[Slice]:
        """Those that are to be started: the join waits for all others."""
        first = [s for s in self.all if s.name != JOIN]
        if all(s.accepted for s in first):
            first = self.all
        return [s for s in first if s.is_open and s.attempt is None]

    @property
    def is_done(self) -> bool:
        """Whether every slice is accepted."""
        return all(s.accepted for s in self.all)

    @property
    def failures(self) -> list[Slice]:
        """Those that have failed."""
        return [s for s in self.all if s.failed is not None]

    def accepted(self) -> list[Attempt]:
        """The attempts that count, in order."""
        return [s.attempt for s in self.all if s.accepted and s.attempt is not None]

    def begin(self, slice_: Slice, why: str) -> Attempt:
        """A further attempt at a slice, written down before it is started."""
        number = 1 + max((a.attempt for a in self.pieces.attempts(slice_.name)), default=0)
        attempt = Attempt(
            key=f"{self.owner.run.id}.{self.owner.lease.epoch}.{slice_.name}.{number}",
            slice=slice_.name,
            attempt=number,
            plan=self.owner.plan.checksum,
            started=now(),
            why=why,
        )
        self.owner.lease.require()
        if not self.pieces.begin(attempt):
            self.owner.lease.require()
            raise EsapError(
                f"attempt {number} at slice {slice_.name} of run {self.owner.run.id} is there already"
            )
        crashpoints.reached("piece-written")
        slice_.attempt, slice_.handle, slice_.seen, slice_.watched = attempt, None, None, True
        slice_.piece = None
        return attempt

    def lost(self, slice_: Slice, end: AttemptEnd) -> None:
        """An attempt has ended without a result that counts: another one is wanted, or it has failed."""
        assert slice_.attempt is not None
        self.pieces.keep_end(slice_.attempt, end)
        slice_.earlier.append(slice_.attempt)
        ends = [e for a in slice_.earlier if (e := self.pieces.end_of(a)) and e.lost]
        killed = sum(1 for e in ends if e.kind == Reason.SIGNAL)
        again = (len(ends) <= LOSSES and killed <= KILLS) if end.lost else not slice_.watched
        logger.info(
            "slice %s, attempt %d: %s",
            slice_.name,
            slice_.attempt.attempt,
            end.reason or f"ended with exit code {end.exit_code}",
        )
        if again:
            slice_.attempt, slice_.handle, slice_.seen = None, None, None
        else:
            slice_.failed = end
