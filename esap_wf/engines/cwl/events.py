"""What the hook in cwltool and in Toil's workers report (``hook/sitecustomize.py``), in the words of
`esap_wf.models.run.Event`.

cwltool names jobs after their step, the second one of a step ``name_2``; Toil by file, step and index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from esap_wf import files
from esap_wf.engines import following
from esap_wf.engines.cwl import reasons
from esap_wf.models.run import Event, Reason

_NUMBERED = re.compile(r"(?P<step>.+)_(?P<number>[1-9][0-9]*)")
_LOGGED = re.compile(r"\[(?P<kind>job|step|workflow) (?P<name>[^\]]*)\] (?P<text>.*)", re.DOTALL)
_SIGNAL = re.compile(r"was terminated by signal: (?P<name>\w+)")
#: Where a message stands: schema-salad begins each of its lines with it.
_PLACE = re.compile(r"\S+:\d+:\d+:(?=\s|$)\s*")
#: A whole File in JSON, after what says enough.
_OBJECT = re.compile(r" from file object: \{.*", re.DOTALL)
_LOST_OUTPUT = ("Did not find output file", "Error collecting output", "missing expected field")


@dataclass
class Steps:
    """
    The steps of a document, as far as its files show them.

    Parameters
    ----------
    scattered : dict of str to bool
        Name of a step that runs a tool → whether it runs many times.
    placed : list of (str, str, str)
        Workflow, step and tool, as Toil names jobs after them.
    slice : str
        Which slice of a run it is, if it is one: units are only counted, so the first one of each slice would
        have the same name.
    """

    scattered: dict[str, bool] = field(default_factory=dict)
    placed: list[tuple[str, str, str]] = field(default_factory=list)
    slice: str = ""

    def of(self, name: str) -> tuple[str, str | None]:
        """
        Step and unit of a job of cwltool: ``unit_3`` is the third of ``unit``. Units are counted from 1, in
        slice 2 as ``2.1``, ``2.2`` ….
        """
        if name in self.scattered:
            return name, self._unit("1") if self.scattered[name] else None
        numbered = _NUMBERED.fullmatch(name)
        if numbered and (numbered["step"] in self.scattered or not self.scattered):
            return numbered["step"], self._unit(numbered["number"])
        return name, None

    def _unit(self, number: str) -> str:
        return f"{self.slice}.{number}" if self.slice else number

    def of_toil(self, name: str) -> tuple[str, str | None]:
        """
        Step and unit of a job of Toil: ``main.cwl.reads.tool``, and where it is scattered only
        ``main.cwl.2.tool``, counted from 0.

        Steps that run tools without an id can't be told apart then: all of them are named.
        """
        for workflow, step, _ in self.placed:
            if name.startswith(f"{workflow}.{step}."):
                return step, None
        for workflow in {w for w, _, _ in self.placed}:
            match = re.fullmatch(rf"{re.escape(workflow)}\.(?P<index>\d+(\.\d+)*)\.(?P<tool>.+)", name)
            if match is None:
                continue
            tool = "" if match["tool"].startswith("_:") else match["tool"]
            here = [
                step for w, step, t in self.placed if w == workflow and t == tool and self.scattered.get(step)
            ]
            if here:
                number = ".".join(str(int(i) + 1) for i in match["index"].split("."))
                return " or ".join(here), self._unit(number)
        return name, None


@dataclass
class _Job:
    step: str
    unit: str | None
    attempt: int = 1
    log: str | None = None
    code: int | None = None
    cpu: float | None = None
    memory: int | None = None
    signal: str | None = None
    late: bool = False
    detail: list[str] = field(default_factory=list)


class CwlEvents(following.Record):
    """
    Follow the hook's file of an epoch.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    run : Path
        Run directory: paths of logs are relative to it.
    epoch : int
    steps : Steps
    reported : int
        See `following.Record`.
    """

    def __init__(self, path: Path, run: Path, epoch: int, steps: Steps, reported: int = 0) -> None:
        super().__init__(path, reported)
        self.run, self.epoch, self.steps = run, epoch, steps
        self._moment = 0.0  # of the last line
        self.errors: list[str] = []
        self._decode = msgspec.json.Decoder().decode
        self._jobs: dict[str, _Job] = {}
        self._totals = (
            {s: 1 for s, scattered in steps.scattered.items() if not scattered} if epoch == 1 else {}
        )
        self._begun: dict[str, int] = {}
        self._drained: set[str] = set()
        self._planned: dict[str, int] | None = None

    def names(self, name: str) -> tuple[str, str | None]:
        """Step and unit of a job."""
        return self.steps.of(name)

    def events_of(self, line: bytes) -> Iterable[Event]:
        """What a line tells; none of one that isn't JSON."""
        try:
            entry = self._decode(line)
            self._moment = float(entry["t"])
            return list(self._line(self._moment, entry))
        except (*files.BROKEN, KeyError, TypeError, ValueError, AttributeError):
            return []

    def _part(self) -> list[Event]:
        self._moment = 0.0
        events = super()._part()
        if (plan := self.plan(self._moment)) and self.offset > self.reported:
            events.insert(0, plan)
        return events

    def plan(self, moment: float) -> Event | None:
        """Totals, as far as they are known by now: cwltool scatters as it goes."""
        totals = self._totals | {step: max(n, self._totals.get(step, 0)) for step, n in self._begun.items()}
        if totals == self._planned or not moment:
            return None
        self._planned = totals
        return Event(t=moment, kind="plan", epoch=self.epoch, totals=totals)

    def _line(self, t: float, entry: dict[str, Any]) -> Iterable[Event]:
        """Events of a line of the hook: of a job's process, or a message of cwltool's logger."""
        if entry.get("anew") is True:
            return [Event(t=t, kind="anew", epoch=self.epoch)]
        if "job" in entry:
            return self._process(t, str(entry["job"]), entry)
        message = str(entry["log"])
        match = _LOGGED.fullmatch(message)
        if entry.get("level") in ("ERROR", "CRITICAL") or message.startswith("Failed to evaluate expression"):
            self.errors.append(str(entry.get("raised") or message))
        if match is None:
            return []
        if match["kind"] == "step":
            self._step(match["name"], match["text"])
            return []
        return self._job(t, match["name"], match["text"]) if match["kind"] == "job" else []

    def _step(self, name: str, text: str) -> None:
        # a second one in a scattered workflow
        name = name if name in self.steps.scattered else self.steps.of(name)[0]
        if name not in self.steps.scattered:
            return  # a workflow: its own steps are reported
        if text == "start":
            self._begun[name] = self._begun.get(name, 0) + 1
        elif text == "will be skipped":
            self._totals.pop(name, None)

    def _process(self, t: float, name: str, entry: dict[str, Any]) -> list[Event]:
        """The hook saw a job's process start or end."""
        if entry.get("drained"):
            self._drained.add(name)  # it will fail, but it never ran
            return []
        if entry.get("started"):
            job = self._known(name)
            job.log = self._relative(entry.get("log_path"))
            return [Event(t=t, kind="start", epoch=self.epoch, **_names(name, job))]
        job = self._known(name)
        job.code, job.cpu, job.memory = entry.get("code"), entry.get("cpu"), entry.get("rss")
        return []

    def _job(self, t: float, name: str, text: str) -> list[Event]:
        """What cwltool logs of a job; only its end is an event."""
        if text.startswith("Using cached output"):
            # done by an earlier engine, which reported it; its step's total does not count it again
            step = self.steps.of(name)[0]
            self._begun[step] = self._begun.get(step, 1) - 1
            return []
        job = self._known(name)
        if ended := _SIGNAL.match(text):
            job.signal = ended["name"]
        elif text.startswith("exceeded time limit"):
            job.late = True
            job.detail.insert(0, text)
        elif text.startswith(("Job error", "No space left")):
            job.detail.append(text.removeprefix("Job error:").strip())
        elif text.startswith("completed "):
            self._jobs.pop(name, None)
            if name in self._drained:
                return []
            return [self._end(t, name, job, text.removeprefix("completed "))]
        return []

    def _end(self, t: float, name: str, job: _Job, status: str) -> Event:
        used: dict[str, Any] = {"cpu_seconds": job.cpu, "memory_bytes": job.memory}
        if status == "success":
            return Event(t=t, kind="done", epoch=self.epoch, exit_code=job.code, **used, **_names(name, job))
        reason, detail = reason_of(job.code, job.signal, job.late, "\n".join(job.detail))
        return Event(
            t=t,
            kind="failed",
            epoch=self.epoch,
            reason=reason,
            exit_code=job.code,
            detail=detail,
            **used,
            **_names(name, job),
        )

    def _known(self, name: str) -> _Job:
        if name not in self._jobs:
            self._jobs[name] = _Job(*self.names(name))
        return self._jobs[name]

    def _relative(self, log: str | None) -> str | None:
        if log and Path(log).is_relative_to(self.run):
            return str(Path(log).relative_to(self.run))
        return log


