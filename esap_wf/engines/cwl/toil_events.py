"""What Toil tells: its workers by the hook in cwltool (`esap_wf.engines.cwl.events`), its leader by the
message bus.

The bus knows which jobs were issued and which workers died, but neither exit codes of tools nor times: it
is read for totals, and for jobs of which no hook could tell the end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.engines import following
from esap_wf.engines.cwl.events import CwlEvents, Steps, in_one_line
from esap_wf.models.run import Event, Reason

#: Toil's own batch system on this machine: its ids are those of processes.
_HERE = "SingleMachineBatchSystem"


class ToilEvents:
    """
    Follow the hook's file and the leader's messages of an epoch.

    Parameters
    ----------
    hook, bus : Path
        Need not exist yet.
    run : Path
    epoch : int
    steps : Steps
    reported : tuple of int
        Bytes of both that were reported before.
    """

    def __init__(
        self, hook: Path, bus: Path, run: Path, epoch: int, steps: Steps, reported: tuple[int, int] = (0, 0)
    ) -> None:
        self.hook = _Workers(hook, run, epoch, steps, reported[0])
        self.bus, self.epoch, self.reported = bus, epoch, reported[1]
        self.offset = 0
        #: Toil's numbers of jobs → their names, and names → ids at a workload manager.
        self._numbered: dict[str, str] = {}
        self._batch: dict[str, str] = {}

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        # before what the hook reported: a worker ends after it
        lines = following.lines_after(self.bus, self.offset)
        issued = [_fields(line) for line in lines]
        for words in issued:
            if words and words[0] == "JobIssuedMessage" and _is_tool(words[2]):
                self.hook.issued(words[1])
                self._numbered[words[3]] = words[1]
            elif (
                words
                and words[0] == "ExternalBatchIdMessage"
                and words[3] != _HERE
                and (name := self._numbered.get(words[1]))
            ):
                self._batch[name] = words[2]
        before = self.offset
        events = [self._placed(event, before) for event in self._workers()]
        for line, words in zip(lines, issued, strict=True):
            self.offset += len(line)
            if words and self.offset > self.reported and (event := self._died(words)):
                events.append(self._placed(event, self.offset))
        self.offset = before + sum(map(len, lines))
        if lines and self.offset > self.reported and (plan := self.hook.plan(time.time())):
            events.insert(0, plan)
        return events

    def _workers(self) -> list[Event]:
        events: list[Event] = []
        while found := self.hook.read():
            events += found
        return events

    def _placed(self, event: Event, bus: int) -> Event:
        hook = event.mark if event.mark is not None else self.hook.offset
        if event.kind in ("done", "failed") and (batch := self._batch.get(event.job or "")):
            event = msgspec.structs.replace(event, batch=batch)
        return msgspec.structs.replace(event, mark=f"{hook}:{bus}") if event.kind != "plan" else event

    def _died(self, words: list[str]) -> Event | None:
        """A job whose worker ended badly without a word."""
        if words[0] != "JobCompletedMessage" or not _is_tool(words[2]) or words[3] == "0":
            return None
        return self.hook.died(words[1], int(words[3]))


class _Workers(CwlEvents):
    """The hook's file, by Toil's names of jobs."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._issued: dict[str, int] = {}
        self._started: dict[str, int] = {}
        self._failed: set[str] = set()

    def names(self, name: str) -> tuple[str, str | None]:
        """Step and unit of a job."""
        return self.steps.of_toil(name)

    def issued(self, name: str) -> None:
        """The leader has handed a job to a worker."""
        self._count(self._issued, name)

    def died(self, name: str, code: int) -> Event | None:
        """The end of a job of which the hook has reported none."""
        if name in self._failed:
            return None
        self._failed.add(name)
        step, unit = self.names(name)
        job = self._jobs.pop(name, None)
        detail = (
            f"its worker ended with exit code {code}"
            if code >= 0
            else f"its worker was ended by signal {-code}"
        )
        reason = Reason.SIGNAL if code < 0 or code in (137, 143) else Reason.ENGINE
        log = job.log if job else None
        return Event(
            t=time.time(),
            kind="failed",
            epoch=self.epoch,
            step=step,
            unit=unit,
            job=name,
            attempt=1,
            reason=reason,
            detail=detail,
            log=log,
        )

    def _count(self, counted: dict[str, int], name: str) -> None:
        step = self.names(name)[0]
        counted[step] = counted.get(step, 0) + 1
        # a chained job is not issued
        self._begun[step] = max(self._issued.get(step, 0), self._started.get(step, 0))

    def _process(self, t: float, name: str, entry: dict[str, Any]) -> list[Event]:
        if "crashed" in entry:
            return self._crashed(t, name, entry)
        if entry.get("started"):
            self._count(self._started, name)
        return super()._process(t, name, entry)

    def _crashed(self, t: float, name: str, entry: dict[str, Any]) -> list[Event]:
        """
        A worker ended by an exception: for a tool's failure, which was reported, or for what it could not
        even begin.
        """
        if name in self._failed:
            return []
        job = self._known(name)
        job.detail.append(in_one_line(str(entry["crashed"]), self.run))
        return [self._end(t, name, job, "crashed")]

    def _end(self, t: float, name: str, job: Any, status: str) -> Event:
        if status != "success":
            self._failed.add(name)
        return super()._end(t, name, job, status)


def _fields(line: bytes) -> list[str]:
    """``toil.bus.JobIssuedMessage``, and what it says; empty if it is none of those wanted."""
    words = line.decode("ascii", "replace").rstrip("\n").split("\t")
    name = words[0].rpartition(".")[2]
    if name not in ("JobIssuedMessage", "JobCompletedMessage", "ExternalBatchIdMessage") or len(words) != 4:
        return []
    try:
        return [name, *(word.encode("latin-1").decode("unicode_escape") for word in words[1:])]
    except ValueError:
        return []


def _is_tool(identifier: str) -> bool:
    """Jobs of Toil's own that only arrange others are no jobs of the workflow."""
    return identifier.startswith("kind-CWLJob/")
