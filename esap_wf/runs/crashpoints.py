"""Named moments at which a run must survive the death of its process; everybody may call `reached`.

Nothing arms a point in normal operation: no option, no variable. `tests/faults/crash_at.py` does, inside the
process that it starts.
"""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """A moment, in the order of a run's life, and who calls it."""

    #: `claims.claim`: the claim file exists, no run directory yet.
    CLAIMED = "claimed"
    #: launch: all files of the run are rendered in the staging folder.
    RENDERED = "rendered"
    #: `Store.publish`: run.json, state.json and the reserve are in the staging folder.
    STAGED = "staged"
    #: `Store.publish`: the journal announces the run, its directory isn't there yet.
    JOURNALED = "journaled"
    #: `Store.publish`: the staging folder has become the run directory.
    PUBLISHED = "published"
    #: supervisor: the process runs, it owns nothing yet.
    SUPERVISOR_STARTED = "supervisor-started"
    #: `Lease.acquire`: the epoch is taken, lease.json isn't written yet.
    EPOCH_TAKEN = "epoch-taken"
    #: `revisions.begin`: a new plan and what is rendered by it wait in the run, the old plan is in force.
    REVISION_BEGUN = "revision-begun"
    #: `revisions.finish`: the old plan is kept under another name, too.
    PLAN_KEPT = "plan-kept"
    #: `revisions.finish`: what the engine gets is the new plan's, plan.json the old one.
    REVISION_RENDERED = "revision-rendered"
    #: `revisions.finish`: the new plan is in force, the folder in which it waited is there.
    PLAN_REPLACED = "plan-replaced"
    #: `HeadLauncher.start`: the engine's record is there, its job is not handed in.
    HEAD_RECORDED = "head-recorded"
    #: `HeadLauncher.start`: Slurm has taken the job, its id is nowhere.
    HEAD_SUBMITTED = "head-submitted"
    #: arrival: a file is in the cache, the run does not have it yet.
    INPUT_FETCHED = "input-fetched"
    #: arrival: all inputs are in the run directory, no engine was started.
    INPUTS_BROUGHT = "inputs-brought"
    #: supervisor: the engine runs.
    ENGINE_STARTED = "engine-started"
    #: supervisor: events are folded in memory, the checkpoint isn't written.
    EVENT_FOLDED = "event-folded"
    #: pieces: an attempt is written down, the place was not asked to start it.
    PIECE_WRITTEN = "piece-written"
    #: pieces: the place has taken what it was given, nothing of its answer is written down.
    PIECE_STARTED = "piece-started"
    #: pieces: what the place calls a piece is written down.
    HANDLE_KEPT = "handle-kept"
    #: pieces: all that a piece has made was pulled, its end isn't written down.
    PULLED = "pulled"
    #: pieces: how a piece has ended is written down, its slice's slot is empty.
    END_KEPT = "end-kept"
    #: pieces: the slot of a slice is filled, the place still has the piece.
    SLOT_TAKEN = "slot-taken"
    #: pieces: the place has nothing of a piece any more, that isn't written down.
    FORGOTTEN = "forgotten"
    #: `Run.write_state`: the change is announced in the journal, state.json is the old one.
    STATE_ANNOUNCED = "state-announced"
    #: `Run.write_state`: state.json is the new one.
    STATE_WRITTEN = "state-written"
    #: supervisor: the outputs are checked, nothing is accepted.
    OUTPUTS_CHECKED = "outputs-checked"
    #: `Run.accept`: the results are accepted, outputs.json isn't there yet.
    OUTPUTS_ACCEPTED = "outputs-accepted"
    #: `Run.write_state`: a final phase is written, the lease is still held.
    FINAL_WRITTEN = "final-written"
    #: `Store.remove`: the tombstone is there, the run directory too.
    TOMBSTONE_WRITTEN = "tombstone-written"
    #: `Store.remove`: the run directory has left its place, its content isn't deleted.
    RUN_UNLINKED = "run-unlinked"


NAMES = tuple(point.value for point in Point)

_armed: dict[str, int] = {}


def arm(name: str, nth: int = 1) -> None:
    """
    Make this process kill itself when it reaches a point.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    nth : int
        At which time it gets there, from 1.
    """
    _armed[Point(name).value] = nth


def reached(name: str) -> None:
    """
    Tell that the process got to a point. Does nothing unless a test armed it; then no handler, no cleanup, no
    flush runs.
    """
    if not _armed:
        return
    left = _armed.get(name, 0)
    if left == 1:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
    elif left:
        _armed[name] = left - 1
