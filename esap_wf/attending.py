"""
Resume runs whose owner is gone: the machine was started anew while pieces worked on elsewhere, or a
supervisor was killed.

Only runs of this user that should be at work. What a person has stopped is stopped, not resumed.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf import files
from esap_wf.config import Config
from esap_wf.errors import EsapError, RefusedError
from esap_wf.models import Model
from esap_wf.models.run import Phase, State
from esap_wf.running import control
from esap_wf.runs import lease, processes, states
from esap_wf.runs.lookup import index_of, opened
from esap_wf.runs.run import BY_THE_SYSTEM
from esap_wf.runs.store import Run, Store

logger = logging.getLogger(__name__)

#: Seconds between two looks of one that stays.
EVERY = 60.0
#: A run that is lost again is resumed after twice the time each time, at most after these seconds.
LATEST = 3600.0
#: Phases in which somebody must be working on a run, or waiting for a person.
ATTENDED = (*sorted(states.ACTIVE), Phase.HELD)

Say = Callable[[str], None]


class Attended(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A run that got a new supervisor: the phase it then had, and why it needed one."""

    run: str
    phase: Phase
    why: str


@dataclass
class _Known:
    """A run as it is watched: the same object each time, because it remembers what it has heard."""

    run: Run
    times: int = 0
    not_before: float = 0.0

    def put_off(self) -> None:
        """Not again at once: what doesn't help is tried less and less often."""
        self.times += 1
        self.not_before = time.monotonic() + min(LATEST, EVERY * 2 ** min(self.times, 16))


@dataclass
class Attendant:
    """
    Looks after the runs of this user in a store.

    Parameters
    ----------
    config : Config
    say : callable
        Told what can't be done.
    """

    config: Config
    say: Say
    _known: dict[str, _Known] = field(default_factory=dict)

    def look(self, patience: float = 0.0) -> list[Attended]:
        """
        Look at all runs once, and resume those that are lost.

        Parameters
        ----------
        patience : float
            Seconds to watch, at most, owners that can't be asked from here; 0 leaves that to the next looks.

        Returns
        -------
        list of Attended
        """
        store = opened(self.config)
        if store is None:
            return []
        found: list[Attended] = []
        until = time.monotonic() + patience
        with _alone(self.config.cache / "attend" / f"{store.id}.lock"):
            while True:
                silent = False
                for known in self._of_this_user(store):
                    try:
                        found += filter(None, [self._attend(known)])
                        silent = silent or _silent(known.run)
                    except (EsapError, OSError) as error:
                        self.say(f"warning: run {known.run.id} can't be attended: {error}")
                        known.put_off()
                if not silent or time.monotonic() >= until:
                    return found
                time.sleep(min(1.0, EVERY))

    def _of_this_user(self, store: Store) -> list[_Known]:
        """Runs of this user that should be at work."""
        user, ids = processes.user(), list[str]()
        with index_of(store, self.config) as index:
            for phase in ATTENDED:
                cursor: str | None = None
                while True:
                    rows, cursor = index.page(phase=phase, owner=user, limit=500, cursor=cursor)
                    ids += [row.id for row in rows]
                    if cursor is None:
                        break
        # what has ended is forgotten
        self._known = {i: self._known.get(i) or _Known(store.run(i)) for i in ids if _is_mine(store.run(i))}
        return list(self._known.values())

    def _attend(self, known: _Known) -> Attended | None:
        """Resume a run if it is lost, or end it if somebody has stopped it."""
        run = known.run
        state = run.observe()
        if time.monotonic() < known.not_before or not _lost(run, state):
            return None
        stop = run.stop_requested()
        stopped = stop is not None and stop.by != BY_THE_SYSTEM
        why = state.reason or "its supervisor is gone"
        logger.info("run %s is lost: %s", run.id, why)
        try:
            if stop is not None and stopped:
                why += f"; {stop.by} has stopped it"
                before = lease.latest_epoch(run)
                control.cancel(run, stop.drain)
                _taken(run, before)
            elif not control.resume(run):
                return None
        except RefusedError:  # somebody else was quicker
            return None
        known.put_off()
        return Attended(run=run.id, phase=run.state().phase, why=why)


def _taken(run: Run, before: int) -> None:
    """Wait a moment until a supervisor has taken a run."""
    until = time.monotonic() + 30
    while lease.latest_epoch(run) == before and time.monotonic() < until:
        time.sleep(0.05)


def _is_mine(run: Run) -> bool:
    """
    Whether the run's directory is this user's, too: what it says of its owner, others of a shared store may
    have written, and its command is executed.
    """
    try:
        return (run.dir / "run.json").stat().st_uid == os.geteuid()
    except OSError:
        return False


def _lost(run: Run, state: State) -> bool:
    """Whether nobody works on a run that is at work; who waits for a person works, too."""
    if state.phase is not Phase.HELD:
        return state.phase is Phase.UNKNOWN
    return lease.alive(run) is False or bool(run.presumed_dead())


def _silent(run: Run) -> bool:
    """Whether a run has an owner that can't be asked from here, and isn't known to be dead."""
    return lease.alive(run) is None and not run.presumed_dead()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One attendant at a time on a machine; where nothing can be locked, the epochs of runs are enough."""
    with contextlib.ExitStack() as stack:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(lock.open("ab"))
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError as error:
            logger.info("%s can't be locked: %s", lock, files.explain(error, lock))
        yield
