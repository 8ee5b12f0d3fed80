"""A run is never lost, never has two owners, and its results are accepted once: whatever happens, and wherever a process dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from helpers.paths import ROOT
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from esap_wf.errors import RefusedError
from esap_wf.models.run import Outputs, Phase, State
from esap_wf.runs import claims, crashpoints, lease, processes, states
from esap_wf.runs.index import Index
from esap_wf.runs.lease import FencedError, HeldByOther, Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.run import Run
from esap_wf.runs.store import Store

from .conftest import CRASH_AT, PROGRAMS, Maker

IDENTITY = "ab" * 32


class Died(BaseException):
    """Stands for SIGKILL inside one process: nothing may catch it and clean up."""


def results(run: Run, word: str) -> Outputs:
    return Outputs(run=run.id, epoch=0, accepted=word, outputs=[])


def dying(points: str) -> st.SearchStrategy[str | None]:
    """Nowhere, or at one of some crash points: every second time."""
    names = points.split()
    return st.sampled_from([None] * len(names) + names)


class Life(RuleBasedStateMachine):
    """
    Creators, supervisors, resumers and removers of the runs of one store, each of which may die at any crash point.

    A process is played by a `Holder` with its own pid; `dead` ones are the ones that the store finds gone.
    """

    #: What was seen in all examples together: a machine that never gets anywhere proves nothing.
    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="life-"))
        self.store = Store.open(self.folder / "store", create=True)
        self.make = Maker(self.store)
        self.index = Index.open(self.store, self.folder / "i.sqlite")
        self.pids = self.ids = 0
        self.dead: set[int] = set()
        self.owner: dict[str, Lease] = {}
        self.accepted: dict[str, str] = {}
        self.published: set[str] = set()
        self.removed: set[str] = set()
        self.point: str | None = None
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(crashpoints, "reached", self.reached)
        self.patches.setattr(processes, "alive", lambda holder: holder.pid not in self.dead)
        self.patches.setattr(processes, "me", self.me)
        self.patches.setattr(lease, "me", self.me)
        self.patches.setattr("esap_wf.runs.observing.START_GRACE", 0.0)
        self.present = self.process()

    def teardown(self) -> None:
        self.patches.undo()
        self.index.close()
        shutil.rmtree(self.folder)

    def process(self) -> Holder:
        self.pids += 1
        return Holder(host="here", boot_id="boot", pid=self.pids, start=1)

    def me(self) -> Holder:
        return self.present

    def reached(self, name: str) -> None:
        if name == self.point:
            self.seen[f"died at {name}"] += 1
            raise Died

    def attempt(self, point: str | None, action: Callable[[], None]) -> bool:
        """Do something as a new process, which dies at `point` if it gets there."""
        self.present, self.point = self.process(), point
        try:
            action()
        except Died:
            self.dead.add(self.present.pid)
            return False
        finally:
            self.point = None
        return True

    # --- runs to which something can happen; a rule whose list is empty isn't chosen

    def there(self) -> list[str]:
        return sorted(self.published - self.removed)

    def resumable(self) -> list[str]:
        return [i for i in self.there() if Run(self.store, i).observe().phase in states.RESUMABLE]

    def living(self) -> list[str]:
        return [
            i
            for i in self.there()
            if i in self.owner
            and self.owner[i].holder.pid not in self.dead
            and lease.alive(Run(self.store, i)) is True
        ]

    def working(self) -> list[str]:
        return [
            i for i in self.living() if Run(self.store, i).state().phase in (Phase.QUEUED, Phase.EXECUTING)
        ]

    which = st.integers(0, 3)

    @precondition(lambda self: len(self.there()) < 2)
    @rule(point=dying("claimed staged journaled published"), identity=st.sampled_from(["aa", "bb", "cc"]))
    def create(self, point: str | None, identity: str) -> None:
        self.ids += 1
        run_id = f"{self.ids:016x}"  # not a random one: hypothesis plays the same life again

        def create() -> None:
            claim = claims.claim(self.store, identity * 32, run_id, wait=0)
            if claim.mine:
                staged = self.store.staging(run_id)
                record = self.make.record(run_id, identity=identity * 32)
                self.store.publish(staged, record, State(phase=Phase.PENDING), claim=claim)
            else:
                assert claim.published, "its creator is dead or has published"
                assert claim.run_id in self.published

        self.attempt(point, create)
        if self.store.path_of(run_id).exists():
            self.published.add(run_id)
            self.dead.add(self.present.pid)  # the command ends

    @precondition(lambda self: self.resumable())
    @rule(number=which, point=dying("epoch-taken state-announced state-written"))
    def resume(self, number: int, point: str | None) -> None:
        run_id = self.resumable()[number % len(self.resumable())]
        run = Run(self.store, run_id)

        def resume() -> None:
            owner = Lease.acquire(run, self.present)
            self.owner[run_id] = owner
            run.write_state(State(phase=Phase.QUEUED), owner)

        self.attempt(point, resume)

    @precondition(lambda self: self.living())
    @rule(number=which)
    def a_second_owner_is_refused(self, number: int) -> None:
        run = Run(self.store, self.living()[number % len(self.living())])
        with pytest.raises(HeldByOther):
            Lease.acquire(run, self.process())

    @precondition(lambda self: self.working())
    @rule(
        number=which,
        point=dying("state-announced state-written outputs-accepted final-written"),
        end=st.sampled_from([Phase.COMPLETED, Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.HELD]),
    )
    def work(self, number: int, point: str | None, end: Phase) -> None:
        """The supervisor goes on: to execution, or to an end."""
        run_id = self.working()[number % len(self.working())]
        owner, run = self.owner[run_id], Run(self.store, run_id)
        phase = run.state().phase

        def work() -> None:
            self.present = owner.holder
            if run.accepted() is not None:
                new = Phase.COMPLETED
            elif phase is Phase.QUEUED:
                new = Phase.EXECUTING
            else:
                new = end
            if new is Phase.COMPLETED:
                run.accept(results(run, f"{run_id} by {owner.epoch}"), owner)
            run.write_state(State(phase=new), owner)
            if new is not Phase.EXECUTING:
                owner.release()

        self.attempt(point, work)

    @precondition(lambda self: self.living())
    @rule(number=which)
    def kill(self, number: int) -> None:
        self.dead.add(self.owner[self.living()[number % len(self.living())]].holder.pid)

    @precondition(lambda self: self.working())
    @rule(number=which)
    def a_late_owner_writes_nothing(self, number: int) -> None:
        """It was only asleep: everybody thinks that it is dead, a new owner takes over, and now it wakes up."""
        run_id = self.working()[number % len(self.working())]
        late, run = self.owner[run_id], Run(self.store, run_id)
        self.dead.add(late.holder.pid)
        self.owner[run_id] = Lease.acquire(run, self.process())
        self.seen["late owner"] += 1
        before, accepted = run.state(), run.accepted()
        for action in (
            lambda: run.write_state(State(phase=Phase.QUEUED), late),
            late.renew,
            lambda: run.accept(results(run, "late"), late) if accepted is None else late.require(),
        ):
            with pytest.raises(FencedError):
                action()
        late.release()
        assert run.state() == before
        assert lease.alive(run) is True

    @precondition(lambda self: self.there())
    @rule(number=which, point=dying("epoch-taken tombstone-written run-unlinked"))
    def remove(self, number: int, point: str | None) -> None:
        run_id = self.there()[number % len(self.there())]
        run = Run(self.store, run_id)

        def remove() -> None:
            try:
                self.store.remove(run)
            except RefusedError:
                assert run.observe().phase not in states.REMOVABLE or lease.alive(run)

        self.attempt(point, remove)
        self.dead.add(self.present.pid)
        if self.store.tombstone_path(run_id).exists():
            self.removed.add(run_id)

    @rule()
    def tidy(self) -> None:
        self.store.collect_garbage(older_than=0)
        left = [p.name for p in (self.store.root / "tmp").iterdir()]
        assert left == []
        for run_id in self.removed:
            assert not self.store.path_of(run_id).exists()

    @invariant()
    def no_run_is_lost(self) -> None:
        assert {r.id for r in self.store.runs()} == self.published - self.removed
        for run in self.store.runs():
            run.record()
            state = run.observe()
            if state.phase in states.ACTIVE:
                assert lease.alive(run), "somebody works on what looks active"

    @invariant()
    def identical_runs_are_one(self) -> None:
        identities = [r.record().identity for r in self.store.runs()]
        assert len(identities) == len(set(identities))

    @invariant()
    def results_are_accepted_once(self) -> None:
        for run in self.store.runs():
            accepted = run.outputs()
            if accepted is not None:
                assert self.accepted.setdefault(run.id, accepted.accepted) == accepted.accepted
            self.seen[run.state().phase.value] += 1
            if run.state().phase is Phase.COMPLETED:
                assert (run.dir / "outputs.json").is_file()
            assert accepted is not None or run.id not in self.accepted

    @invariant()
    def the_index_is_never_stale(self) -> None:
        self.index.catch_up()
        assert {r.id: r.phase for r in self.index.page(limit=1000)[0]} == {
            r.id: r.state().phase.value for r in self.store.runs()
        }


Life.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase


def test_that_life_was_full(request: pytest.FixtureRequest) -> None:
    if not Life.seen:
        pytest.skip("runs after the state machine only")
    for phase in ("PENDING", "QUEUED", "EXECUTING"):
        assert Life.seen[phase] > 5, Life.seen
    # which deaths are met is up to chance; each point has its own test below
    assert sum(name.startswith("died at ") for name in Life.seen) >= 4, Life.seen
    assert Life.seen["late owner"], Life.seen


IN_STORE = [
    "claimed",
    "staged",
    "journaled",
    "published",
    "epoch-taken",
    "state-announced",
    "state-written",
    "outputs-accepted",
    "final-written",
    "tombstone-written",
    "run-unlinked",
]


@pytest.mark.faults
@pytest.mark.parametrize("point", IN_STORE)
def test_killed_for_real_and_done_again(store: Store, tmp_path: Path, point: str) -> None:
    """SIGKILL of a real process at each point of the store; the same command once more brings everything to its end."""
    environment = {**os.environ, "PYTHONPATH": f"{PROGRAMS}:{ROOT}"}
    removing = ["remove"] if point in ("tombstone-written", "run-unlinked") else []
    command = [sys.executable, str(CRASH_AT), point, "make_a_run", str(store.root), *removing]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    os.utime(next(store.root.rglob("store.json")))
    again = subprocess.run(
        [sys.executable, "-m", "make_a_run", str(store.root)], env=environment, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    runs = list(store.runs())
    assert len(runs) == 1
    assert runs[0].observe().phase is Phase.COMPLETED
    assert runs[0].outputs() is not None
    store.collect_garbage(older_than=0)
    assert list((store.root / "tmp").iterdir()) == []
    assert [p for p in (store.root / "runs").glob("*/*") if p.name != runs[0].id] == []
    with Index.open(store, tmp_path / "i.sqlite") as index:
        assert [(r.id, r.phase) for r in index.page()[0]] == [(runs[0].id, "COMPLETED")]


def test_points_are_unarmed_by_default_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(number))
    monkeypatch.setattr(crashpoints, "_armed", {})
    for name in crashpoints.NAMES:
        crashpoints.reached(name)
    crashpoints.arm("claimed", nth=3)
    for name in ("claimed", "staged", "claimed"):
        crashpoints.reached(name)
    assert killed == []
    crashpoints.reached("claimed")
    assert killed == [signal.SIGKILL]
    with pytest.raises(ValueError, match="nowhere"):
        crashpoints.arm("nowhere")


def test_crash_at_says_what_it_can_do() -> None:
    done = subprocess.run(
        [sys.executable, str(CRASH_AT), "nowhere", "x"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "epoch-taken" in done.stderr


def test_state_is_stored_as_it_is_read(make: Maker) -> None:
    run = make()
    assert msgspec.json.decode((run.dir / "state.json").read_bytes(), type=State) == run.state()