def _names(name: str, job: _Job) -> dict[str, Any]:
    return {"step": job.step, "unit": job.unit, "job": name, "attempt": job.attempt, "log": job.log}


def reason_of(code: int | None, signal: str | None, late: bool, text: str) -> tuple[Reason, str | None]:
    """Why a job failed, and the line that says it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]

    def line(*signs: str) -> str | None:
        return next((text for text in lines if any(sign in text for sign in signs)), None)

    if late:
        return Reason.TIMEOUT, line("time limit") or "its time limit was reached"
    if found := next(filter(files.NO_SPACE.search, lines), None):
        return Reason.NO_SPACE, found
    if signal:
        return Reason.SIGNAL, f"terminated by {signal}"
    if code:
        return Reason.EXIT_CODE, f"exit code {code}"
    if reasons.FAILED in text:
        return Reason.ENGINE, reasons.expression(text)
    if found := line(*_LOST_OUTPUT):
        return Reason.MISSING_OUTPUT, found
    return Reason.ENGINE, lines[0] if lines else None


def in_one_line(text: str, run: Path) -> str:
    """A message in one line: paths relative to the run directory, each place once, no objects in full."""
    seen: set[str] = set()

    def once(match: re.Match[str]) -> str:
        position = match[0].strip()
        known = position in seen
        seen.add(position)
        return "" if known else f"{position} "

    text = reasons.expression(text).replace(f"file://{quote(str(run))}/", "").replace(f"{run}/", "")
    return re.sub(r"\s+", " ", _PLACE.sub(once, _OBJECT.sub("", text))).strip()[:1000]
