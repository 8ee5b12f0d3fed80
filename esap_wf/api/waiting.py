"""Wait for a run in a script or a notebook: show how far it is, and be true about what an interrupt does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esap_wf import config as configuration
from esap_wf import flow
from esap_wf.api import display
from esap_wf.models.run import State
from esap_wf.runs import states
from esap_wf.runs.store import Run


def wait(run: Run, progress: bool | None = None) -> State:
    """
    Wait until a run has ended or nobody works on it.

    Parameters
    ----------
    run : Run
    progress : bool, optional
        As in `esap_wf.run`.

    Raises
    ------
    KeyboardInterrupt
        The caller was interrupted; the run has a session of its own and was not. The text says so.
    """
    shown = display.of(run, progress)
    try:
        return flow.follow(run, shown)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_left(run)) from None
    finally:
        shown.close()


def _left(run: Run) -> str:
    state = run.observe()
    if state.phase in states.FINAL:
        return f"run {run.id} is {state.phase}"
    call = f"{run.id!r}{_store(run.store.root)}"
    return f"run {run.id} goes on: esap_wf.follow({call}) waits for it again, esap_wf.cancel({call}) stops it"


def _store(root: Path) -> str:
    """The store as an argument, where it isn't the one that is taken without it."""
    return "" if configuration.load().store == root else f", store={str(root)!r}"


@contextmanager
def interrupted(store: Path) -> Iterator[None]:
    """An interrupt while a run is made: whether there is one by now can't be known here."""
    try:
        yield
    except KeyboardInterrupt:
        call = f"esap_wf.list({_store(store).removeprefix(', ')})"
        raise KeyboardInterrupt(
            f"interrupted while the run was started: {call} shows whether there is one"
        ) from None
