"""esap-wf's own log, as people read it: one line a message, with its time in UTC.

Modules write to ``logging.getLogger(__name__)`` what they have seen and decided, and why. Who uses esap-wf
from Python sets up `logging` as they like; the command line (``-v``) and the supervisor do it by `to_stderr`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable

from esap_wf.formats.printing import one_line, printable

#: The logger that all of esap-wf's are below.
NAME = "esap_wf"


class _Lines(logging.Formatter):
    """Names of files and words of other programs are shown as they are safe to be shown."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without what would break it."""
        return one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it."""
        return printable(super().format(record))


class _Stderr(logging.Handler):
    """
    Writes each line at once, and drops what can't be written: a full disk behind it must neither end a
    supervisor nor fail once more when it ends, as what waits in a buffer would.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = self.format(record) + "\n"
        with contextlib.suppress(OSError):
            if sys.stderr is sys.__stderr__:
                os.write(2, line.encode("utf-8", "backslashreplace"))
            else:  # somebody collects it
                sys.stderr.write(line)


def to_stderr(level: int) -> Callable[[], None]:
    """
    Show what esap-wf logs on stderr from now on.

    Parameters
    ----------
    level : int
        `logging.INFO`: decisions; `logging.DEBUG`: also what they are made from.

    Returns
    -------
    callable
        Ends it.
    """
    logger, before = logging.getLogger(NAME), logging.getLogger(NAME).level
    handler = _Stderr()
    handler.setFormatter(_Lines())
    logger.addHandler(handler)
    logger.setLevel(level)

    def end() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    return end
