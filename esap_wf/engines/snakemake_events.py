"""Snakemake's events (as its logger plug-in writes them) in the words of `esap_wf.models.run.Event`.

Imported by esap_wf.engines.snakemake.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from esap_wf.engines import following
from esap_wf.models.run import Event, Reason

#: Snakemake's target rule: a name by convention, it does no work.
TARGETS = {"all"}


def unit_of(wildcards: dict[str, str] | None) -> str | None:
    """``7`` for one wildcard, ``particle=gamma,block=7`` for several, None for none."""
    if not wildcards:
        return None
    if len(wildcards) == 1:
        return next(iter(wildcards.values()))
    return ",".join(f"{k}={v}" for k, v in wildcards.items())


class SnakemakeEvents:
    """
    Follow the plug-in's file.

    Parameters
    ----------
    path : Path
        File of one epoch; need not exist yet.
    run : Path
        Run directory: log paths are told relative to it.
    epoch : int
    told : int
        Up to here everything was told before; it is read again for what later lines refer to.
    base : str
        Working directory of the engine, relative to the run directory.
    """

    def __init__(self, path: Path, run: Path, epoch: int, told: int = 0, base: str = "") -> None:
        self.path, self.run, self.epoch, self.told, self.base = path, run, epoch, told, base
        self.offset = 0
        self._decode = msgspec.json.Decoder().decode
        self._jobs: dict[int, dict[str, Any]] = {}

    def read(self) -> list[Event]:
        """Events of the complete lines since the last call; lines that aren't JSON are passed over. Empty only if there are no more."""
        events: list[Event] = []
        before = -1
        while not events and before < self.offset:  # a part without any event is not the end
            before = self.offset
            events = self._part()
        return events

    def _part(self) -> list[Event]:
        events = []
        for line in following.lines_after(self.path, self.offset):
            self.offset += len(line)
            try:
                said = self._decode(line)
                told = getattr(self, "_" + said["event"], None)
                event = told(said["t"], said) if told else None
            except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
                continue
            if event is not None and self.offset > self.told:
                events.append(msgspec.structs.replace(event, source=self.offset))
        return events

    def _run_info(self, t: float, said: dict[str, Any]) -> Event:
        totals = {rule: n for rule, n in said["stats"].items() if rule not in TARGETS}
        return Event(t=t, kind="plan", epoch=self.epoch, totals=totals)

    def _workflow_started(self, t: float, said: dict[str, Any]) -> Event:
        return Event(t=t, kind="engine", epoch=self.epoch, host=said.get("host"), detail=f"Snakemake {said.get('snakemake')} started")

    def _job_info(self, t: float, said: dict[str, Any]) -> Event | None:
        if said["rule"] in TARGETS:
            return None
        logs = [self._relative(p) for p in said.get("log") or []]
        job = {
            "step": said["rule"], "unit": unit_of(said.get("wildcards")), "job": str(said["jobid"]),
            "attempt": said.get("attempt"), "log": logs[0] if logs else None,
        }  # fmt: skip
        self._jobs[said["jobid"]] = job
        return Event(t=t, kind="start", epoch=self.epoch, **job)

    def _job_finished(self, t: float, said: dict[str, Any]) -> Event | None:
        job = self._jobs.pop(said["jobid"], None)
        return Event(t=t, kind="done", epoch=self.epoch, **job) if job else None

    def _job_error(self, t: float, said: dict[str, Any]) -> Event | None:
        if said["rule"] in TARGETS:
            return None
        job = self._jobs.get(said["jobid"]) or {"step": said["rule"], "unit": unit_of(said.get("wildcards")), "job": str(said["jobid"])}
        if said.get("log"):
            job = job | {"log": self._relative(said["log"][0])}
        kind, text = said.get("kind"), said.get("reason")
        reasons = {"exit": Reason.EXIT_CODE, "signal": Reason.SIGNAL, "missing_output": Reason.MISSING_OUTPUT}
        reason = reasons.get(str(kind), Reason.UNKNOWN)
        for word, meaning in (("TIMEOUT", Reason.TIMEOUT), ("OUT_OF_MEMORY", Reason.OUT_OF_MEMORY), ("NODE_FAIL", Reason.NODE_FAIL)):
            if text and word in text:
                reason = meaning
        return Event(t=t, kind="failed", epoch=self.epoch, reason=reason, exit_code=said.get("exit_code"), detail=text, **job)

    def _error(self, t: float, said: dict[str, Any]) -> Event:
        return Event(t=t, kind="engine", epoch=self.epoch, reason=Reason.ENGINE, detail=said.get("message"))

    def _relative(self, log: str) -> str:
        log = log.removeprefix(f"{self.run}/")
        return f"{self.base}/{log}" if self.base and not log.startswith(("/", f"{self.base}/")) else log
