"""
Check a place: the no-ops are run there in every engine, in every way that it has. What an operator does at a
new site.

The runs are ordinary ones, in a store of their own that is removed afterwards, unless one has failed.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from esap_wf import flow, plugins
from esap_wf.backends import BackendBase
from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import EsapError
from esap_wf.formats.quantities import human_seconds
from esap_wf.models import Model
from esap_wf.models.manifest import Implementation
from esap_wf.models.place import Profile
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request, ResourceRequest
from esap_wf.models.run import Phase, State
from esap_wf.planning import making, nodes
from esap_wf.planning.abilities import Places
from esap_wf.planning.standings import HERE, NATIVE, SLICES, WHOLE
from esap_wf.request.assembly import Asked, assemble
from esap_wf.running import control
from esap_wf.running.failures import headline
from esap_wf.runs import states
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.store import Run, Store

#: The workflow that is run, its units, and the tag of its runs.
TASK, UNITS, TAG = "noop", 2, "check"
CONTAINER = "container"
#: What a profile says of the nodes' software, and what is said if no job could look.
MOUNTED, UNKNOWN = "mounted", "nobody knows: no job has looked within a few seconds"
#: Seconds that a cancelled run gets to end.
GRACE = 60.0

Say = Callable[[str], None]


class Checked(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    One way to run something at a place.

    Parameters
    ----------
    engine, task : str
    way : str
        ``whole``, ``slices`` or ``container``; where there is a workload manager, ``native`` (the engine
        submits) or ``there`` (pieces) comes before it. Of a path that the profile names: ``mounted``.
    ok : bool, optional
        None: it isn't there, and the place doesn't claim to have it.
    reason : str
        Why it doesn't work, or isn't there.
    wall_seconds : float, optional
        From the start of the run at the place to its end.
    """

    engine: str
    task: str
    way: str
    ok: bool | None
    reason: str = ""
    wall_seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What was checked, and the store that was kept because a run in it failed."""

    rows: list[Checked]
    store: Path | None

    @property
    def ok(self) -> bool:
        """Whether something works, and nothing that the place claims to have doesn't."""
        return any(row.ok for row in self.rows if row.engine) and not any(
            row.ok is False for row in self.rows
        )


@dataclass(frozen=True)
class _Task:
    """What is run: with an engine, in a way of the place, whole, in slices or in a container."""

    engine: str
    way: str
    kind: str


