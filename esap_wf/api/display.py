"""
How far a run is: an output of a notebook that is replaced, a line of a terminal, or lines.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from html import escape
from typing import Any

from esap_wf.formats.printing import one_line
from esap_wf.formats.summaries import clipped, page, progress_text
from esap_wf.models.run import State
from esap_wf.runs import states
from esap_wf.runs.store import Run


class Display:
    """
    Shows states, one after the other.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self.name = run.id

    def __call__(self, state: State) -> None:
        """Show one."""

    def close(self) -> None:
        """No more will come."""

    def line(self, state: State) -> str:
        """A state in one line."""
        reason = f": {state.reason}" if state.reason else ""
        return one_line(f"run {self.name} {state.phase}, {progress_text(state.progress)}{reason}")


class Plain(Display):
    """A line for each phase."""

    phase = ""

    def __call__(self, state: State) -> None:
        """Show one."""
        if state.phase != self.phase:
            self.phase = state.phase
            _write(self.line(state) + "\n")


class Terminal(Display):
    """One line that is written anew."""

    width = 0

    def __call__(self, state: State) -> None:
        """Show one."""
        text = self.line(state)[: shutil.get_terminal_size().columns - 1]
        _write("\r" + text.ljust(self.width))
        self.width = len(text)

    def close(self) -> None:
        """The last one stays."""
        if self.width:
            _write("\n")


class Notebook(Display):
    """
    An output of a cell.

    Parameters
    ----------
    run : Run
    show : callable
        ``IPython.display.display``.
    """

    def __init__(self, run: Run, show: Callable[..., Any]) -> None:
        super().__init__(run)
        self._show, self._handle = show, None

    def __call__(self, state: State) -> None:
        """Show one."""
        shown = _Shown(self.line(state), state)
        if self._handle is None:
            self._handle = self._show(shown, display_id=True)
        else:
            self._handle.update(shown)


class _Shown:
    """A state as notebooks show it: as HTML where they can."""

    def __init__(self, line: str, state: State) -> None:
        self._line, self._state = line, state

    def __repr__(self) -> str:
        return self._line

    def _repr_html_(self) -> str:
        p, ended = self._state.progress, self._state.phase in states.FINAL
        total, done = (p.jobs_total, p.jobs_done) if p.jobs_total else (p.units_total, p.units_done)
        bar = "" if ended else f'<progress max="{max(total, 1)}" value="{done}"></progress> '
        steps = [
            (s.name, f"{s.done}/{s.total}", f"{s.failed} failed" if s.failed else "")
            for s in self._state.steps
        ]
        failed = "".join(
            f"<p>{escape(clipped(f'{f.step} {f.unit or str()}: {f.detail or f.reason}'))}</p>"
            for f in self._state.failures[:3]
        )
        return f"<div>{bar}{escape(one_line(self._line))}{page(steps, ()) if steps else ''}{failed}</div>"


def of(run: Run, progress: bool | None) -> Display:
    """
    The display for where this process shows things.

    Parameters
    ----------
    run : Run
    progress : bool, optional
        Whether anything is shown; without it in a notebook and on a terminal only.
    """
    show = _notebook() if progress is not False else None
    if show is not None:
        return Notebook(run, show)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if progress is False or (progress is None and not terminal):
        return Display(run)
    return Terminal(run) if terminal else Plain(run)


def _notebook() -> Callable[..., Any] | None:
    """How this process shows something in a notebook; None if it is none. IPython is there already then."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    from importlib import import_module

    show: Callable[..., Any] = import_module("IPython.display").display
    return show


def _write(text: str) -> None:
    """On stderr; where nothing can be written, the run is what matters."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
