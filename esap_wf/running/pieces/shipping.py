"""What pieces have made, brought home: records often, what shards finished seldom, the rest at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping

from esap_wf.backends import Condition, Part
from esap_wf.running.ownership import Ownership
from esap_wf.running.pieces import bringing, carried
from esap_wf.running.pieces.asking import Asking
from esap_wf.running.pieces.slices import Slice
from esap_wf.runs.pieces import JOIN, WHOLE, Attempt, Pieces

#: Seconds between two pulls of a record at least, and how much longer than a pull they are.
RECORD, COST = 1.0, 10.0
#: Seconds between two times that what shards have finished is brought home, and at most between two records.
SHIPPING = 180.0


class Shipping:
    """
    Copies of what pieces have made, in the run.

    Parameters
    ----------
    owner : Ownership
    pieces : Pieces
    place : Asking
    gives : mapping of str to str
        Folders of slices that the join gets.
    """

    def __init__(self, owner: Ownership, pieces: Pieces, place: Asking, gives: Mapping[str, str]) -> None:
        self.owner, self.pieces, self.place, self.gives = owner, pieces, place, gives
        self._sharding = owner.plan.sharding
        self._began = time.monotonic()
        self._next = {Part.RECORD: 0.0, Part.RESULTS: self._began + SHIPPING}

    def at_work(self, slices: Iterable[Slice]) -> Iterable[Slice]:
        """What pieces report, and what their shards have finished, when it is time; the slices concerned."""
        working = [s for s in slices if s.attempt and s.seen and s.seen.condition is Condition.RUNNING]
        brought: list[Slice] = []
        for part in (Part.RECORD, Part.RESULTS) if self._sharding.size else (Part.RECORD,):
            began = time.monotonic()
            if began < self._next[part]:
                continue
            for slice_ in working:
                with contextlib.suppress(LookupError):
                    self.bring(slice_, part)
                    brought.append(slice_)
            ended = time.monotonic()
            usual = SHIPPING
            if part is Part.RECORD:
                # seldom, because whole files are pulled
                usual = max(RECORD, min(SHIPPING, 0.02 * (ended - self._began)))
            self._next[part] = ended + max(usual, COST * (ended - began))
        return brought

    def bring(self, slice_: Slice, part: Part) -> Attempt:
        """
        A part of what the attempt at a slice has made.

        Raises
        ------
        LookupError
            The place has nothing of it.
        OutageError, NeedsPersonError
        """
        attempt = slice_.attempt
        assert attempt
        pulled, records, sharding = self.pieces.pulled(attempt), self.owner.engine.records, self._sharding
        wanted = list(records)
        if part is Part.RESULTS:
            wanted += [*carried.folders(sharding), *carried.named(pulled, sharding)]
            if slice_.name not in (JOIN, WHOLE):
                wanted += bringing.folders_of(dict(self.gives))
        else:
            wanted += carried.records(sharding)
        pulled.mkdir(parents=True, exist_ok=True)
        self.place.pull(attempt.key, slice_.handle or None, pulled, part, wanted)
        root = slice_.seen.root if slice_.seen else ""
        bringing.relocate(pulled, root, [*records, *carried.journals(pulled, sharding)])
        return attempt
