"""Follow a run: a live display on a terminal, plain lines otherwise. Used by run, resume, rerun."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import click

from esap_wf import flow
from esap_wf.cli.output import Answer, colour
from esap_wf.cli.text import failure_text, progress_text
from esap_wf.errors import RefusedError
from esap_wf.models.run import Phase, State
from esap_wf.runs import states
from esap_wf.runs.store import Run

#: Seconds between two plain lines of progress.
PLAIN_EVERY = 5.0


class _Detached(Exception):
    """Who only looked on has left."""


class _Stops:
    """
    Ctrl-C: the first asks for a clean stop, the second stops at once, the third leaves.

    A run that another command started is left alone: the first leaves.
    """

    def __init__(self, run: Run, answer: Answer, own: bool) -> None:
        self.run, self.answer, self.own, self.count = run, answer, own, 0

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if not self.own and self.count == 1:
            raise _Detached
        if self.count > 2 or not self.own:
            raise KeyboardInterrupt
        try:
            flow.cancel(self.run, drain=self.count == 1)
        except RefusedError:
            return
        self.answer.say("stopping: running jobs end first (Ctrl-C again stops at once)" if self.count == 1 else "stopping at once")


def follow(run: Run, answer: Answer, own: bool = True) -> tuple[State, bool]:
    """
    Wait until the run has ended.

    Parameters
    ----------
    run : Run
    answer : Answer
    own : bool
        Whether this command started or resumed it: Ctrl-C stops only what is one's own.

    Returns
    -------
    state : State
    interrupted : bool
        Whether Ctrl-C was pressed.
    """
    stops = _Stops(run, answer, own)
    before = signal.signal(signal.SIGINT, stops)
    try:
        terminal = sys.stderr.isatty() and not answer.as_json
        state = _live(run) if terminal else _plain(run, answer)
    except _Detached:
        answer.say(f"left alone: another command started {run.id}, it goes on; to stop it: esap-wf cancel {run.id}")
        return run.observe(), True
    finally:
        signal.signal(signal.SIGINT, before)
    if state.failures and state.phase is Phase.ERROR:
        answer.say(failure_text(state.failures[0]))
    elif state.phase is not Phase.COMPLETED:
        answer.say(f"{state.phase}: {state.reason}")
    return state, stops.count > 0


def _plain(run: Run, answer: Answer) -> State:
    told: dict[str, Any] = {"phase": None, "at": 0.0, "text": ""}

    def seen(state: State) -> None:
        moment, text = time.monotonic(), progress_text(state.progress)
        ended = state.phase in states.FINAL
        if state.phase is not told["phase"]:
            answer.say(f"{state.phase}" + (f": {state.reason}" if state.reason and not ended else ""))
            told.update(phase=state.phase, at=moment)
        elif text != told["text"] and moment - told["at"] >= PLAIN_EVERY:
            answer.say(text)
            told.update(at=moment, text=text)

    return flow.follow(run, seen)


def _live(run: Run) -> State:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=not colour(sys.stderr))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {"": bars.add_task("PENDING", total=None)}

        def seen(state: State) -> None:
            p = state.progress
            text = state.phase + (f" {click.style(str(p.jobs_failed) + ' failed', fg='red')}" if p.jobs_failed else "")
            bars.update(tasks[""], description=text, total=p.jobs_total or None, completed=p.jobs_done)
            for step in state.steps:
                if step.name not in tasks:
                    tasks[step.name] = bars.add_task(f"  {step.name}", total=step.total)
                bars.update(tasks[step.name], total=step.total, completed=step.done)

        return flow.follow(run, seen)