class Check:
    """
    The check of one place.

    Parameters
    ----------
    config : Config
    name : str
        Of the place; it is asked what it has.
    patience : float
        Seconds for one run, in which it may wait, too.
    say : callable
        Told what is done.

    Raises
    ------
    UsageError, UnavailableError, OutageError, NeedsPersonError
        There is no such place, or it can't be asked.
    """

    def __init__(self, config: Config, name: str, patience: float, say: Say) -> None:
        places = Places(config)
        self.config, self.name, self.patience, self._say = config, name, patience, say
        self.profile: Profile = places.profile(name)
        self._kind: BackendBase = plugins.one("esap_wf.backends", self.profile.kind)
        places.ask(name)
        #: Name and profile of each way in which it can be used; a single one needs no name.
        self._profiles = {places.way_of(p): p for p in places.ways(name)} or {HERE: self.profile}
        self._ways = {(way.way, way.engine): way for way in places.standing(name).ways}
        #: Engines that somebody has written down for it.
        self._named = {*self.profile.engines, *(config.engines if places.is_here(name) else ())}
        #: Whether there is a run that somebody wants to look at, or that may still be at work.
        self._kept = False

    def run(self) -> Outcome:
        """Run the no-ops, one after the other, and tell what came of each."""
        folder = self.config.cache / "check"
        if NATIVE in self._profiles:
            # jobs see what is beside the store, if they see that
            folder = self.config.store.with_name(f"{self.config.store.name}-check")
        folder.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        config, rows = replace(self.config, store=root / "store"), list[Checked]()
        try:
            rows += self.mounted()
            workflow = workflows.find(config, TASK)
            for implementation in workflow.manifest.implementations:
                for task in self._tasks_of(implementation):
                    self._say(f"{implementation.engine}, {self._shown(task)} …")
                    rows.append(self._checked(config, workflow, task))
        except BaseException:
            self._kept = not _ended(config)
            raise
        finally:
            if not self._kept:
                _remove(config, root)
        return Outcome(rows, config.store if self._kept else None)

    def mounted(self) -> Iterator[Checked]:
        """What the profile says of the nodes' own software, by a look of a job."""
        claims = nodes.claims(self.profile)
        if not claims:
            return
        self._say(f"{', '.join(claims)} …")
        for path in claims:
            lacks = self._kind.lacking(self.profile, [path])
            why = "" if lacks == [] else "its jobs don't find it" if lacks else UNKNOWN
            yield Checked(
                engine="", task=path, way=MOUNTED, ok=None if lacks is None else not lacks, reason=why
            )

    def _tasks_of(self, implementation: Implementation) -> Iterator[_Task]:
        """In each way: whole; in slices, where the place and the workflow can; in a container."""
        engine = implementation.engine
        known = [name for name in self._profiles if (name, engine) in self._ways]
        # an engine that is nowhere is told once
        for name in known or [*self._profiles][-1:]:
            way = self._ways.get((name, engine))
            yield _Task(engine, name, WHOLE)
            if way and SLICES in way.pieces and implementation.map and implementation.join:
                yield _Task(engine, name, SLICES)
            if way and (way.containers or self._claims_containers()):
                yield _Task(engine, name, CONTAINER)

    def _shown(self, task: _Task) -> str:
        """``native``, ``there, container``; where there is no workload manager ``whole``, ``container``."""
        if NATIVE not in self._profiles:
            return task.kind
        return task.way if task.kind == WHOLE else f"{task.way}, {task.kind}"

    def _claims_containers(self) -> bool:
        return self.profile.containers is not None and bool(self.profile.containers.runtimes)

    def _claims(self, task: _Task) -> bool:
        """Whether the place is said to have it."""
        if task.kind == CONTAINER:
            return self._claims_containers()
        return (task.way, task.engine) in self._ways or task.engine in self._named

    def _checked(self, config: Config, workflow: Workflow, task: _Task) -> Checked:
        def row(ok: bool | None, reason: str = "", seconds: float | None = None) -> Checked:
            return Checked(
                engine=task.engine,
                task=TASK,
                way=self._shown(task),
                ok=ok,
                reason=reason,
                wall_seconds=seconds,
            )

        if (task.way, task.engine) not in self._ways and task.engine not in self._named:
            return row(None, f"{task.engine} is not there")
        try:
            started = flow.start(self._plan(config, workflow, task), config, flow.IfExists.RERUN)
        except EsapError as error:
            why = "; ".join(p.what for p in error.problems) or error.message
            return row(False if self._claims(task) else None, why.replace("\n", " "))
        state = self._followed(started.run)
        if state.phase is Phase.COMPLETED:
            return row(True, "", _seconds(state))
        self._kept = True
        return row(False, _reason(state, self.patience), _seconds(state))

    def _plan(self, config: Config, workflow: Workflow, task: _Task) -> Plan:
        request = Request(
            workflow=TASK,
            parameters={"units": UNITS},
            backend=self.name,
            engine=task.engine,
            software=CONTAINER if task.kind == CONTAINER else None,
            resources=ResourceRequest(slices=UNITS if task.kind == SLICES else None),
            tags=[TAG],
        )
        assembled = assemble(Asked(request=request), workflow, config)
        assembled.confirm_valid()
        way = self._profiles[task.way] if len(self._profiles) > 1 else None
        return making.make(assembled.request, config, assembled.valid, way)

    def _followed(self, run: Run) -> State:
        """The last state of a run; one that takes too long, or waits for a person, is cancelled."""
        state = flow.follow(run, until=time.monotonic() + self.patience)
        if state.phase not in states.FINAL:
            _cancel(run)
        return state


def _cancel(run: Run) -> bool:
    """Stop a run; False if it hasn't ended in some time."""
    with contextlib.suppress(EsapError):
        control.cancel(run)
    return flow.follow(run, until=time.monotonic() + GRACE).phase in states.FINAL


def _ended(config: Config) -> bool:
    """End what is at work in the store of the check; False if that has not worked."""
    try:
        store = Store.open(config.store)
    except EsapError:
        return True
    left = [run for run in map(store.run, store.ids()) if run.observe().phase not in states.FINAL]
    return sum(not _cancel(run) for run in left) == 0


def _seconds(state: State) -> float | None:
    if not state.started or not state.ended:
        return None
    begin, end = (datetime.fromisoformat(moment) for moment in (state.started, state.ended))
    return round((end - begin).total_seconds(), 3)


def _reason(state: State, patience: float) -> str:
    if state.phase in states.ACTIVE:
        after = f"it was not done after {human_seconds(patience)}, and was cancelled"
        return f"{after}: {state.reason}" if state.reason else after
    if state.failures:
        return headline(state.failures[0], "")
    return state.reason or f"it is {state.phase}"


def _remove(config: Config, root: Path) -> None:
    """Nothing is left, in the cache neither."""
    with contextlib.suppress(EsapError):
        for index in (config.cache / "index").glob(f"{Store.open(config.store).id}-*"):
            index.unlink(missing_ok=True)
    delete_tree(root)
