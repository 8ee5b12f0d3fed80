"""
One process's ownership of one run: the right to write it, and the ways in which it ends. The supervisor is
built on it.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError, StoppedError, UnavailableError
from esap_wf.formats.quantities import human_count
from esap_wf.models.plan import Plan
from esap_wf.models.run import Event, Failure, Phase, Reason, State, now
from esap_wf.running import delivery, productions, report, watch
from esap_wf.runs import attempts, counts, measurements, processes, requests, states
from esap_wf.runs.lease import RENEW, Lease
from esap_wf.runs.measurements import Measurement
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store

#: Seconds that an engine has to cancel its jobs before all of the run's processes are killed.
GRACE = 15.0
#: Seconds between two looks for a request to stop.
LOOK = 0.1
#: Bytes below which a disk counts as full when a run has failed.
FULL = 1_000_000


#: Failures that a pipeline ignores, named one by one among the warnings of its run.
IGNORED = 5


class Tenure:
    """
    What an owner of a run writes.

    Parameters
    ----------
    store : Store
    run : Run

    Attributes
    ----------
    lease : Lease
        The right to write; acquired by the subclass, as are `plan`, `engine` and `log`.
    stop : StopRequest or None
        The request that was passed on to the engine.
    epoch : int
        Of the engine that is watched; 0 before there is one.
    """

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run = store, run
        self.plan: Plan
        self.engine: EngineBase
        self.lease: Lease
        self.log: watch.EventLog
        self.stop: StopRequest | None = None
        self.epoch = 0
        self._renewed = time.monotonic()
        self._asked = 0.0

    def clear_survivors(self) -> None:
        """End every process that the run left on this machine."""
        keepers = [p.keeper for e in range(1, self.lease.epoch) if (p := attempts.of(self.run.dir, e))]
        left = processes.survivors(self.run.id, keepers)
        self.end_containers()
        if left:
            self.note(
                f"ending {human_count(len(left), 'process', 'processes')} of an earlier attempt: "
                f"{', '.join(f'{s.name} {s.pid}' for s in left[:10])}"
            )
            stuck = processes.terminate(left, GRACE)
            if stuck:
                raise UnavailableError(
                    f"processes of an earlier attempt can't be ended: {', '.join(str(s.pid) for s in stuck)}"
                )

    def end_containers(self, epoch: int | None = None) -> None:
        """
        What a daemon started for the run, or for one engine of it, can't be found among this user's
        processes.
        """
        if used := self.plan.software.containers:
            from esap_wf.software import containers

            containers.end(used, self.run.id, epoch)

    def renew(self) -> None:
        """Show a sign of life, if it is time."""
        moment = time.monotonic()
        if moment - self._renewed >= RENEW:
            self.lease.renew()
            self._renewed = moment

    def beat(self) -> None:
        """
        Between two pieces of collecting; a request to stop at once ends it, one to drain has nothing to wait
        for.
        """
        moment = time.monotonic()
        if moment - self._asked < LOOK:  # there may be 10^5 files
            return
        self._asked = moment
        self.renew()
        request = self.run.stop_requested()
        if request and not request.drain:
            raise StoppedError("collecting was stopped")

    def aborted(self, code: int | None) -> int:
        """The end: stopped by a person or the system."""
        self.stop = self.stop or self.run.stop_requested()
        by, drain = (self.stop.by, self.stop.drain) if self.stop else ("somebody", False)
        how = "after its running jobs had ended" if drain else "at once"
        self.write(Phase.ABORTED, reason=f"stopped by {by}, {how}", ended=now(), exit_code=code)
        return 0

    def completed(self) -> int:
        """The end: results are accepted."""
        outputs = self.run.accepted()
        assert outputs is not None
        self.run.accept(outputs, self.lease)  # writes outputs.json if a lost supervisor could not
        productions.enter(self.run, self.plan, outputs)
        self._measure()
        delivered: set[str] = set()
        nothing = "without a result" if not outputs.outputs and not outputs.values else ""
        warnings = [*outputs.warnings, *self._ignored(), *self._uncounted(), *self._deliver(delivered)]
        self.write(Phase.COMPLETED, reason=nothing, ended=now(), exit_code=0, warnings=warnings)
        # who asked until now saw a run at work, and relies on it
        if late := self._deliver(delivered):
            self.write(Phase.COMPLETED, warnings=[*warnings, *late])
        return 0

    def _ignored(self) -> list[str]:
        """
        Jobs that have failed for good in a run that its engine calls a success: the pipeline says that it
        goes on without them.
        """
        state = self.log.state
        shown = watch.explained(state.failures[:IGNORED], self.run.dir)
        more = len(state.failures) - len(shown) + state.failures_more
        return [f"the pipeline continued despite a failure: {watch.headline(f)}" for f in shown] + (
            [(f"and despite {human_count(more, 'more failure')}: esap-wf status {self.run.id}")]
            if more
            else []
        )

    def _uncounted(self) -> list[str]:
        """Units of which nothing was heard."""
        if not (named := counts.unnamed(self.log.state)):
            return []
        there = ", ".join(s.name for s in self.log.state.steps)
        return [
            (
                f"units: the manifest names {', '.join(named)}, but the run had {there}: each job "
                "counts as a "
                "unit"
            )
        ]

    def _measure(self) -> None:
        """
        For the estimate of the next plan: only of a run that one engine did from its beginning to its end.
        """
        used = attempts.end_of(self.run.dir, self.epoch)
        if used is None or self.epoch != 1 or self.log.state.started is None:
            return
        # containers of a daemon are no children of the engine
        told = sum(s.cpu_seconds or 0.0 for s in self.log.state.steps)
        largest = max([used.max_rss_bytes, *(s.memory_bytes or 0 for s in self.log.state.steps)])
        wall = (datetime.now(UTC) - datetime.fromisoformat(self.log.state.started)).total_seconds()
        plan = self.plan
        measured = Measurement(
            run=self.run.id,
            version=plan.version,
            engine=plan.engine.name,
            units=plan.units,
            input_bytes=sum(r.bytes or 0 for refs in plan.inputs.values() for r in refs),
            cpu_seconds=max(told, used.cpu_seconds),
            memory_bytes=largest,
            wall_seconds=round(wall, 3),
            core_seconds=plan.estimate.model_core_hours * 3600,
        )
        with contextlib.suppress(EsapError):
            measurements.append(
                self.store.root / "records", plan.workflow, measured, mode=self.store.file_mode
            )

    def _deliver(self, delivered: set[str]) -> list[str]:
        """
        Copy the results to where they are wanted and have not been `delivered`; they are accepted in any
        case.
        """
        wanted = [self.plan.request.results, *(further.results for further in requests.read(self.run.dir))]
        problems = []
        for place in dict.fromkeys(p for p in wanted if p and p not in delivered):
            delivered.add(place)
            try:
                delivery.copy_outputs(self.run, Path(place))
            except EsapError as error:
                hint = f"esap-wf results {self.run.id} --copy-to DIR"
                problems.append(f"the results were not copied to {place}: {error.message}; {hint}")
        return problems

    def failed(self, failures: list[Failure], reason: str | None, code: int | None = None) -> int:
        """The end: something failed; its first line says what."""
        explained = watch.explained(failures, self.run.dir)
        # of this epoch: a later one must not take it for its own
        explained = [
            msgspec.structs.replace(f, epoch=self.epoch) if f.epoch is None else f for f in explained
        ]
        # jobs can't even write into their logs why they fail
        full = self.log.full or shutil.disk_usage(self.run.dir).free < FULL
        if full and not any(f.reason == Reason.NO_SPACE for f in explained):
            reason = None
            explained.insert(
                0,
                Failure(
                    step="engine",
                    reason=Reason.NO_SPACE,
                    log="logs/engine.log",
                    detail=f"the disk of {self.run.dir} is full",
                ),
            )
        self.write(
            Phase.ERROR,
            reason=reason or watch.headline(explained[0]),
            ended=now(),
            exit_code=code,
            failures=explained[:20],
        )
        return 0

    def note(self, text: str) -> None:
        """Something worth knowing later, in ``events.jsonl``."""
        self.log.append([Event(t=time.time(), kind="note", detail=text)])

    def write(self, phase: Phase, **changes: object) -> None:
        """Write a phase and the counts; a change of phase is an event too."""
        if phase is not self.log.state.phase:
            self.log.append([Event(t=time.time(), kind="phase", phase=phase)])
            changes = {"since": now(), **changes}
        state = msgspec.structs.replace(self.log.state, phase=phase, **changes)
        if phase in states.FINAL:
            state = counts.ended(state, phase is Phase.COMPLETED)
            self._report(state)
        try:
            self.log.state = self.run.write_state(state, self.lease)
        except files.NoSpaceError:
            if phase is not Phase.EXECUTING:
                raise
            self.log.state, self.log.full = state, True  # a missed checkpoint is no reason to stop an engine

    def _report(self, state: State) -> None:
        """The page for people; a run doesn't fail for it."""
        try:
            ends = [end for e in range(1, self.epoch + 1) if (end := attempts.end_of(self.run.dir, e))]
            page = report.page(self.run.dir, self.run.record(), self.plan, state, self.run.accepted(), ends)
            files.write_atomic(self.run.dir / "report.html", page, mode=self.store.file_mode, sync=False)
        except Exception:
            trace()


def trace() -> None:
    """The traceback of a bug, into the supervisor's log."""
    with contextlib.suppress(OSError):  # its log may be on the full disk of which the error tells
        traceback.print_exc()
