"""
One process's ownership of one run: the right to write it, its plan, its log of events and its phases. What
the supervisor does for a run, it does by this.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from pathlib import Path

import msgspec

from esap_wf import files, plugins
from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher, Served, Usage
from esap_wf.engines import Cursor, EngineBase, EventSource
from esap_wf.errors import EsapError, StoppedError
from esap_wf.formats import documents
from esap_wf.models.manifest import Manifest
from esap_wf.models.place import Profile, Queue
from esap_wf.models.plan import Plan
from esap_wf.models.run import Event, Phase, State, now
from esap_wf.running import leftovers, render, report, staging
from esap_wf.running.event_log import EventLog
from esap_wf.runs import attempts, counts, crashpoints, states
from esap_wf.runs.lease import RENEW, Lease
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store

logger = logging.getLogger(__name__)

#: Seconds that an engine has to cancel its jobs before all of the run's processes are killed.
GRACE = 15.0
#: Seconds between two looks for a request to stop.
LOOK = 0.1
#: Bytes below which a disk counts as full.
FULL = 1_000_000


class Leaving(Exception):
    """An owner goes away although its run has not ended: a successor finds everything."""


class Ownership:
    """
    What an owner of a run writes.

    Parameters
    ----------
    store : Store
    run : Run
    cache : Path
        Where environments are built, and what is known of places is kept.

    Attributes
    ----------
    lease : Lease
        The right to write, once it is acquired (`acquire`).
    events : EventLog
        Once it is open (`open_events`).
    plan, manifest, snapshot, engine
        What was planned, once it is read (`read_plan`).
    worked : Path or None
        Folder with what the engine wrote of itself, if that is not the run directory: of a piece.
    stop : StopRequest or None
        The request that was passed on to the engine.
    epoch : int
        Of the engine that is watched; 0 before there is one.
    usage : Usage
        What the engine has used, once it has ended.
    leaving : bool
        Set from outside: this process goes, what works for the run goes on.
    """

    lease: Lease
    events: EventLog
    plan: Plan
    manifest: Manifest
    snapshot: Path
    engine: EngineBase

    def __init__(self, store: Store, run: Run, cache: Path) -> None:
        self.store, self.run, self.cache = store, run, cache
        self.stop: StopRequest | None = None
        self.worked: Path | None = None
        self.epoch = 0
        self.usage = Usage()
        self.leaving = False
        self._here: Launcher | None = None
        self._launcher: Launcher | None = None
        self._renewed = time.monotonic()
        self._asked = 0.0
        #: Whether nothing is left at places of earlier plans.
        self.left_former = False

    def acquire(self) -> None:
        """
        Become the owner, or the owner in a further epoch.

        Raises
        ------
        HeldByOther
            Somebody else owns the run.
        """
        self.lease = Lease.acquire(self.run)

    def open_events(self) -> State:
        """Append to the log of events from now on; the state that the last owner left."""
        before = self.run.state()
        self.events = EventLog(self.run, before, None)
        return before

    def read_plan(self) -> None:
        """What was planned; after the run is owned, so that a broken file is told as its end."""
        self.plan = files.read_json(self.run.dir / "plan.json", Plan)
        self.snapshot = self.run.dir / render.folder_of(self.plan)
        # validated when it was planned, and read-only since; runs of the first version have it in the
        # snapshot only
        manifest = self.run.dir / render.MANIFEST
        if not manifest.is_file():
            manifest = self.snapshot / Path(self.plan.source).name
        self.manifest = msgspec.convert(documents.load(manifest).data, Manifest)
        self.engine = plugins.one("esap_wf.engines", self.plan.engine.name)
        self.events.unit_steps = (self.manifest.units.steps if self.manifest.units else None) or None
        self._here, self._launcher = self._nearby(self.plan), None

    @property
    def launcher(self) -> Launcher:
        """What starts pieces at the place that is planned."""
        if self._launcher is None:
            profile = self.plan.profile
            self._launcher = self._reach(profile, self.plan) if profile else self.here
        return self._launcher

    @property
    def here(self) -> Launcher:
        """
        What starts engines in the run directory, and finds them again: of the planned place if that sees the
        store, else of this machine, where an earlier plan may have left something.
        """
        if self._here is None:  # before the plan is read; it may be broken
            with contextlib.suppress(EsapError):
                self._here = self._nearby(files.read_json(self.run.dir / "plan.json", Plan))
        if self._here is None:
            self._here = self._nearby(None)
        return self._here

    def _nearby(self, plan: Plan | None) -> Launcher:
        if plan is None or staging.is_elsewhere(plan):
            return self._reach(Profile(name="local"), None)
        return self._reach(plan.profile or Profile(name="local"), plan)

    def _reach(self, profile: Profile, plan: Plan | None) -> Launcher:
        place: BackendBase = plugins.one("esap_wf.backends", profile.kind)
        launcher: Launcher = place.launcher(profile, self.cache)
        if not launcher.sees_itself:
            from esap_wf.backends.sharing import Shared

            launcher = Shared(launcher, profile, self.cache)
        containers = plan.software.containers if plan else ()
        launcher.serve(Served(self.run.id, self.run.dir, self.store.file_mode, containers))
        return launcher

    def key(self, epoch: int) -> str:
        """What an engine of the run is called at its place."""
        return f"{self.run.id}.{epoch}"

    @property
    def queue(self) -> Queue | None:
        """Where the engine submits the jobs of its steps; None also before the plan is read."""
        return self.plan.queue if hasattr(self, "plan") else None

    @property
    def place(self) -> str:
        """What the place is called where engines in the run directory are."""
        return self.plan.backend if self.plan.profile else "this machine"

    def clear_survivors(self) -> None:
        """End whatever engines in the run directory have left."""
        self.here.clear(self.run.id, GRACE, self.note)

    def former_places(self) -> dict[str, Launcher]:
        """By name, where earlier plans of the run have submitted jobs, if that is another place now."""
        if not hasattr(self, "plan"):
            return {}
        others = [p for p in leftovers.plans(self.run.dir) if p.profile != self.plan.profile]
        return {plan.backend: leftovers.launcher(plan, self.run, self.cache) for plan in others}

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

    def wants_stop(self) -> bool:
        """Asked while something is built: whether nobody waits for it any more."""
        self.renew()
        return self.run.stop_requested() is not None

    def is_disk_full(self) -> bool:
        """Whether the disk of the run was full at the last event, or is so now."""
        return self.events.full or shutil.disk_usage(self.run.dir).free < FULL

    def count(self, source: EventSource) -> bool:
        """Append what the engine has reported since the last time; True if anything new was counted."""
        changed = False
        while events := source.read():
            self.lease.require()  # one that slept must not write what its successor has reported
            changed |= self.events.append(events)
            crashpoints.reached("event-folded")
        return self.events.append([]) or changed

    def source(self, epoch: int, cursor: Cursor) -> EventSource:
        """What the engine of an epoch reports behind a cursor, and what its shards do."""
        source = self.engine.events(self.run.dir, epoch, cursor)
        sharding = self.plan.sharding
        if not sharding.size:
            return source
        from esap_wf.running.shards import Journals, ShardedEvents

        state = self.events.state
        done = next((s.done for s in state.steps if s.name == sharding.step), 0)
        announced = epoch == state.fold.epoch and sharding.step in state.fold.planned
        journals = Journals(self.run.dir, sharding, epoch, self.events.journals())
        units = self.plan.units
        return ShardedEvents(source, journals, units, max(0, units - done), announced)

    def note(self, text: str) -> None:
        """Something worth knowing later, in ``events.jsonl``."""
        self.events.append([Event(t=time.time(), kind="note", detail=text)])

    def write(self, phase: Phase, **changes: object) -> None:
        """Write a phase and the counts; a change of phase is an event too."""
        if phase is not self.events.state.phase:
            self.events.append([Event(t=time.time(), kind="phase", phase=phase)])
            changes = {"since": now(), **changes}
        state = msgspec.structs.replace(self.events.state, phase=phase, **changes)
        if phase in states.FINAL:
            state = msgspec.structs.replace(counts.ended(state, phase is Phase.COMPLETED), waiting=[])
            self._report(state)
        try:
            self.events.state = self.run.write_state(state, self.lease)
        except files.NoSpaceError:
            if phase is not Phase.EXECUTING:
                raise
            # a missed checkpoint is no reason to stop an engine
            self.events.state, self.events.full = state, True

    def _report(self, state: State) -> None:
        """The page for people; a run doesn't fail for it."""
        try:
            ends = [end for e in range(1, self.epoch + 1) if (end := attempts.end_of(self.run.dir, e))]
            page = report.page(self.run.dir, self.run.record(), self.plan, state, self.run.accepted(), ends)
            files.write_atomic(self.run.dir / "report.html", page, mode=self.store.file_mode, sync=False)
        except Exception:
            logger.exception("the report of run %s could not be written", self.run.id)
