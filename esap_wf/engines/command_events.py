"""What ``steps.sh`` tells, in the words of `esap_wf.models.run.Event`.

Imported by esap_wf.engines.command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from esap_wf.engines import following
from esap_wf.models.run import Event, Reason


class StepEvents:
    """
    Follow the file of one epoch: a line for the start and one for the end of each step.

    Parameters
    ----------
    path, run : Path
        The file, which need not exist yet; the run directory.
    epoch : int
    offset : int
        Up to here everything was told before.
    why : callable
        Why a step failed: run directory, step, exit code → one line.
    """

    def __init__(self, path: Path, run: Path, epoch: int, offset: int, why: Callable[[Path, str, int], str]) -> None:
        self.path, self.run, self.epoch, self.offset, self.why = path, run, epoch, offset, why

    def read(self) -> list[Event]:
        """Events of the complete lines since the last call."""
        events: list[Event] = []
        for line in following.lines_after(self.path, self.offset):
            self.offset += len(line)
            time, kind, step, code = (*line.decode("utf-8", "replace").rstrip("\n").split("\t"), "", "", "", "")[:4]
            try:
                t = float(time.replace(",", "."))
                exit_code = int(code) if code else None
            except ValueError:
                continue
            if kind in {"start", "end"} and step:
                events.append(self._event(t, kind, step, exit_code))
        return events

    def _event(self, t: float, kind: str, step: str, code: int | None) -> Event:
        log = f"logs/{step}.log"
        if kind == "start":
            return Event(t=t, kind="start", epoch=self.epoch, step=step, log=log, source=self.offset)
        if not code:
            return Event(t=t, kind="done", epoch=self.epoch, step=step, log=log, exit_code=code, source=self.offset)
        reason = Reason.SIGNAL if code > 128 else Reason.EXIT_CODE
        detail = self.why(self.run, step, code)
        return Event(
            t=t, kind="failed", epoch=self.epoch, step=step, log=log, exit_code=code, reason=reason, detail=detail, source=self.offset
        )
