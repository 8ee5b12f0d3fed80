"""One process's ownership of one run: the right to write it, and the ways in which it ends. The supervisor is built on it.

Imported by esap_wf.supervisor only.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf import delivery, files, launch, productions, report, watch
from esap_wf.errors import EsapError, StoppedError, UnavailableError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Event, Failure, Phase, Reason, State, now
from esap_wf.runs import measurements, processes, states
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
        The right to write; acquired by the subclass, as are `plan` and `log`.
    stop : StopRequest or None
        The request that was passed on to the engine.
    epoch : int
        Of the engine that is watched; 0 before there is one.
    """

    def __init__(self, store: Store, run: Run) -> None:
        self.store, self.run = store, run
        self.plan: Plan
        self.lease: Lease
        self.log: watch.EventLog
        self.stop: StopRequest | None = None
        self.epoch = 0
        self._renewed = time.monotonic()
        self._asked = 0.0

    def clear_survivors(self) -> None:
        """End every process that the run left on this machine."""
        keepers = [p.keeper for e in range(1, self.lease.epoch) if (p := launch.engine_of(self.run.dir, e))]
        left = processes.survivors(self.run.id, keepers, self.engine.survivors(self.run.dir) if hasattr(self, "engine") else ())
        self._end_containers()
        if left:
            self.note(f"{len(left)} processes of an earlier attempt are ended: {', '.join(f'{s.name} {s.pid}' for s in left[:10])}")
            stuck = processes.terminate(left, GRACE)
            if stuck:
                raise UnavailableError(f"processes of an earlier attempt can't be ended: {', '.join(str(s.pid) for s in stuck)}")

    def _end_containers(self) -> None:
        """What a daemon started for the run can't be found among this user's processes."""
        software = self.plan.software if hasattr(self, "plan") else None
        used = [c for c in (software.container, *software.images.values()) if c] if software else []
        if used:
            from esap_wf import containers

            for choice in {(c.runtime, c.program): c for c in used}.values():
                containers.end(choice, self.run.id)

    def renew(self) -> None:
        """Show a sign of life, if it is time."""
        moment = time.monotonic()
        if moment - self._renewed >= RENEW:
            self.lease.renew()
            self._renewed = moment

    def beat(self) -> None:
        """Between two pieces of collecting; a request to stop at once ends it, one to drain has nothing to wait for."""
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
        self.write(Phase.ABORTED, reason=f"stopped by {by}, {how}: esap-wf resume {self.run.id}", ended=now(), exit_code=code)
        return 0

    def completed(self) -> int:
        """The end: results are accepted."""
        outputs = self.run.accepted()
        assert outputs is not None
        self.run.accept(outputs, self.lease)  # writes outputs.json if a lost supervisor could not
        productions.enter(self.run, self.plan, outputs)
        self._measure()
        warnings = [*outputs.warnings, *self._deliver()]
        self.write(Phase.COMPLETED, reason="", ended=now(), exit_code=0, warnings=warnings)
        return 0

    def _measure(self) -> None:
        """For the estimate of the next plan: only of a run that one engine did from its beginning to its end."""
        used = launch.exit_of(self.run.dir, self.epoch)
        if used is None or self.epoch != 1 or self.log.state.started is None:
            return
        told = sum(s.cpu_seconds or 0.0 for s in self.log.state.steps)  # containers of a daemon are no children of the engine
        largest = max([used.max_rss_bytes, *(s.memory_bytes or 0 for s in self.log.state.steps)])
        wall = (datetime.now(UTC) - datetime.fromisoformat(self.log.state.started)).total_seconds()
        plan = self.plan
        measured = Measurement(
            run=self.run.id, version=plan.version, engine=plan.engine.name, units=plan.units,
            input_bytes=sum(r.bytes or 0 for refs in plan.inputs.values() for r in refs),
            cpu_seconds=max(told, used.cpu_seconds), memory_bytes=largest, wall_seconds=round(wall, 3),
            core_seconds=plan.estimate.model_core_hours * 3600,
        )  # fmt: skip
        with contextlib.suppress(EsapError):
            measurements.append(self.store.root / "records", plan.workflow, measured, mode=self.store.file_mode)

    def _deliver(self) -> list[str]:
        """Copy the results to where the user wants them; they are accepted in any case."""
        if not self.plan.request.results:
            return []
        try:
            delivery.copy_outputs(self.run, Path(self.plan.request.results))
        except EsapError as error:
            hint = f"esap-wf results {self.run.id} --copy-to DIR"
            return [f"the results were not copied to {self.plan.request.results}: {error.message}; {hint}"]
        return []

    def failed(self, failures: list[Failure], reason: str | None, code: int | None = None) -> int:
        """The end: something failed; its first line says what."""
        explained = watch.explained(failures, self.run.dir)
        # of this epoch: a later one must not take it for its own
        explained = [msgspec.structs.replace(f, epoch=self.epoch) if f.epoch is None else f for f in explained]
        full = self.log.full or shutil.disk_usage(self.run.dir).free < FULL  # jobs can't even write into their logs why they fail
        if full and not any(f.reason == Reason.NO_SPACE for f in explained):
            reason = None
            explained.insert(
                0, Failure(step="engine", reason=Reason.NO_SPACE, log="logs/engine.log", detail=f"the disk of {self.run.dir} is full")
            )
        self.write(Phase.ERROR, reason=reason or watch.headline(explained[0]), ended=now(), exit_code=code, failures=explained[:20])
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
            used = launch.exit_of(self.run.dir, self.epoch)
            cost = (used.cpu_seconds, used.max_rss_bytes) if used else None
            page = report.page(self.run.record(), self.plan, state, self.run.accepted(), *report.bars(self.run.events_path), cost)
            files.write_atomic(self.run.dir / "report.html", page, mode=self.store.file_mode, sync=False)
        except Exception:
            trace()


def trace() -> None:
    """The traceback of a bug, into the supervisor's log."""
    with contextlib.suppress(OSError):  # its log may be on the full disk of which the error tells
        traceback.print_exc()
