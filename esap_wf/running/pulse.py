"""Whether an engine still does something. An engine that hangs must not leave a run EXECUTING for ever.

Something is done while the engine reports anything, while a process below it lives, or while it uses the
processor. A dead event loop does none of these (cwltool ends so when a disk is full at the wrong moment).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from esap_wf.runs.attempts import EngineProcess

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

    def idle_for(self, engine: Callable[[], EngineProcess | None]) -> float:
        """
        Seconds for which the engine has done nothing at all; 0 if that can't be known from here.

        Which process is the engine is asked for only when it is time to look: this is called several times a
        second.
        """
        moment = time.monotonic()
        if moment - self._looked < LOOK:
            return self._looked - self.active
        elapsed, self._looked = moment - self._looked, moment
        process = engine()
        if process is None or self._does_something(process, elapsed):
            self.active = moment
        return moment - self.active

    def _does_something(self, process: EngineProcess, elapsed: float) -> bool:
        from esap_wf.runs import processes

        if not processes.alive(process.engine):
            return True  # elsewhere, or ended: that is seen by other means
        import psutil

        try:
            engine = psutil.Process(process.engine.pid)
            if engine.status() == psutil.STATUS_STOPPED or engine.children():
                return True  # somebody has stopped it for a while; or there are jobs
            used = sum(engine.cpu_times()[:2])
        except psutil.Error:
            return True
        before, self._cpu = self._cpu, used
        return before < 0 or used - before > IDLE * elapsed
