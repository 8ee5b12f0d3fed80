"""The engine that a lost owner left: what is seen of it, what is decided, and that the log says both."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from esap_wf import files
from esap_wf.models.run import Phase, RunRecord, State, now
from esap_wf.running import adoption
from esap_wf.running.ownership import Ownership
from esap_wf.runs import attempts
from esap_wf.runs.lease import Lease
from esap_wf.runs.processes import Holder, me
from esap_wf.runs.store import Run, Store

EXECUTING, ERROR = State(phase=Phase.EXECUTING), State(phase=Phase.ERROR)
FAR = Holder(host="far-away", boot_id="another-boot", pid=1, start=1)


def gone() -> Holder:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return msgspec.structs.replace(me(), pid=child.pid, start=1)


@pytest.fixture
def owner(tmp_path: Path) -> Ownership:
    """The second owner of a run, whose first one is gone."""
    store = Store.open(tmp_path / "store", create=True)
    run_id = store.new_id()
    record = RunRecord(id=run_id, workflow="toy", version="1", created=now(), owner="me", host="here")
    run = store.publish(store.staging(run_id), record, State(phase=Phase.PENDING))
    (run.dir / "engine").mkdir()
    Lease.acquire(run, gone())
    found = Ownership(store, run, tmp_path / "cache")
    found.acquire()
    found.open_events()
    return found


def engine(run: Run, holder: Holder, exit_code: int | None = None) -> None:
    """Record an engine of the first epoch."""
    process = attempts.EngineProcess(epoch=1, engine=holder, keeper=holder)
    files.write_atomic(run.dir / "engine" / "1.json", msgspec.json.encode(process))
    if exit_code is not None:
        end = attempts.EngineExit(exit_code=exit_code)
        files.write_atomic(run.dir / "engine" / "1.exit.json", msgspec.json.encode(end))


@pytest.mark.parametrize(
    ("holder", "exit_code", "before", "adoptable", "seen"),
    [
        (me(), None, EXECUTING, True, "is alive"),
        (me(), None, ERROR, True, "is alive"),
        (gone(), None, EXECUTING, False, "is gone"),
        (FAR, None, EXECUTING, None, "can't be asked: process 1 on far-away is out of reach from here"),
        (gone(), 0, EXECUTING, True, "has ended with exit code 0 while nobody watched"),
        (gone(), 3, EXECUTING, False, "has ended with exit code 3 while nobody watched"),
        (gone(), 0, ERROR, False, "has ended with exit code 0, and what it left was not accepted"),
    ],
)
def test_what_is_seen_of_a_former_engine_is_in_the_log(
    owner: Ownership,
    caplog: pytest.LogCaptureFixture,
    holder: Holder,
    exit_code: int | None,
    before: State,
    adoptable: bool | None,
    seen: str,
) -> None:
    engine(owner.run, holder, exit_code)
    with caplog.at_level(logging.INFO, "esap_wf"):
        former = adoption.former_engine(owner, before)
    assert former is not None
    assert former.adoptable is adoptable
    assert f"the engine of epoch 1 {seen}" in caplog.text


def test_one_that_was_given_up_is_not_adopted(owner: Ownership) -> None:
    engine(owner.run, me())
    attempts.declare_void(owner.run.dir, 1)
    former = adoption.former_engine(owner, EXECUTING)
    assert former is not None
    assert (former.adoptable, former.why) == (False, "was given up by a later owner")


def test_the_decision_to_adopt_is_in_the_log(owner: Ownership, caplog: pytest.LogCaptureFixture) -> None:
    engine(owner.run, me())
    owner.write(Phase.QUEUED)
    former = adoption.former_engine(owner, EXECUTING)
    assert former is not None
    assert former.adoptable
    with caplog.at_level(logging.INFO, "esap_wf"):
        adoption.adopt(owner, former)
    assert "decided: the engine of epoch 1 is adopted, because it is alive" in caplog.text
    assert (owner.epoch, owner.run.state().phase) == (1, Phase.EXECUTING)


def test_nothing_is_seen_where_no_engine_was_started(owner: Ownership) -> None:
    assert adoption.former_engine(owner, EXECUTING) is None


def test_one_out_of_reach_that_gives_a_sign_of_life_is_adopted(
    owner: Ownership, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine(owner.run, FAR)
    waits = iter(range(10))

    def wait(seconds: float) -> None:
        if next(waits) == 3:
            attempts.beat_path(owner.run.dir, 1).touch()

    monkeypatch.setattr(owner.here, "wait", wait)
    owner.write(Phase.QUEUED)
    with caplog.at_level(logging.INFO, "esap_wf"):
        former = adoption.certain(owner, adoption.former_engine(owner, EXECUTING), EXECUTING)
    assert owner.run.state().reason == "watching for signs of life of its engine on far-away"
    assert former is not None and former.adoptable
    assert caplog.text.count("can't be asked") == 1, "the log says it once"
    adoption.adopt(owner, former)
    assert owner.run.state().reason == "its engine is running on far-away, out of reach from here"


def test_one_out_of_reach_without_a_sign_of_life_is_not_adopted(
    owner: Ownership, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(owner.run, FAR)
    monkeypatch.setattr("esap_wf.backends.local.launcher.TTL", 0.2)
    owner.write(Phase.QUEUED)
    former = adoption.certain(owner, adoption.former_engine(owner, EXECUTING), EXECUTING)
    assert former is not None
    assert (former.adoptable, "no sign of life" in former.why) == (False, True)


def test_one_that_is_not_adopted_is_given_up_before_another_starts(owner: Ownership) -> None:
    engine(owner.run, FAR)
    adoption.give_up(owner, None)
    assert attempts.is_void(owner.run.dir, 1)
    assert not attempts.is_void(owner.run.dir, owner.lease.epoch)


def test_what_is_left_is_looked_for_here_though_no_plan_can_be_read(owner: Ownership) -> None:
    """A broken plan must not hide an engine that is still alive."""
    (owner.run.dir / "plan.json").write_text("{")
    engine(owner.run, me())
    former = adoption.former_engine(owner, EXECUTING)
    assert former is not None and former.adoptable
