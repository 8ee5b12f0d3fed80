"""Whether an engine still does something. An engine that hangs must not leave a run EXECUTING for ever.

Something is done while the engine reports anything, while a process below it lives, or while it uses the
processor. A dead event loop does none of these (cwltool ends so when a disk is full at the wrong moment).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Seconds between two looks: each lists the engine's children.
LOOK = 10.0
#: Share of a core below which an engine without jobs counts as doing nothing; an idle Java machine uses more.
IDLE = 0.005
#: Seconds of silence after which it counts as dead, and after which it does on a full disk.
DEAD, DEAD_ON_FULL_DISK = 900.0, 60.0


@dataclass
class Pulse:
    """
    What was last seen of an engine.

    Attributes
    ----------
    active : float
        Monotonic time at which it last did something.
    """

    active: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _cpu: float = -1.0

    def reported(self) -> None:
        """The engine has reported something."""
        self.active = time.monotonic()

    def idle_for(self, quiet: Callable[[], float | None]) -> float:
        """
        Seconds for which the engine has done nothing at all; 0 if that can't be known.

        Whether it is quiet (`esap_wf.backends.Launcher.quiet`) is asked only when it is time to look: this is
        called several times a second.
        """
        moment = time.monotonic()
        if moment - self._looked < LOOK:
            return self._looked - self.active
        elapsed, self._looked = moment - self._looked, moment
        used = quiet()
        if used is None:
            self.active = moment
            return 0.0
        before, self._cpu = self._cpu, used
        if before < 0 or used - before > IDLE * elapsed:
            self.active = moment
        return moment - self.active
