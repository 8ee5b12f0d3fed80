"""What ``steps.sh`` tells, in the words of `esap_wf.models.run.Event`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from esap_wf.engines import following
from esap_wf.models.run import Event, Reason


class StepEvents(following.Record):
    """
    Follow the file of one epoch: a line for the start and one for the end of each step.

    Parameters
    ----------
    path, run : Path
        The file, which need not exist yet; the run directory.
    epoch : int
    reported : int
        See `following.Record`.
    why : callable
        Why a step failed: run directory, step, exit code → one line.
    """

    def __init__(
        self, path: Path, run: Path, epoch: int, reported: int, why: Callable[[Path, str, int], str]
    ) -> None:
        super().__init__(path, reported)
        self.run, self.epoch, self.why = run, epoch, why

    def events_of(self, line: bytes) -> Iterable[Event]:
        """What a line tells; none of one that was not written by the script."""
        time, kind, step, code = (*line.decode("utf-8", "replace").rstrip("\n").split("\t"), "", "", "", "")[
            :4
        ]
        try:
            t = float(time.replace(",", "."))
            exit_code = int(code) if code else None
        except ValueError:
            return []
        return [self._event(t, kind, step, exit_code)] if kind in {"start", "end"} and step else []

    def _event(self, t: float, kind: str, step: str, code: int | None) -> Event:
        log = f"logs/{step}.log"
        if kind == "start":
            return Event(t=t, kind="start", epoch=self.epoch, step=step, log=log)
        if not code:
            return Event(t=t, kind="done", epoch=self.epoch, step=step, log=log, exit_code=code)
        reason = Reason.SIGNAL if code > 128 else Reason.EXIT_CODE
        detail = self.why(self.run, step, code)
        return Event(
            t=t,
            kind="failed",
            epoch=self.epoch,
            step=step,
            log=log,
            exit_code=code,
            reason=reason,
            detail=detail,
        )
