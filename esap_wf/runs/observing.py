"""
What a run is doing, as everybody but its owner sees it: the owner may be gone, or on a host where it can't be
asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from esap_wf.errors import NotFoundError
from esap_wf.models.run import Phase, State
from esap_wf.runs import decisions, lease, progress, states

#: Seconds that a new run may be without an owner, between the command that created it and its supervisor.
START_GRACE = 10.0


class Observed(lease.Leased, Protocol):
    """What can be observed: `esap_wf.runs.run.Run`."""

    @property
    def events_path(self) -> Path:
        """``events.jsonl``."""

    def state(self) -> State:
        """The state as last written."""


class Observer:
    """
    Looks at a run, again and again: that an owner on another host is gone is seen by nothing else.

    Parameters
    ----------
    run : Observed
    """

    __slots__ = ("_heard", "_presumed_dead", "_run")

    def __init__(self, run: Observed) -> None:
        self._run = run
        self._heard: tuple[tuple[int, int], float] | None = None
        self._presumed_dead = ""

    def state(self, waiting: Callable[[str], None] | None = None) -> State:
        """
        The state as an observer should see it.

        The tail of ``events.jsonl`` is folded in. A run that should be at work but whose owner is gone is
        UNKNOWN; a removed one ARCHIVED. An owner that cannot be asked from here (another host, another
        container) is gone when this object, looking again and again, has seen no heartbeat for `lease.TTL`
        seconds.

        Parameters
        ----------
        waiting : callable, optional
            For those who are about to act on the state: an owner that cannot be asked is watched for that
            time now, of which this is told. Without it nobody is waited for.
        """
        run = self._run
        state = self._look()
        if waiting is None or state.phase not in states.ACTIVE or lease.alive(run) is not None:
            return state
        last = lease.current(run)
        if last is not None:
            waiting(
                f"run {run.id}: {last.holder} can't be asked from here; waiting up to {lease.TTL:.0f} s for "
                "a sign of life"
            )
            if not lease.watch(run, lease.TTL):
                text = "run %s: its owner %s gave no sign of life for %.0f s: presumed dead"
                decisions.log(__name__, text, run.id, last.holder, lease.TTL)
                self._heard = (last.epoch, last.seq), time.monotonic() - lease.TTL
        return self._look()

    def expired(self, last: lease.LeaseFile) -> bool:
        """
        Whether no newer heartbeat than this was seen for `lease.TTL` seconds, by the clock of this process.
        """
        moment, beat = time.monotonic(), (last.epoch, last.seq)
        if self._presumed_dead == f"{last.epoch}.{last.seq}":
            return True
        if self._heard is None or self._heard[0] != beat:
            self._heard = beat, moment
        return moment - self._heard[1] >= lease.TTL

    def presumed_dead(self) -> str:
        """Epoch and heartbeat of an owner that can't be asked and whose lease has expired; else empty."""
        last = lease.current(self._run)
        if last is None or lease.alive(self._run) is not None or not self.expired(last):
            return ""
        return f"{last.epoch}.{last.seq}"

    def presume_dead(self, heartbeat: str) -> None:
        """Take over what another process has found (`presumed_dead`), so that no owner is watched twice."""
        self._presumed_dead = heartbeat

    def _look(self) -> State:
        run = self._run
        if run.store.tombstone_path(run.id).exists():
            return self._removed()
        state = run.state()
        while state.phase in states.ACTIVE and self._abandoned() and not self._just_created(state):
            # an owner writes the last state, then goes: look in the other order before calling it lost
            reread = run.state()
            if reread.rev == state.rev:
                state = msgspec.structs.replace(state, phase=Phase.UNKNOWN, reason=self._lost(state))
                break
            state = reread
        return progress.follow(state, run.events_path)

    def _abandoned(self) -> bool:
        lives = lease.alive(self._run)
        if lives is not None:
            return not lives
        last = lease.current(self._run)
        return last is None or self.expired(last)

    def _removed(self) -> State:
        try:
            state = self._run.state()
        except NotFoundError:
            state = State(phase=Phase.ARCHIVED)
        return msgspec.structs.replace(state, phase=Phase.ARCHIVED, reason="removed")

    def _just_created(self, state: State) -> bool:
        if state.phase is not Phase.PENDING or lease.latest_epoch(self._run) > 0:
            return False
        try:
            age = time.time() - (self._run.dir / "state.json").stat().st_mtime
        except OSError:
            return False
        return 0 <= age < START_GRACE

    def _lost(self, state: State) -> str:
        if state.phase is Phase.PENDING:
            return "the command that created it is gone, and no supervisor has started"
        last = lease.current(self._run)
        who = f" ({last.holder})" if last else ""
        return f"its supervisor{who} is gone"
