"""
How a line of ``events.jsonl`` changes the counts: the mutable side of `esap_wf.runs.progress.fold`.
"""

from __future__ import annotations

import msgspec

from esap_wf import files
from esap_wf.models.run import Fold, Reason, State, Step
from esap_wf.runs.counts import axis_of, progress_of
from esap_wf.runs.event_lines import Line, completed, decode, failure_of, key_of

#: Failures that `status` shows; the others are counted in `failures_more`.
SHOWN = 20
#: Failed jobs that are remembered by key, so that a successful retry takes the right one back.
REMEMBERED = 10_000
#: Jobs done that are remembered: those that an engine may repeat because it was killed before it wrote them
#: down.
RECENT = 32


class Counts:
    """One step while folding."""

    __slots__ = ("cpu", "done", "failed", "memory", "running", "seconds", "starts", "total")

    def __init__(
        self, total: int = 0, done: int = 0, failed: int = 0, running: int = 0, starts: bool = False
    ) -> None:
        self.total = total
        self.done = done
        self.failed = failed
        self.running = running
        self.starts = starts
        self.cpu: float | None = None
        self.memory: int | None = None
        self.seconds: float | None = None

    def add_usage(self, line: Line) -> None:
        """What an ended job says that it used."""
        if line.cpu_seconds is not None:
            self.cpu = (self.cpu or 0.0) + line.cpu_seconds
        if line.memory_bytes is not None:
            self.memory = max(self.memory or 0, line.memory_bytes)
        if line.seconds is not None:
            self.seconds = (self.seconds or 0.0) + line.seconds


