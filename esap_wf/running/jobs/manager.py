"""
What a workload manager says of the jobs that a run's engine has submitted: why those wait that wait, and of
those that have ended how, where, and what they have used.

One question at a time is asked, in a thread of its own: a manager that is slow holds nothing up. One that
can't be asked is asked again, for hours; nothing is concluded from its silence.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from esap_wf import files
from esap_wf.backends import Condition
from esap_wf.backends.launcher import BatchJob
from esap_wf.engines import EventSource
from esap_wf.formats.summaries import waiting_text
from esap_wf.models.run import Event, Waiting
from esap_wf.running.jobs.question import Question
from esap_wf.running.jobs.telling import told_by, waiting
from esap_wf.running.ownership import Ownership
from esap_wf.running.trouble import Trouble
from esap_wf.runs import event_lines

logger = logging.getLogger(__name__)

#: A question is asked again after so many times as long as it took, at least.
COST = 20.0
#: Seconds between two questions for what jobs have used, if nothing else is asked of them.
USAGE = 30.0
#: Ended jobs in one question; and how often one is asked for that the manager doesn't tell, or not fully.
MOST, TRIES = 500, 3
#: Seconds that a run which has ended waits for what is said of its failures, and of what its jobs used.
PATIENCE, BRIEF = 20.0, 5.0
_PAUSE, _AGAIN = 0.1, 0.5
_OVER = (Condition.ENDED, Condition.GONE)


@dataclass
class _Ended:
    """A job that the engine told the end of, and the manager hasn't been heard on yet."""

    event: Event
    tries: int = 0

    @property
    def failed(self) -> bool:
        return self.event.kind == "failed"


