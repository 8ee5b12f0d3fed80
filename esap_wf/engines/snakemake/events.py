"""Snakemake's events (as its logger plug-in writes them) in the words of `esap_wf.models.run.Event`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.engines import following
from esap_wf.engines.snakemake import printed
from esap_wf.engines.snakemake.reasons import cause
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


#: What executors say of a job that a workload manager has ended.
_STATES = (
    ("TIMEOUT", Reason.TIMEOUT),
    ("DEADLINE", Reason.PLACE),
    ("OUT_OF_MEMORY", Reason.OUT_OF_MEMORY),
    ("NODE_FAIL", Reason.NODE_FAIL),
    ("BOOT_FAIL", Reason.BOOT_FAIL),
    ("PREEMPTED", Reason.PREEMPTED),
    ("CANCELLED", Reason.CANCELLED),
)


class SnakemakeEvents(following.Record):
    """
    Follow the plug-in's file.

    Parameters
    ----------
    path : Path
        File of one epoch; need not exist yet.
    run : Path
        Run directory: paths of logs are relative to it.
    epoch : int
    reported : int
        See `following.Record`.
    base : str
        Working directory of the engine, relative to the run directory.
    targets : collection of str
        Further rules that do no work.
    """

    def __init__(
        self,
        path: Path,
        run: Path,
        epoch: int,
        reported: int = 0,
        base: str = "",
        targets: Collection[str] = (),
    ) -> None:
        super().__init__(path, reported)
        self.run, self.epoch, self.base = run, epoch, base
        self._targets = TARGETS.union(targets)
        self._decode = msgspec.json.Decoder().decode
        self._jobs: dict[int, dict[str, Any]] = {}
        self._failed: set[int] = set()
        self._printed: dict[int, str | None] = {}

    def events_of(self, line: bytes) -> Iterable[Event]:
        """What a line tells; none of one that isn't JSON."""
        try:
            entry = self._decode(line)
            event_of = getattr(self, "_" + entry["event"], None)
            event = event_of(entry["t"], entry) if event_of else None
        except (*files.BROKEN, KeyError, TypeError, AttributeError):
            return []
        return [event] if event is not None else []

    def submitted(self) -> list[Event]:
        """Jobs that were submitted to a workload manager and of which no end was told so far."""
        return [
            Event(t=0.0, kind="start", epoch=self.epoch, **job)
            for number, job in self._jobs.items()
            if job.get("batch") and number not in self._failed
        ]

    def _run_info(self, t: float, entry: dict[str, Any]) -> Event:
        totals = {rule: n for rule, n in entry["stats"].items() if rule not in self._targets}
        return Event(t=t, kind="plan", epoch=self.epoch, totals=totals)

    def _workflow_started(self, t: float, entry: dict[str, Any]) -> Event:
        if entry.get("directory"):  # a Snakefile may say where it works
            worked, real = str(entry["directory"]), os.path.realpath(self.run)
            self.base = "" if worked == real else worked.removeprefix(f"{real}/")
        return Event(
            t=t,
            kind="engine",
            epoch=self.epoch,
            host=entry.get("host"),
            detail=f"Snakemake {entry.get('snakemake')} started",
        )

    def _job_info(self, t: float, entry: dict[str, Any]) -> Event | None:
        if entry["rule"] in self._targets:
            return None
        logs = [self._relative(p) for p in entry.get("log") or []]
        job = {
            "step": entry["rule"],
            "unit": unit_of(entry.get("wildcards")),
            "job": str(entry["jobid"]),
            "attempt": entry.get("attempt"),
            "log": logs[0] if logs else None,
        }
        self._jobs[entry["jobid"]] = job
        self._failed.discard(entry["jobid"])
        self._printed.pop(entry["jobid"], None)
        return Event(t=t, kind="start", epoch=self.epoch, **job)

    def _job_submitted(self, t: float, entry: dict[str, Any]) -> None:
        """To a workload manager: its id of the job, and the file into which it prints what the job says."""
        if job := self._jobs.get(entry["jobid"]):
            job["batch"] = str(entry["external_id"])
            self._printed[entry["jobid"]] = self._relative(entry["log"]) if entry.get("log") else None

    def _job_finished(self, t: float, entry: dict[str, Any]) -> Event | None:
        job = self._jobs.pop(entry["jobid"], None)
        return Event(t=t, kind="done", epoch=self.epoch, **job) if job else None

    def _job_error(self, t: float, entry: dict[str, Any]) -> Event | None:
        """A failed job; the reason is looked for in what was printed if its log says nothing."""
        if entry["rule"] in self._targets:
            return None
        job = self._jobs.get(entry["jobid"]) or {
            "step": entry["rule"],
            "unit": unit_of(entry.get("wildcards")),
            "job": str(entry["jobid"]),
        }
        if entry.get("log"):
            job = job | {"log": self._relative(entry["log"][0])}
        kind, text = entry.get("kind"), entry.get("reason")
        reasons = {"exit": Reason.EXIT_CODE, "signal": Reason.SIGNAL, "missing_output": Reason.MISSING_OUTPUT}
        reason = reasons.get(str(kind), Reason.UNKNOWN)
        refused = printed.refusal(text or "")
        if refused:
            reason, text = Reason.PLACE, refused
        for word, meaning in _STATES if not refused else ():
            if text and word in text:
                reason = meaning
        if entry.get("external_id"):
            job = job | {"batch": str(entry["external_id"])}
        outer = self._printed.get(entry["jobid"])
        if outer and self._holds(outer):
            said = printed.failure(self.run / outer)
            if said is not None and reason is Reason.UNKNOWN:
                reason, entry["exit_code"], text = said
            if not self._holds(job.get("log")):
                job = job | {"log": outer}
        elif reason in (Reason.EXIT_CODE, Reason.UNKNOWN) and not self._holds(job.get("log")):
            alone = not any(
                j
                for number, j in self._jobs.items()
                if number != entry["jobid"] and number not in self._failed
            )
            text = cause(self.run, entry["rule"], entry.get("exit_code"), alone) or text
        self._failed.add(entry["jobid"])
        return Event(
            t=t,
            kind="failed",
            epoch=self.epoch,
            reason=reason,
            exit_code=entry.get("exit_code"),
            detail=text,
            **job,
        )

    def _holds(self, log: str | None) -> bool:
        """Whether a job's own log says anything."""
        try:
            return bool(log and (self.run / log).stat().st_size)
        except OSError:
            return False

    def _error(self, t: float, entry: dict[str, Any]) -> Event:
        return Event(t=t, kind="engine", epoch=self.epoch, reason=Reason.ENGINE, detail=entry.get("message"))

    def _relative(self, log: str) -> str:
        log = log.removeprefix(f"{self.run}/")
        return f"{self.base}/{log}" if self.base and not log.startswith(("/", f"{self.base}/")) else log
