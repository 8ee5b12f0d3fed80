"""Follow a run: a live display on a terminal, lines otherwise."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from esap_wf import flow
from esap_wf.cli.output import Answer, colour
from esap_wf.cli.text import failure_text, in_force, progress_text, reason_lines, what_next
from esap_wf.cli.times import lasting
from esap_wf.errors import EsapError, RefusedError
from esap_wf.formats import reading
from esap_wf.formats.printing import one_line, printable
from esap_wf.models.run import Phase, State
from esap_wf.running import control
from esap_wf.runs import states
from esap_wf.runs.store import Run

#: Seconds between two lines of progress, and between two that something still goes on.
LINE_EVERY, STILL_EVERY = 5.0, 60.0


class _Detached(Exception):
    """Who only looked on has left."""


class _Stops:
    """
    Ctrl-C: the first asks for a clean stop, the second stops at once, the third leaves.

    A run that another command started is left alone: the first leaves. `tell` is where the answer is seen: a
    live display has its own.
    """

    def __init__(self, run: Run, answer: Answer, own: bool) -> None:
        self.run, self.own, self.count = run, own, 0
        self.tell: Callable[[str], None] = answer.say

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if not self.own and self.count == 1:
            raise _Detached
        if self.count > 2 or not self.own:
            raise KeyboardInterrupt
        try:
            state = control.cancel(self.run, drain=self.count == 1)
        except RefusedError:
            return
        self.tell(
            stopping_text(in_force(self.run).engine.name, state.phase)
            if self.count == 1
            else "stopping at once"
        )


def stopping_text(engine: str, phase: Phase) -> str:
    """The answer to the first Ctrl-C: what happens now, with this engine."""
    if phase in {Phase.PENDING, Phase.QUEUED}:
        return "stopping: the engine has not started yet (Ctrl-C again stops at once)"
    from esap_wf import plugins

    try:
        plugin = plugins.one("esap_wf.engines", engine)
        drains, title = plugin.stop_signal(True) is not None, plugin.title
    except EsapError:
        return "stopping (Ctrl-C again stops at once)"
    if drains:
        return "stopping: running jobs end first (Ctrl-C again stops at once)"
    return (
        f"stopping: running jobs are cancelled, because {title} can't let them end first; finished work "
        "is kept"
    )


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
        state = _live(run, stops) if terminal else _lines(run, answer)
    except _Detached:
        answer.say(
            f"{run.id} goes on, because another command started it; to stop it: esap-wf cancel {run.id}"
        )
        return run.observe(), True
    finally:
        signal.signal(signal.SIGINT, before)
    if state.failures and state.phase is Phase.ERROR:
        answer.say(failure_text(state.failures[0], run))
    elif state.phase is not Phase.COMPLETED and answer.as_json:  # people get it with the answer
        answer.say(f"{state.phase}: {state.reason}")
    if after := what_next(run, state):
        answer.say(after)
    return state, stops.count > 0


def _busy(state: State) -> str:
    """What is done before the engine starts: an environment is built, an image is made ready."""
    return state.reason if state.phase in {Phase.PENDING, Phase.QUEUED} else ""


def _waits(state: State) -> str:
    """What a run waits for while its engine works."""
    return "; ".join(reason_lines(state)) if state.phase is Phase.EXECUTING else ""


def last_line(path: Path) -> str:
    """The last line of a log that is being written, in one line."""
    lines = reading.tail(path, 2000).splitlines()
    return one_line(printable(next((line for line in reversed(lines) if line.strip()), "")))


class Lines:
    """
    Lines for a log: phases, what is made ready first and how long that took, progress.

    Parameters
    ----------
    say : callable
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say, self.clock = say, clock
        self._phase: Phase | None = None
        self._at, self._text = 0.0, ""
        self._doing, self._since, self._still = "", 0.0, 0.0
        self._waits = ""

    def __call__(self, state: State) -> None:
        """Look at a state, whether it has changed or not."""
        now, text, doing = self.clock(), progress_text(state.progress), _busy(state)
        if doing != self._doing:
            if self._doing:
                self.say(f"that took {lasting(now - self._since)}")
            self._doing, self._since, self._still = doing, now, now
            if doing:
                self.say(f"{state.phase}: {doing}")
                self._phase, self._at = state.phase, now
        elif doing and now - self._still >= STILL_EVERY:
            self.say(f"still {doing.partition(':')[0]} ({lasting(now - self._since)})")
            self._still = now
        if state.phase is not self._phase:
            ended = state.phase in states.FINAL
            self.say(f"{state.phase}" + (f": {state.reason}" if state.reason and not ended else ""))
            self._phase, self._at, self._waits = state.phase, now, _waits(state)
        elif (waits := _waits(state)) != self._waits and now - self._at >= LINE_EVERY:
            if waits:
                self.say(waits)
            self._at, self._waits = now, waits
        elif text != self._text and now - self._at >= LINE_EVERY and not doing:
            self.say(text)
            self._at, self._text = now, text


def _lines(run: Run, answer: Answer) -> State:
    return flow.follow(run, looked=Lines(answer.say))


def _live(run: Run, stops: _Stops) -> State:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    log = run.dir / "logs" / "software.log"

    class Display(Progress):
        """Bars; below them what is made ready before the engine starts, and the last line of its log."""

        doing = waits = ""

        def get_renderables(self) -> Any:
            yield self.make_tasks_table([t for t in self.tasks if t.visible])
            if self.doing:
                yield Text(one_line(self.doing), overflow="fold")
                yield Text(f"  {last_line(log)}", style="dim", no_wrap=True, overflow="ellipsis")
            if self.waits:
                yield Text(one_line(self.waits), overflow="fold")

    console = Console(stderr=True, no_color=not colour(sys.stderr))
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tell, began, doing = stops.tell, 0.0, ""
    with Display(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bars:
        tasks: dict[str, Any] = {"": bars.add_task("PENDING", total=None)}

        def above(text: str) -> None:
            # what is printed through the display stays above it; what is written past it would be erased
            console.print(Text(printable(text)))

        def seen(state: State) -> None:
            nonlocal began, doing
            p, busy = state.progress, _busy(state)
            if busy != doing:
                if doing:
                    above(f"{doing.partition(':')[0]}: took {lasting(time.monotonic() - began)}")
                began, doing = time.monotonic(), busy
            bars.doing, bars.waits = busy, _waits(state)
            stopping = ", stopping" if stops.count and state.phase in states.ACTIVE else ""
            text = f"{state.phase}{stopping}" + (f", {p.jobs_failed} failed" if p.jobs_failed else "")
            bars.update(tasks[""], description=text, total=p.jobs_total or None, completed=p.jobs_done)
            room = max(3, console.height - 6)
            shown = {
                s.name
                for s in sorted(state.steps, key=lambda s: (not s.running, not s.failed, s.done >= s.total))[
                    :room
                ]
            }
            for step in state.steps:
                if step.name not in tasks:
                    tasks[step.name] = bars.add_task(f"  {one_line(step.name)[:40]}", total=step.total)
                bars.update(
                    tasks[step.name], total=step.total, completed=step.done, visible=step.name in shown
                )

        stops.tell = above
        try:
            return flow.follow(run, seen)
        finally:
            stops.tell = tell
