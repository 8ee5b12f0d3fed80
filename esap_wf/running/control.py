"""Steer a run from outside of it: start a supervisor, resume, cancel."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from esap_wf import files
from esap_wf.errors import Problem, RefusedError
from esap_wf.models.run import Phase, State, now
from esap_wf.runs import lease, processes, states
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run

logger = logging.getLogger(__name__)

#: Supervisors that `resume` starts at most, one after the other, while the last owner of an ended run goes.
RETRIES = 5


def spawn(run: Run, revision: Path | None = None) -> subprocess.Popen[bytes]:
    """
    Start the run's supervisor, detached: it outlives this process and its terminal. `revision` is what it
    shall go on by (`resume`).

    Raises
    ------
    RefusedError
        Its log can't be written.
    """
    path = run.dir / "logs" / "supervisor.log"
    try:
        log = path.open("ab")
    except OSError as error:
        raise files.explain(error, path) from error
    with log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "esap_wf.running.supervisor",
                str(run.store.root),
                run.id,
                *filter(None, [run.presumed_dead()]),
                *(["--revision", str(revision)] if revision else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=run.dir,
            start_new_session=True,
            env={**os.environ, processes.RUN_VARIABLE: run.id},
        )


def resume(run: Run, waiting: Callable[[str], None] | None = None, revision: Path | None = None) -> bool:
    """
    Go on with a run that failed, was stopped, or lost its supervisor.

    Parameters
    ----------
    run : Run
    waiting : callable, optional
        Told that an owner which can't be asked from here is watched, see `Run.observe`. Without it such a run
        is refused at once.
    revision : Path, optional
        A new plan for it, from `esap_wf.running.revisions.stage`: the supervisor that becomes its owner takes
        it over, or leaves it where it is.

    Returns
    -------
    bool
        False if another command resumes it at the same moment, and was quicker.

    Raises
    ------
    RefusedError
        It is at work, or COMPLETED.
    """
    state = run.observe(waiting)
    if state.phase is Phase.COMPLETED:
        raise RefusedError(
            f"run {run.id} is COMPLETED",
            [Problem(run.id, "there is nothing to resume", f"esap-wf rerun {run.id}")],
        )
    if state.phase in states.ACTIVE:
        raise RefusedError(
            f"run {run.id} is {state.phase}",
            [Problem(run.id, "it is still under way", f"esap-wf status {run.id}")],
        )
    logger.info("run %s is %s: a supervisor is started (%s)", run.id, state.phase, state.reason)
    run.clear_stop()
    before, epoch = run.state().rev, lease.latest_epoch(run)
    # the supervisor watches such an owner itself
    until = time.monotonic() + 30 + (lease.TTL if lease.alive(run) is None else 0)
    for _ in range(RETRIES):
        process = spawn(run, revision) if revision else spawn(run)
        while time.monotonic() < until:
            if run.state().rev > before or (process.poll() is not None and lease.alive(run) is not True):
                break
            time.sleep(0.02)
        # refused, but nobody else has taken it: the last owner had written the final state and was about to
        # go
        if process.poll() != 0 or lease.latest_epoch(run) > epoch or run.state().phase not in states.FINAL:
            break
    owner = run.owner_lease()
    return owner is None or owner.holder.pid == process.pid


def ask_to_stop(run: Run, drain: bool) -> None:
    """Leave word that this user wants a run to stop, for the supervisor that it has or gets."""
    run.request_stop(StopRequest(at=now(), by=processes.user(), drain=drain))


def cancel(run: Run, drain: bool = False, waiting: Callable[[str], None] | None = None) -> State:
    """
    Stop a run: at once, or after its running jobs have ended.

    Parameters
    ----------
    run : Run
    drain : bool
    waiting : callable, optional
        Told that an owner which can't be asked from here is watched, see `Run.observe`. Without it only the
        request is left.

    Raises
    ------
    RefusedError
        It has already ended.
    """
    state = run.observe()
    if state.phase in states.FINAL:
        raise RefusedError(f"run {run.id} is {state.phase}", [Problem(run.id, "it has already ended")])
    ask_to_stop(run, drain)
    if waiting:
        state = run.observe(waiting)  # after the request: an owner that lives is stopping meanwhile
    if state.phase in {Phase.UNKNOWN, Phase.HELD, Phase.SUSPENDED} or (
        state.phase is Phase.PENDING and lease.alive(run) is False
    ):
        spawn(run)  # a supervisor that finds the request ends the survivors and writes the last state
    return state
