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

from esap_wf import flow
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
from esap_wf.planning import making
from esap_wf.planning.abilities import SLICES, WHOLE, Places, Way
from esap_wf.request.assembly import Asked, assemble
from esap_wf.running import control
from esap_wf.running.failures import headline
from esap_wf.runs import states
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.store import Run, Store

#: The workflow that is run, its units, and the tag of its runs.
TASK, UNITS, TAG = "noop", 2, "check"
CONTAINER = "container"
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
        ``whole``, ``slices`` or ``container``.
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
        return any(row.ok for row in self.rows) and not any(row.ok is False for row in self.rows)


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
        places.ask(name)
        self._ways = {way.engine: way for way in places.standing(name).ways}
        #: Engines that somebody has written down for it.
        self._named = {*self.profile.engines, *(config.engines if places.is_here(name) else ())}
        #: Whether there is a run that somebody wants to look at, or that may still be at work.
        self._kept = False

    def run(self) -> Outcome:
        """Run the no-ops, one after the other, and tell what came of each."""
        folder = self.config.cache / "check"
        folder.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=folder))
        config, rows = replace(self.config, store=root / "store"), list[Checked]()
        try:
            workflow = workflows.find(config, TASK)
            for implementation in workflow.manifest.implementations:
                for way in self._ways_of(implementation):
                    self._say(f"{implementation.engine}, {way} …")
                    rows.append(self._checked(config, workflow, implementation, way))
        except BaseException:
            self._kept = not _ended(config)
            raise
        finally:
            if not self._kept:
                _remove(config, root)
        return Outcome(rows, config.store if self._kept else None)

    def _ways_of(self, implementation: Implementation) -> Iterator[str]:
        """Whole; in slices, where the place and the workflow can; in a container."""
        way = self._ways.get(implementation.engine)
        yield WHOLE
        if way and SLICES in way.pieces and implementation.map and implementation.join:
            yield SLICES
        if way and (way.containers or self._claims_containers()):
            yield CONTAINER

    def _claims_containers(self) -> bool:
        return self.profile.containers is not None and bool(self.profile.containers.runtimes)

    def _claims(self, engine: str, way: str) -> bool:
        """Whether the place is said to have it."""
        if way == CONTAINER:
            return self._claims_containers()
        return engine in self._ways or engine in self._named

    def _checked(
        self, config: Config, workflow: Workflow, implementation: Implementation, way: str
    ) -> Checked:
        engine = implementation.engine

        def row(ok: bool | None, reason: str = "", seconds: float | None = None) -> Checked:
            return Checked(engine=engine, task=TASK, way=way, ok=ok, reason=reason, wall_seconds=seconds)

        known: Way | None = self._ways.get(engine)
        if known is None and engine not in self._named:
            return row(None, f"{engine} is not there")
        try:
            started = flow.start(self._plan(config, workflow, engine, way), config, flow.IfExists.RERUN)
        except EsapError as error:
            why = "; ".join(p.what for p in error.problems) or error.message
            return row(False if self._claims(engine, way) else None, why.replace("\n", " "))
        state = self._followed(started.run)
        if state.phase is Phase.COMPLETED:
            return row(True, "", _seconds(state))
        self._kept = True
        return row(False, _reason(state, self.patience), _seconds(state))

    def _plan(self, config: Config, workflow: Workflow, engine: str, way: str) -> Plan:
        request = Request(
            workflow=TASK,
            parameters={"units": UNITS},
            backend=self.name,
            engine=engine,
            software=CONTAINER if way == CONTAINER else None,
            resources=ResourceRequest(slices=UNITS if way == SLICES else None),
            tags=[TAG],
        )
        assembled = assemble(Asked(request=request), workflow, config)
        assembled.confirm_valid()
        return making.make(assembled.request, config, assembled.valid)

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
