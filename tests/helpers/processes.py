"""Processes as the operating system knows them: those of a run, those with some words in their command line, those below another."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil

from esap_wf.testing.places import of_run

__all__ = ["kill", "of_run", "running"]


def running(pattern: str, below: int | None = None) -> list[int]:
    """
    Living processes by their command line.

    Parameters
    ----------
    pattern : str
        A regular expression that is searched in the words of the command line, joined by spaces.
    below : int, optional
        Only descendants of this process.
    """
    found = []
    processes = psutil.process_iter() if below is None else psutil.Process(below).children(recursive=True)
    for process in processes:
        with suppress(psutil.Error):
            if process.pid != os.getpid() and re.search(pattern, " ".join(process.cmdline())):
                found.append(process.pid)
    return found


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in list(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
