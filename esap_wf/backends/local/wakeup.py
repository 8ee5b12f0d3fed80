"""A supervisor that waits is woken when a child ends: a run ends no later than its engine."""

from __future__ import annotations

import contextlib
import os
import select
import signal


class Wakeup:
    """Wakes a process that waits when one of its children ends."""

    def __init__(self) -> None:
        self._read, self._write = (
            os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        )

    def arm(self) -> None:
        """From now on; for the main thread only."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> None:
        """Until a child has ended, or the time is over."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 512)
