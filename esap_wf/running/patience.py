"""
Asking the place where the engine of a run is: it may be away, or need somebody to act. That is waited for,
told as the run's reason, and nothing is concluded from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from esap_wf.backends.launcher import NeedsPersonError, OutageError
from esap_wf.models.run import Phase
from esap_wf.running.ownership import Leaving, Ownership
from esap_wf.running.trouble import Trouble

T = TypeVar("T")
#: Seconds between two looks for a request to stop.
TICK = 0.2


class Patience:
    """
    Waits for one place, for one owner.

    Parameters
    ----------
    owner : Ownership
        With its plan.
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.trouble = Trouble(owner.place)

    def answer(self, what: Callable[[], T | None], heeds: bool = True) -> T | None:
        """
        What the place answers, however long it takes.

        Parameters
        ----------
        what : callable
            Asks it. None is no answer: `Launcher.waiting_for` says why it has to be asked again.
        heeds : bool
            A request to stop ends the wait, with None.

        Raises
        ------
        Leaving
            This process was asked to end.
        """
        while True:
            try:
                answer = what()
            except NeedsPersonError as error:
                self.trouble.begin(str(error), person=True)
            except OutageError as error:
                self.trouble.begin(str(error))
            else:
                if answer is not None:
                    self.over()
                    return answer
                self.trouble.begin(self.owner.here.waiting_for or "it does not take it yet")
            self.tell()
            if not self._pause(self.trouble.pause(), heeds):
                return None

    def tell(self) -> None:
        """What the trouble is, as the run's reason; one that needs somebody holds the run."""
        state = self.owner.events.state
        held = Phase.HELD if self.trouble.person else None
        phase = held or (Phase.QUEUED if state.phase is Phase.HELD else state.phase)
        if (phase, self.trouble.reason) != (state.phase, state.reason):
            self.owner.write(phase, reason=self.trouble.reason)

    def over(self) -> None:
        """There is no trouble any more."""
        if self.trouble.what:
            self.trouble.end()
            self.tell()

    def _pause(self, seconds: float, heeds: bool) -> bool:
        """False if a request to stop is there."""
        until = time.monotonic() + seconds
        while True:
            self.owner.renew()
            if self.owner.leaving:
                raise Leaving
            if heeds and self.owner.run.stop_requested():
                return False
            if time.monotonic() >= until:
                return True
            time.sleep(TICK)
