"""Pieces that another plan of the same run has started: ended and forgotten before it goes on."""

from __future__ import annotations

from esap_wf.backends import Condition, Seen
from esap_wf.running.ownership import Ownership
from esap_wf.running.pieces.asking import Asking
from esap_wf.runs.pieces import Attempt, Pieces


def of_other_plans(owner: Ownership, pieces: Pieces) -> list[Attempt]:
    """Attempts that are recorded and were made by another plan."""
    checksum = owner.plan.checksum
    return [a for name in pieces.slices() for a in pieces.attempts(name) if a.plan != checksum]


def end(pieces: Pieces, former: list[Attempt], place: Asking) -> bool:
    """
    Ask for the end of what works, forget what doesn't. True when nothing is left; then no record of it is in
    the way either.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    left = {a.key: a for a in former if not pieces.forgotten(a)}
    handles = {key: pieces.handle(a) or None for key, a in left.items()}
    seen = place.look(handles) if left else {}
    working = {key: handles[key] for key in left if _may_work(seen[key])}
    place.stop(working, None)
    for key in left.keys() - working.keys():
        place.forget(key, handles[key])
        pieces.keep_forgotten(left[key])
    if working:
        return False
    if former:
        pieces.put_away()
    return True


def _may_work(seen: Seen) -> bool:
    return seen.condition in (Condition.WAITING, Condition.RUNNING, Condition.UNKNOWN)
