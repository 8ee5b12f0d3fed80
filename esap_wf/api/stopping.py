"""The verb cancel, and what a script does instead of looking at a terminal: follow."""

from __future__ import annotations

import os
from collections.abc import Iterable

from esap_wf import steering
from esap_wf.api.result import Result, RunLike, config_of, found, warn
from esap_wf.api.tables import RunSummary
from esap_wf.api.waiting import wait as wait_for
from esap_wf.errors import RunFailedError
from esap_wf.models.run import Phase

Folder = str | os.PathLike[str]


def cancel(
    runs: RunLike | Iterable[RunLike],
    *,
    drain: bool = False,
    wait: float = 60.0,
    store: Folder | None = None,
) -> dict[str, Phase]:
    """
    Stop runs, as ``esap-wf cancel`` does. They can be resumed.

    Parameters
    ----------
    runs : str, Result or RunSummary, or several of them
        Id, beginning of an id, name, or what another function gave.
    drain : bool
        Let running jobs end first.
    wait : float
        Seconds to wait until the runs have stopped.
    store : path, optional
        Run store.

    Returns
    -------
    dict
        The phase that each run has come to, by its id.

    Raises
    ------
    RefusedError
        Some have already ended; the others were stopped all the same.
    """
    named = [runs] if isinstance(runs, (str, Result, RunSummary)) else [*runs]
    meant = {run.id: run for run in (found(one, config_of(store, one)) for one in named)}
    return {run.id: phase for run, phase in steering.cancel(meant.values(), drain, wait, warn)}


def follow(run: RunLike, *, progress: bool | None = None, store: Folder | None = None) -> Result:
    """
    Wait for the end of a run that is there: after an interrupt, or one that was started with `detach` or by
    the command line.

    Parameters
    ----------
    run : str, Result or RunSummary
        Id, beginning of an id, name, or what another function gave.
    progress, store
        As in `run`.

    Returns
    -------
    Result

    Raises
    ------
    RunFailedError
        The run ended otherwise than COMPLETED, or nobody works on it.
    """
    meant = found(run, config_of(store, run))
    state = wait_for(meant, progress)
    if state.phase is not Phase.COMPLETED:
        raise RunFailedError(f"run {meant.id} is {state.phase}: {state.reason}")
    return Result(meant.id, meant.dir, state.phase, False)
