"""Nextflow's log and trace in the words of `esap_wf.models.run.Event`.

The log says what was submitted and why something failed, the trace how it ended and what it used.
Only what is new in both is read.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from esap_wf.engines import Cursor, following, queued
from esap_wf.engines.nextflow.log import Entry, Log, log_path
from esap_wf.engines.nextflow.reasons import reason_of
from esap_wf.engines.nextflow.tasks import Names, moment
from esap_wf.engines.nextflow.trace import Line, Row, Trace, trace_path
from esap_wf.models.run import Event, Reason

#: Exit code of a task at Slurm that had SIGUSR2, which Nextflow has sent to it 30 seconds before its limit.
WARNED = 140


@dataclass(frozen=True)
class Position:
    """
    Up to where log and trace were reported, as the mark of an event has it: ``log:BYTES,trace:BYTES+EVENTS``.

    Parameters
    ----------
    log, trace : int
        Bytes.
    events : int
        Of the row that begins there: one row of the trace may be two events, a start and an end, and whoever
        went on from the first must not report it once more.
    """

    log: int = 0
    trace: int = 0
    events: int = 0

    def __str__(self) -> str:
        return f"log:{self.log},trace:{self.trace}" + (f"+{self.events}" if self.events else "")

    @classmethod
    def of(cls, cursor: Cursor) -> Position:
        """From a mark; that of an older version has no number of events."""
        parts = re.findall(r"(log|trace):(\d+)(?:\+(\d+))?", str(cursor.mark or ""))
        bytes_of = {name: int(number) for name, number, _ in parts}
        events = next((int(count) for name, _, count in parts if name == "trace" and count), 0)
        return cls(bytes_of.get("log", 0), bytes_of.get("trace", 0), events)


class NextflowEvents:
    """
    Follow log and trace of one epoch.

    Parameters
    ----------
    run : Path
        Run directory: paths of logs in events are relative to it.
    epoch : int
    cursor : Cursor
        Its mark is a `Position`: what lies before was reported; it is read once more for what later lines
        refer to.
    """

    def __init__(self, run: Path, epoch: int, cursor: Cursor = Cursor.START) -> None:
        self.run, self.epoch = run, epoch
        self._trace, self._log = Trace(trace_path(run, epoch)), Log(run, epoch)
        self._names = Names()
        self._causes: dict[str, str] = {}
        self._begun: set[str] = set()
        self._done_before: set[str] = set()
        self._submits = queued.submits(run)
        self._roots = {str(run), str(run.resolve())}
        for earlier in range(1, epoch):
            self._remember(trace_path(run, earlier))
        self._reported = self._sizes() if cursor.lost else Position.of(cursor)
        #: Up to where the trace was turned into events.
        self._at_trace = 0

    def _sizes(self) -> Position:
        log = log_path(self.run, self.epoch)
        return Position(following.size(log) if log else 0, following.size(self._trace.path))

    def _remember(self, path: Path) -> None:
        """What an earlier epoch reported as done is not reported a second time if it comes from the cache."""
        numbered = []
        for row in (line.row for line in Trace(path).read() if line.row):
            number, _ = self._names.enter(row.name, row.hash, row.retried)
            if row.done:
                self._done_before |= {row.workdir, row.hash}
                self._names.done(row.name, number)
            else:
                numbered.append((row.name, number))
        for name, number in numbered:
            self._names.forget(name, number)

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more."""
        # the trace first: whatever it says of a task, the log has said before that there is such a task
        lines = self._trace.read()
        events = []
        for entry in self._log.read():
            event = self._event_of(entry)
            if event is not None and entry.end > self._reported.log:
                events.append(self._marked(event, entry.end))
        for line in lines:
            events += self._events_of(line)
        return events

    def _events_of(self, line: Line) -> list[Event]:
        """Events of a line of the trace that were not reported yet, each with a mark of its own."""
        found = self._ended(line.row) if line.row else []
        self._at_trace = line.end
        if line.end <= self._reported.trace:
            return []
        known = self._reported.events if line.start == self._reported.trace else 0
        marked = []
        for count, event in enumerate(found, start=1):
            is_last = count == len(found)
            if count > known or is_last:
                marked.append(self._marked(event, trace=(line.end, 0) if is_last else (line.start, count)))
        return marked

    def _marked(self, event: Event, log: int | None = None, trace: tuple[int, int] | None = None) -> Event:
        """
        An event with how far log and trace are reported with it: never less far than they were before.

        `log` and `trace` (bytes, and events of the row that begins there) are the event's own, if it comes
        from one of them.
        """
        reported = self._reported
        at_log = max(self._log.offset if log is None else log, reported.log)
        at_trace = trace or max((self._at_trace, 0), (reported.trace, reported.events))
        return msgspec.structs.replace(event, mark=str(Position(at_log, *at_trace)))

    # --- the log

    def _event_of(self, entry: Entry) -> Event | None:
        """A task that starts, or the session; what else the log says is kept for the trace's rows."""
        if entry.kind == "session":
            detail = f"Nextflow started, session {entry.text}"
            return Event(t=moment(entry.stamp), kind="engine", epoch=self.epoch, detail=detail)
        if entry.kind == "cause":
            self._causes[entry.hash] = entry.text
            return None
        if entry.kind == "note":
            self._causes.setdefault(entry.hash, entry.text.rpartition(" -- ")[0] or entry.text)
            if "retried" in entry.text:
                self._names.noted(entry.hash)
            return None
        number, attempt = self._names.enter(entry.text, entry.hash, entry.kind == "resubmitted")
        # done again, if a killed Nextflow had not noted it yet
        if entry.kind == "cached" or entry.hash in self._done_before:
            return None
        self._begun.add(entry.hash)
        return self._start(moment(entry.stamp), entry.text, number, attempt)

    def _start(self, t: float, name: str, number: int, attempt: int) -> Event:
        step, unit, job = self._names.words(name, number)
        return Event(t=t, kind="start", epoch=self.epoch, step=step, unit=unit, job=job, attempt=attempt)

    # --- the trace

    def _ended(self, row: Row) -> list[Event]:
        """
        The end of a task; its start, too, if nobody has reported it (a cached one, or one that could not be
        submitted).
        """
        number, attempt = self._names.enter(row.name, row.hash, row.retried)
        if row.done:
            self._names.done(row.name, number)
            if row.workdir in self._done_before:
                return []
        step, unit, job = self._names.words(row.name, number)
        end = Event(
            t=row.ended if row.ended and not row.cached else time.time(),
            kind="done",
            epoch=self.epoch,
            step=step,
            unit=unit,
            job=job or row.native_id,
            batch=row.native_id if self._submits else None,
            attempt=attempt,
            exit_code=row.exit_code,
            log=self._relative(row.workdir),
            memory_bytes=row.memory_bytes,
            cpu_seconds=row.cpu_seconds,
            detail="from Nextflow's cache" if row.cached else None,
        )
        start = [] if row.hash in self._begun else [self._start(end.t, row.name, number, attempt)]
        if row.done:
            return [*start, end]
        self._names.failed(row.name, number, row.hash)
        reason, detail = self._reason(row, end.log)
        return [*start, msgspec.structs.replace(end, kind="failed", reason=reason, detail=detail or None)]

    def _reason(self, row: Row, log: str | None) -> tuple[Reason, str | None]:
        """Why a task failed."""
        cause = self._causes.pop(row.hash, "")
        if row.status == "ABORTED":
            return Reason.CANCELLED, "cancelled by Nextflow"
        reason, detail = reason_of(cause, row.exit_code, self.run / log if log else None)
        if self._submits and row.exit_code == WARNED and reason is Reason.SIGNAL:
            reason, detail = Reason.TIMEOUT, "it was ended shortly before its time limit"
        if row.error_action == "IGNORE":
            detail = f"{detail} (errorStrategy 'ignore')".strip()
        return reason, detail

    def _relative(self, workdir: str) -> str | None:
        for root in self._roots:
            if workdir.startswith(f"{root}/"):
                return f"{workdir[len(root) + 1 :]}/.command.log"
        return f"{workdir}/.command.log" if workdir.startswith("/") else None
