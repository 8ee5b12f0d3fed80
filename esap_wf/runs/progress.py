"""Counts from ``events.jsonl``. The supervisor folds and writes the checkpoint, observers fold the tail.

The fold is a function of the checkpoint and the lines: however the log is cut, the result is the same. It
keeps no set of all units (a campaign has 10^6), only the keys of jobs that run now, of jobs that failed and
of the last ones done, so a job is counted once as long as an engine does not start again what was done long
before: one that begins from nothing says so (`anew`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from esap_wf.models.run import State
from esap_wf.runs.event_lines import complete_lines
from esap_wf.runs.folding import SHOWN, Folding

__all__ = ["SHOWN", "fold", "follow"]


def fold(state: State, lines: Iterable[bytes], unit_steps: list[str] | None = None) -> State:
    """
    Fold event lines into the counts of a state.

    Parameters
    ----------
    state : State
        Checkpoint; not changed.
    lines : iterable of bytes
        Lines with their newline, from byte `state.offset` on. One without a newline is not complete: folding
        stops before it.
    unit_steps : list of str, optional
        Steps along the workflow's axis, whose jobs are the units. Remembered in the checkpoint; without it
        every job is a unit.

    Returns
    -------
    State
        New counts, failures and offset; phase, rev and times as they were.
    """
    folding = Folding(state)
    for raw in lines:
        if not raw.endswith(b"\n"):
            break
        folding.line(raw)
        folding.offset += len(raw)
    return folding.result(state, unit_steps if unit_steps is not None else state.fold.unit_steps)


def follow(state: State, path: Path, unit_steps: list[str] | None = None) -> State:
    """
    Fold what was appended to a log since the checkpoint.

    Parameters
    ----------
    state : State
        Checkpoint.
    path : Path
        ``events.jsonl``.
    unit_steps : list of str, optional
        As in `fold`.

    Returns
    -------
    State
        The same object if there is nothing new.
    """
    try:
        if path.stat().st_size <= state.offset:
            return state
    except FileNotFoundError:
        return state
    return fold(state, complete_lines(path, state.offset), unit_steps)