class Folding:
    """The mutable side of one call of `fold`."""

    def __init__(self, state: State) -> None:
        memory = state.fold
        starts = set(memory.starts)
        self.steps = {
            s.name: Counts(s.total, s.done, s.failed, s.running, s.name in starts) for s in state.steps
        }
        for s in state.steps:
            counts = self.steps[s.name]
            counts.cpu, counts.memory, counts.seconds = s.cpu_seconds, s.memory_bytes, s.seconds
        self.epoch = memory.epoch
        self.plan_epoch = memory.plan_epoch
        self.planned = set(memory.planned)
        self.earlier = dict(memory.earlier)
        self.announced = dict(memory.announced)
        self.open = dict.fromkeys(memory.open)
        self.failed = dict.fromkeys(memory.failed)
        self.attempts = dict(memory.attempts)
        self.recent = dict(memory.recent)
        self.begun = memory.begun if memory.begun >= 0 else memory.epoch
        self.forgotten = memory.forgotten
        self.garbage = memory.garbage
        # what the creator of the run expected; until the first fold it is all that the state says
        self.expected = state.progress.units_total if memory.expected is None else memory.expected
        self.failures = [(key_of(f.step, f.unit, f.job_id), f) for f in state.failures]
        self.more = state.failures_more
        self.offset = state.offset
        self.again = state.progress.second_executions

    def step(self, name: str) -> Counts:
        found = self.steps.get(name)
        if found is None:
            found = self.steps[name] = Counts()
        return found

    def enter(self, epoch: int) -> None:
        """A new supervisor: nothing of the last one runs any more, what it did stays done."""
        self.epoch = epoch
        self.open.clear()
        self.attempts.clear()
        self.planned.clear()
        self.earlier = {name: c.done for name, c in self.steps.items() if c.done}
        for counts in self.steps.values():
            counts.running = 0
            counts.starts = False

    def begin(self) -> None:
        """A new engine tells of jobs: it does again what failed under an earlier one."""
        if self.epoch > self.begun:
            for counts in self.steps.values():
                counts.failed = 0
            self.failed.clear()
            self.failures.clear()
            self.forgotten = self.more = 0
            self.begun = self.epoch

    def anew(self) -> None:
        """A new engine does everything again."""
        self.begin()
        self.earlier.clear()
        self.recent.clear()
        self.again = 0  # it is told once more with all the rest
        for counts in self.steps.values():
            counts.done = counts.total = 0

    def uncount(self, name: str, counts: Counts, key: str) -> None:
        """A job that was counted as done is begun once more."""
        epoch = self.recent.pop(key, None)
        if epoch is None or not counts.done:
            return
        counts.done -= 1
        if epoch < self.epoch and self.earlier.get(name, 0):
            self.earlier[name] -= 1
            if name in self.planned:
                counts.total -= 1

    def plan(self, totals: dict[str, int]) -> None:
        self.begin()
        if self.epoch > self.plan_epoch:
            if self.plan_epoch >= 0:  # the new plan contains the failed ones again
                for name, counts in self.steps.items():
                    counts.total = self.earlier.get(name, 0)
            self.plan_epoch = self.epoch
        for name, total in totals.items():
            self.step(name).total = self.earlier.get(name, 0) + total
            self.announced[name] = max(self.announced.get(name, 0), self.step(name).total)
            self.planned.add(name)

    def start(self, line: Line, name: str) -> None:
        counts = self.step(name)
        counts.starts = True
        key = key_of(name, line.unit, line.job)
        if key:
            if line.attempt is not None and line.attempt > 1:
                self.attempts[key] = line.attempt
            if key in self.open:  # told twice, or tried again before the end of the last attempt was told
                return
            self.open[key] = None
            self.uncount(name, counts, key)
            self.recover(counts, key, line.attempt)
        counts.running += 1
        self.raise_total(name, counts)

    def end(self, counts: Counts, key: str) -> bool:
        """
        Take a job from the running ones. False if it isn't one and its step reports starts: then this was
        told before.
        """
        if key:
            if key in self.open:
                del self.open[key]
                self.attempts.pop(key, None)
                counts.running = max(0, counts.running - 1)  # of a run that has ended none runs
                return True
            return not counts.starts
        if counts.running:
            counts.running -= 1
        return True

    def done(self, line: Line, name: str) -> None:
        counts = self.step(name)
        key = key_of(name, line.unit, line.job)
        if not self.end(counts, key):
            return
        if key:
            self.uncount(name, counts, key)  # of an engine that doesn't tell what it begins
            self.recover(counts, key, None)
        if name in self.planned and counts.done >= counts.total:
            return
        if key:
            self.recent[key] = self.epoch
            if len(self.recent) > RECENT:
                del self.recent[next(iter(self.recent))]
        counts.add_usage(line)
        counts.done += 1
        self.raise_total(name, counts)

    def fail(self, line: Line, name: str) -> None:
        counts = self.step(name)
        key = key_of(name, line.unit, line.job)
        if line.attempt is not None and line.attempt < self.attempts.get(key, 1):
            counts.add_usage(line)  # an attempt that another one has followed: the job has not failed
            return
        if not self.end(counts, key):
            return
        counts.add_usage(line)
        if key in self.failed:  # again, by an engine that does not tell that it tried again
            self.failures = [(k, failure_of(line, name) if k == key else f) for k, f in self.failures]
            return
        counts.failed += 1
        if key and len(self.failed) < REMEMBERED:
            self.failed[key] = None
        else:
            self.forgotten += 1
        self.raise_total(name, counts)
        self.show(key, line, name)

    def told(self, line: Line) -> None:
        """A workload manager tells of a job that has ended."""
        if line.step is not None:
            self.step(line.step).add_usage(line)
        if line.batch is not None:
            self.failures = [(k, completed(f, line) if f.job == line.batch else f) for k, f in self.failures]

    def show(self, key: str, line: Line, name: str) -> None:
        if line.reason == Reason.UNITS:  # its units are shown
            return
        if len(self.failures) >= SHOWN:
            self.more += 1
            return
        self.failures.append((key, failure_of(line, name)))

    def recover(self, counts: Counts, key: str, attempt: int | None) -> None:
        """A job that failed is tried again or done after all."""
        if key in self.failed:
            del self.failed[key]
        elif self.forgotten and attempt is not None and attempt > 1 and counts.failed:
            self.forgotten -= 1
        else:
            return
        counts.failed -= 1
        left = [(k, f) for k, f in self.failures if k != key]
        if len(left) == len(self.failures) and self.more:
            self.more -= 1
        self.failures = left

    def raise_total(self, name: str, counts: Counts) -> None:
        """Engines that announce no totals: what was seen is all there is so far."""
        if name not in self.planned:
            seen = counts.done + counts.failed + counts.running
            if seen > counts.total:
                counts.total = seen

    def line(self, raw: bytes) -> None:
        try:
            line = decode(raw)
        except files.BROKEN:
            if raw.strip():
                self.garbage += 1
            return
        if line.epoch is not None and line.epoch != self.epoch:
            if line.epoch < self.epoch:
                return  # a late writer: void
            self.enter(line.epoch)
        kind = line.kind
        name = line.step
        if name is not None and kind in ("start", "done", "failed"):
            self.begin()
        if kind == "plan":
            self.plan(line.totals or {})
        elif kind == "anew":
            self.anew()
        elif kind == "job":
            self.told(line)
        elif kind == "again":
            self.again += 1
        elif kind == "start" and name is not None:
            self.start(line, name)
        elif kind == "done" and name is not None:
            self.done(line, name)
        elif kind == "failed":
            if name is not None:
                self.fail(line, name)
            else:
                self.show("", line, "")

    def result(self, state: State, unit_steps: list[str] | None) -> State:
        steps = [
            Step(
                name=name,
                total=c.total,
                done=c.done,
                failed=c.failed,
                running=c.running,
                cpu_seconds=None if c.cpu is None else round(c.cpu, 3),
                memory_bytes=c.memory,
                seconds=None if c.seconds is None else round(c.seconds, 3),
            )
            for name, c in self.steps.items()
        ]
        axis = axis_of(steps, unit_steps)
        total = sum(s.total for s in axis)
        # what was expected stands until a plan tells of units: those that are scattered as the engine goes
        # are in none of its first ones
        if self.plan_epoch < 0 or (
            unit_steps is not None and total == 0 and self.planned.isdisjoint(unit_steps)
        ):
            total = max(total, self.expected)
        progress = progress_of(steps, axis, total, self.again)
        memory = Fold(
            epoch=self.epoch,
            plan_epoch=self.plan_epoch,
            planned=sorted(self.planned),
            earlier=self.earlier,
            announced=self.announced,
            open=list(self.open),
            failed=list(self.failed),
            attempts=self.attempts,
            begun=self.begun,
            forgotten=self.forgotten,
            starts=[name for name, c in self.steps.items() if c.starts],
            unit_steps=unit_steps,
            garbage=self.garbage,
            expected=self.expected,
            recent=self.recent,
        )
        return msgspec.structs.replace(
            state,
            progress=progress,
            steps=steps,
            failures=[f for _, f in self.failures],
            failures_more=self.more,
            offset=self.offset,
            fold=memory,
        )
