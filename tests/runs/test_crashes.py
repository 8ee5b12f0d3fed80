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
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from esap_wf.errors import EsapError, RefusedError
from esap_wf.models.run import Outputs, Phase, State
from esap_wf.runs import claims, crashpoints, lease, processes, states
from esap_wf.runs.index import Index
from esap_wf.runs.lease import HeldByOther, Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.run import Run
from esap_wf.runs.store import Store

from .conftest import CRASH_AT, ROOT, Maker

IDENTITY = "ab" * 32


class Died(BaseException):
    """Stands for SIGKILL inside one process: nothing may catch it and clean up."""


def results(run: Run, word: str) -> Outputs:
    return Outputs(run=run.id, epoch=0, accepted=word, outputs=[])


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
        self.pids = 0
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
        self.patches.setattr("esap_wf.runs.run.START_GRACE", 0.0)
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

    def pick(self, number: int) -> str | None:
        there = sorted(self.published - self.removed)
        return there[number % len(there)] if there else None

    points = st.sampled_from([None] * 2 * len(crashpoints.NAMES) + list(crashpoints.NAMES))
    which = st.integers(0, 3)

    @rule(point=points, identity=st.sampled_from(["aa", "bb", "cc"]))
    def create(self, point: str | None, identity: str) -> None:
        run_id = self.store.new_id()

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

    @rule(number=which, point=points)
    def resume(self, number: int, point: str | None) -> None:
        run_id = self.pick(number)
        if run_id is None:
            return
        run = Run(self.store, run_id)
        if run.observe().phase not in states.RESUMABLE:
            return

        def resume() -> None:
            owner = Lease.acquire(run, self.present)
            self.owner[run_id] = owner
            run.write_state(State(phase=Phase.QUEUED), owner)

        had = self.owner.get(run_id)
        assert had is None or had.holder.pid in self.dead or lease.alive(run) is False
        self.attempt(point, resume)

    @rule(number=which)
    def a_second_owner_is_refused(self, number: int) -> None:
        run_id = self.pick(number)
        owner = self.owner.get(run_id or "")
        if run_id is None or owner is None or owner.holder.pid in self.dead or lease.alive(Run(self.store, run_id)) is False:
            return
        with pytest.raises(HeldByOther):
            Lease.acquire(Run(self.store, run_id), self.process())

    @rule(number=which, point=points, end=st.sampled_from([Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.HELD]))
    def work(self, number: int, point: str | None, end: Phase) -> None:
        """The supervisor goes on: to execution, or to an end."""
        run_id = self.pick(number)
        owner = self.owner.get(run_id or "")
        if run_id is None or owner is None or owner.holder.pid in self.dead:
            return
        run = Run(self.store, run_id)
        phase = run.state().phase
        if lease.alive(run) is False or phase not in (Phase.QUEUED, Phase.EXECUTING):
            return

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

    @rule(number=which)
    def kill(self, number: int) -> None:
        run_id = self.pick(number)
        if run_id in self.owner:
            self.dead.add(self.owner[run_id].holder.pid)

    @rule(number=which)
    def a_late_owner_writes_nothing(self, number: int) -> None:
        """It was only asleep: everybody thinks that it is dead, a new owner took over, and now it wakes up."""
        run_id = self.pick(number)
        owner = self.owner.get(run_id or "")
        if run_id is None or owner is None or owner.holder.pid not in self.dead:
            return
        run = Run(self.store, run_id)
        if lease.latest_epoch(run) == owner.epoch:
            return
        self.seen["late owner"] += 1
        before, accepted = run.state(), run.accepted()
        for action in (
            lambda: run.write_state(State(phase=Phase.QUEUED), owner),
            owner.renew,
            lambda: run.accept(results(run, "late"), owner) if accepted is None else owner.require(),
        ):
            with pytest.raises(EsapError):
                action()
        assert run.state() == before

    @rule(number=which, point=points)
    def remove(self, number: int, point: str | None) -> None:
        run_id = self.pick(number)
        if run_id is None:
            return
        run = Run(self.store, run_id)

        def remove() -> None:
            try:
                self.store.remove(run)
            except RefusedError:
                assert run.observe().phase not in states.REMOVABLE or lease.alive(run)

        self.attempt(point, remove)
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
        assert {r.id: r.phase for r in self.index.page(limit=1000)[0]} == {r.id: r.state().phase.value for r in self.store.runs()}


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestLife = Life.TestCase


def test_that_life_was_full(request: pytest.FixtureRequest) -> None:
    if not Life.seen:
        pytest.skip("runs after the state machine only")
    for phase in ("PENDING", "QUEUED", "EXECUTING", "COMPLETED", "ERROR"):
        assert Life.seen[phase] > 5, Life.seen
    for point in ("claimed", "journaled", "published", "epoch-taken", "state-announced", "outputs-accepted"):
        assert Life.seen[f"died at {point}"], Life.seen
    assert Life.seen["late owner"], Life.seen


VICTIM = """
import sys
from pathlib import Path
from esap_wf.models.run import *
from esap_wf.runs import claims
from esap_wf.runs.lease import Lease
from esap_wf.runs.store import Run, Store

store = Store.open(Path(sys.argv[1]))
claim = claims.claim(store, "ab" * 32, store.new_id())
run = store.run(claim.run_id) if claim.published else None
if claim.mine:
    record = RunRecord(id=claim.run_id, workflow="toy", version="1", created=now(), owner="me", host="h", identity="ab" * 32)
    run = store.publish(store.staging(claim.run_id), record, State(phase=Phase.PENDING), claim=claim)
if run.state().phase is not Phase.COMPLETED:
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    run.write_state(State(phase=Phase.EXECUTING), owner)
    run.accept(Outputs(run=run.id, epoch=0, accepted=now(), outputs=[]), owner)
    run.write_state(State(phase=Phase.COMPLETED), owner)
    owner.release()
if sys.argv[2:] == ["remove"]:
    store.remove(run)
"""

IN_STORE = [
    "claimed", "staged", "journaled", "published", "epoch-taken", "state-announced", "state-written", "outputs-accepted", "final-written",
    "tombstone-written", "run-unlinked",
]  # fmt: skip


@pytest.mark.faults
@pytest.mark.parametrize("point", IN_STORE)
def test_killed_for_real_and_done_again(store: Store, tmp_path: Path, point: str) -> None:
    """SIGKILL of a real process at each point of the store; the same command once more brings everything to its end."""
    (tmp_path / "victim.py").write_text(VICTIM)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    removing = ["remove"] if point in ("tombstone-written", "run-unlinked") else []
    command = [sys.executable, str(CRASH_AT), point, "victim", str(store.root), *removing]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    os.utime(next(store.root.rglob("store.json")))
    again = subprocess.run([sys.executable, "-m", "victim", str(store.root)], env=environment, capture_output=True, text=True)
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
    crashpoints.reached("claimed"), crashpoints.reached("staged"), crashpoints.reached("claimed")
    assert killed == []
    crashpoints.reached("claimed")
    assert killed == [signal.SIGKILL]
    with pytest.raises(ValueError, match="nowhere"):
        crashpoints.arm("nowhere")


def test_crash_at_says_what_it_can_do() -> None:
    done = subprocess.run(
        [sys.executable, str(CRASH_AT), "nowhere", "x"], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "epoch-taken" in done.stderr


def test_state_is_stored_as_it_is_read(make: Maker) -> None:
    run = make()
    assert msgspec.json.decode((run.dir / "state.json").read_bytes(), type=State) == run.state()
