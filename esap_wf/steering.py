"""Steer runs that are there: stop them, go on with one.

Each waits for what comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from esap_wf import flow
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError
from esap_wf.models.run import Phase
from esap_wf.planning import joining
from esap_wf.running import control
from esap_wf.runs import states
from esap_wf.runs.store import Run

Say = Callable[[str], None]


def cancel(runs: Iterable[Run], drain: bool, wait: float, say: Say) -> list[tuple[Run, Phase]]:
    """
    Stop runs, and wait until they have stopped.

    Parameters
    ----------
    runs : iterable of Run
    drain : bool
        Running jobs end first.
    wait : float
        Seconds to wait at most, for all of them.
    say : callable
        Told of an owner that is watched, see `Run.observe`.

    Returns
    -------
    list of (Run, Phase)
        The phase that each has come to.

    Raises
    ------
    RefusedError
        Some have already ended; the others were stopped all the same.
    """
    problems, stopping = [], []
    for run in runs:
        try:
            control.cancel(run, drain, say)
            stopping.append(run)
        except RefusedError as error:
            problems += [Problem(run.id, error.message)]
    until = time.monotonic() + wait
    ended = [(run, _settled(run, until)) for run in stopping]
    if problems:
        raise RefusedError("some runs were not cancelled", problems)
    return ended


def _settled(run: Run, until: float) -> Phase:
    """
    The phase a cancelled run comes to: a lost one gets a supervisor that ends it, so UNKNOWN is waited for
    too.
    """
    while True:
        state = flow.follow(run, until=until)
        if state.phase not in {Phase.UNKNOWN, Phase.HELD, Phase.SUSPENDED} or time.monotonic() >= until:
            return state.phase
        time.sleep(flow.LOOK)


def resume(run: Run, config: Config, changes: Mapping[str, Any], say: Say) -> bool:
    """
    Go on with a run.

    Parameters
    ----------
    run : Run
    config : Config
    changes : mapping
        What it shall have from now on: cores, memory, wall, software.
    say : callable
        Told what became of the changes, and of an owner that is watched.

    Returns
    -------
    bool
        False if another command resumes it at this moment.

    Raises
    ------
    RefusedError
        It is at work, or COMPLETED.
    """
    if changes and run.observe().phase in states.RESUMABLE:
        own, notes = flow.resume_by(run, joining.replanned(run, config, changes), config, say)
        for note in notes:
            say(note)
        return own
    return control.resume(run, say)