class Jobs:
    """
    The jobs of the engine that a run has now.

    Parameters
    ----------
    owner : Ownership
        With its plan; nothing is asked if that has no queue.

    Attributes
    ----------
    nodes : dict
        Job → node on which it was seen last.
    """

    def __init__(self, owner: Ownership) -> None:
        self.owner = owner
        self.trouble = Trouble(owner.plan.backend)
        self._asks = owner.plan.queue is not None
        self._poll = owner.plan.queue.poll if owner.plan.queue else 0.0
        self._ended: dict[str, _Ended] = {}
        self._question: Question | None = None
        self._next = self._usage_next = 0.0
        self._missed: float | None = None
        self.nodes: dict[str, str] = {}
        if self._asks:
            self._recall()

    def heard(self, source: EventSource) -> EventSource:
        """The same source; what it tells of jobs that have ended is remembered."""
        return _Heard(source, self) if self._asks else source

    def remember(self, events: Iterable[Event]) -> None:
        """Jobs whose end the engine has told."""
        for event in events:
            self._missed = None
            if event.journal is not None:  # a unit: its shard's job is told of by the engine
                continue
            told = event.kind == "done" and event.cpu_seconds is not None
            if event.batch and event.kind in ("done", "failed") and not told:
                self._ended[event.batch] = _Ended(event)
            elif event.batch and event.kind == "job":
                self._ended.pop(event.batch, None)

    def _recall(self) -> None:
        """What an earlier owner has not asked for any more."""
        for line in event_lines.complete_lines(self.owner.run.events_path, 0):
            if b'"batch"' in line:
                try:
                    self.remember([msgspec.json.decode(line, type=Event)])
                except files.BROKEN:
                    continue

    # --- while the engine works

    def look(self) -> bool:
        """Ask if it is time, hear if there is an answer; whether the state of the run has changed."""
        if not self._asks:
            return False
        if self._question is not None:
            return self._question.over.is_set() and self._hear()
        moment = time.monotonic()
        if moment < self._next:
            return False
        if not self._in_flight() and not self._ended:
            return self._tell([])
        self._ask(moment)
        return False

    def _in_flight(self) -> bool:
        """Jobs that were submitted, or that are still to be: not every engine tells when it submits one."""
        p = self.owner.events.state.progress
        return p.jobs_running > 0 or p.jobs_done + p.jobs_failed < p.jobs_total

    def missed_for(self) -> float:
        """
        Seconds for which the engine has waited for jobs, has told nothing, and the manager, asked for it, has
        had none of them.
        """
        return 0.0 if self._missed is None else time.monotonic() - self._missed

    def _miss(self, jobs: Sequence[BatchJob] | None) -> None:
        """Whether those are missing that the engine waits for; no answer is no sign."""
        known = jobs is None or any(job.condition not in _OVER for job in jobs)
        if known or not self.owner.events.state.progress.jobs_running:
            self._missed = None
        elif self._missed is None:
            self._missed = time.monotonic()

    def _ask(self, moment: float) -> None:
        ids: list[str] = []
        if moment >= self._usage_next or any(e.failed for e in self._ended.values()):
            # failures first
            ids = sorted(self._ended, key=lambda i: not self._ended[i].failed)[:MOST]
            self._usage_next = moment + USAGE
        self._question = Question(ids)
        self._question.ask(self.owner.here, self.owner.run.id)

    def _hear(self) -> bool:
        question, self._question = self._question, None
        assert question is not None
        self._miss(question.jobs)
        if question.jobs is None:
            self.trouble.begin(question.trouble, question.person)
            self._next = time.monotonic() + max(self._poll, self.trouble.pause())
            return self._write(self.owner.events.state.waiting)
        self.trouble.end()
        self.nodes |= {job.id: job.node for job in question.jobs if job.node}
        self._next = time.monotonic() + max(self._poll, COST * question.took)
        if told := self._told_of(question):
            self.owner.lease.require()
            self.owner.events.append(told)
        return self._tell(question.jobs) or bool(told)

    def _told_of(self, question: Question) -> list[Event]:
        """Events of the jobs that have ended, as far as the manager tells."""
        said = {job.id: job for job in question.jobs or ()}
        events = []
        for number in question.ids:
            ended = self._ended.get(number)
            if ended is None:
                continue
            job = said.get(number)
            over = job is not None and job.condition in _OVER
            ended.tries += job is None or over  # one that is just ending will be told
            whole = over and job is not None and job.usage.cpu_seconds is not None
            if not (whole or (over and ended.failed) or ended.tries >= TRIES):
                continue
            del self._ended[number]
            if job is not None and over:
                events.append(told_by(job, ended.event, self.owner.epoch))
        return events

    def _tell(self, jobs: Sequence[BatchJob]) -> bool:
        return self._write(waiting(jobs))

    def _write(self, found: list[Waiting]) -> bool:
        """Put it into the state; whether that has changed it."""
        state = self.owner.events.state
        reason = self.trouble.reason or "; ".join(map(waiting_text, found))
        if found == state.waiting and reason == state.reason:
            return False
        self.owner.events.state = msgspec.structs.replace(state, waiting=found, reason=reason)
        return True

    # --- when it has ended

    def finish(self) -> None:
        """
        Ask for what is still to be told of ended jobs: for failures some seconds long, for what was used a
        moment.
        """
        if not self._asks:
            return
        began = time.monotonic()
        while self._ended:
            failures = any(e.failed for e in self._ended.values())
            if time.monotonic() - began > (PATIENCE if failures else BRIEF):
                logger.info("nothing was said of %d ended jobs", len(self._ended))
                return
            if self._question is None:
                self._usage_next = 0.0
                self._ask(time.monotonic())
            question = self._question
            assert question is not None
            while not question.over.wait(_PAUSE) and time.monotonic() - began <= PATIENCE:
                self.owner.renew()
            if question.over.is_set():
                self._hear()
                if self._ended:  # what has just ended may not be written down there yet
                    time.sleep(_AGAIN)


class _Heard:
    """A source of events that is listened to."""

    def __init__(self, source: EventSource, jobs: Jobs) -> None:
        self.source, self.jobs = source, jobs

    def read(self) -> list[Event]:
        events = self.source.read()
        self.jobs.remember(events)
        return events
