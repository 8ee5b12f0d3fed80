"""Claims, leases and processes: one owner, whatever happens at once."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from helpers.waiting import until

from esap_wf import files, flow
from esap_wf.errors import RefusedError, UsageError
from esap_wf.models.run import Phase, State, encode
from esap_wf.running import control
from esap_wf.runs import claims, lease, processes
from esap_wf.runs.lease import HeldByOther, Lease
from esap_wf.runs.processes import Holder
from esap_wf.runs.run import Run
from esap_wf.runs.store import Store

from .conftest import Maker, program
from .test_store import finish

IDENTITY = "ab" * 32


class Racers:
    """Real processes that all do one thing at the same moment, many rounds."""

    def __init__(self, what: str, store: Store, rounds: int, number: int = 3) -> None:
        self.all = [
            program("race", what, str(store.root), str(rounds), stdin=subprocess.PIPE) for _ in range(number)
        ]

    def round(self, word: str) -> list[list[str]]:
        for racer in self.all:
            assert racer.stdin and racer.stdout and racer.stderr
            assert racer.stdout.readline() == "ready\n", racer.stderr.read()
            racer.stdin.write(word + "\n")
        for racer in self.all:
            assert racer.stdin
            racer.stdin.flush()
        return [racer.stdout.readline().split() for racer in self.all if racer.stdout]

    def end(self) -> None:
        for racer in self.all:
            racer.kill()
            racer.communicate()


def test_racing_claims_have_one_winner(store: Store) -> None:
    racers = Racers("claim", store, 80)
    try:
        for n in range(40):
            identity = f"{n:064x}"
            answers = racers.round(f"{identity} 0")
            assert sorted(a[0] for a in answers) == ["False", "False", "True"]
            assert len({a[1] for a in answers}) == 1, "the others attach to the winner's run"
            Maker(store)(id=answers[0][1], identity=identity)
            again = racers.round(f"{identity} 1")
            assert sorted(a[0] for a in again) == ["False", "False", "True"], "two reruns at once are one"
            assert {a[2] for a in again} == {"2"}
    finally:
        racers.end()


def test_racing_resumes_have_one_winner(store: Store, make: Maker) -> None:
    racers = Racers("lease", store, 40)
    try:
        for _ in range(40):
            run = make()
            finish(run, Phase.ERROR)
            answers = racers.round(run.id)
            assert sorted(a[0] for a in answers) == ["False", "False", "True"]
            assert lease.latest_epoch(run) == 2
    finally:
        racers.end()


def test_a_claim_leads_to_its_run(store: Store, make: Maker) -> None:
    first = claims.claim(store, IDENTITY, store.new_id())
    assert first.mine
    run = make(id=first.run_id)
    second = claims.claim(store, IDENTITY, store.new_id())
    assert (second.mine, second.run_id, second.published) == (False, run.id, True)
    rerun = claims.claim(store, IDENTITY, store.new_id(), renew_from=second.generation)
    assert (rerun.mine, rerun.generation) == (True, 2)
    assert claims.claim(store, IDENTITY, store.new_id(), renew_from=1, wait=0).run_id == rerun.run_id
    assert claims.holds(store, rerun)
    assert not claims.holds(store, first)


def test_a_removed_run_frees_its_identity(store: Store, make: Maker) -> None:
    first = claims.claim(store, IDENTITY, store.new_id())
    run = make(id=first.run_id)
    finish(run)
    store.remove(run)
    assert claims.claim(store, IDENTITY, store.new_id()).mine


def test_a_dead_creator_frees_its_identity(store: Store, gone: Holder, far: Holder) -> None:
    assert claims.claim(store, IDENTITY, store.new_id(), holder=gone).mine
    assert claims.claim(store, IDENTITY, store.new_id(), holder=far).mine
    third = claims.claim(store, IDENTITY, store.new_id(), wait=0.1)
    assert (third.mine, third.published) == (False, False), "far away, and young"
    path = store.root / "claims" / IDENTITY[:2] / f"{IDENTITY}.2.json"
    os.utime(path, (time.time() - lease.TTL - 5,) * 2)
    assert claims.claim(store, IDENTITY, store.new_id()).mine


def test_one_waits_for_a_living_creator(store: Store, make: Maker) -> None:
    first = claims.claim(store, IDENTITY, store.new_id())
    timer = threading.Timer(0.3, lambda: make(id=first.run_id))
    timer.start()
    second = claims.claim(store, IDENTITY, store.new_id(), wait=10)
    timer.join()
    assert (second.mine, second.published) == (False, True)


def test_a_creator_that_gave_up_is_not_waited_for(store: Store) -> None:
    first = claims.claim(store, IDENTITY, store.new_id())
    store.abandon(first)
    assert claims.claim(store, IDENTITY, store.new_id(), wait=0).generation == 2


def test_a_creator_that_slept_too_long_publishes_nothing(store: Store, make: Maker, far: Holder) -> None:
    slow = claims.claim(store, IDENTITY, store.new_id(), holder=far)
    os.utime(store.root / "claims" / IDENTITY[:2] / f"{IDENTITY}.1.json", (1, 1))
    assert claims.claim(store, IDENTITY, store.new_id()).mine
    with pytest.raises(Exception, match="identical run was started in the meantime"):
        store.publish(
            store.staging(slow.run_id), make.record(slow.run_id), State(phase=Phase.PENDING), claim=slow
        )
    assert not store.run_exists(slow.run_id)


def test_a_claim_lost_at_the_very_moment_of_publishing(
    store: Store, make: Maker, far: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = claims.claim(store, IDENTITY, store.new_id(), holder=far)
    staged = store.staging(slow.run_id)
    rename = Path.rename
    successors = []

    def late(self: Path, target: Path) -> Path:
        if self == staged:
            os.utime(store.root / "claims" / IDENTITY[:2] / f"{IDENTITY}.1.json", (1, 1))
            successors.append(claims.claim(store, IDENTITY, store.new_id()))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(RefusedError, match="identical run was started in the meantime"):
        store.publish(staged, make.record(slow.run_id), State(phase=Phase.PENDING), claim=slow)
    assert successors[0].mine
    assert not store.run_exists(slow.run_id)
    assert not store.path_of(slow.run_id).exists()
    store.abandon(slow)  # what `start` does then


def test_claims_check_what_they_are_given(store: Store) -> None:
    for identity in ("../../x", "", "ABCDEF00", "ab/cd"):
        with pytest.raises(UsageError):
            claims.claim(store, identity, store.new_id())
    with pytest.raises(UsageError):
        claims.claim(store, IDENTITY, "../x")


def test_a_living_owner_keeps_the_run(make: Maker) -> None:
    run = make()
    owner = Lease.acquire(run)
    other = msgspec.structs.replace(processes.me(), pid=1, start=processes.start_time(1) or 0)
    with pytest.raises(HeldByOther, match="is owned by process"):
        Lease.acquire(run, other)
    assert lease.alive(run) is True
    owner.release()
    assert lease.alive(run) is False
    assert Lease.acquire(run, other).epoch == 2


def test_an_owner_far_away_is_watched(make: Maker, far: Holder) -> None:
    run = make()
    owner = Lease.acquire(run, far)
    assert lease.alive(run) is None
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.05):
            owner.renew()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert lease.watch(run, 60, pause=0.02)
        with pytest.raises(HeldByOther):
            Lease.acquire(run, wait=60)
    finally:
        stop.set()
        thread.join()
    begin = time.monotonic()
    assert Lease.acquire(run, wait=0.3).epoch == 2
    assert time.monotonic() - begin >= 0.3


def test_the_clock_of_another_host_does_not_matter(make: Maker, far: Holder) -> None:
    run = make()
    Lease.acquire(run, far)
    os.utime(run.dir / "lease.json", (1, 1))
    assert lease.alive(run) is None


def test_who_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_machine", lambda: "m1")
    me = processes.me()
    change = msgspec.structs.replace
    assert processes.alive(me) is True
    assert processes.alive(change(me, start=me.start + 1)) is False, "the pid was given to another process"
    assert processes.alive(change(me, boot_id="before")) is False, "this machine was restarted"
    assert processes.alive(change(me, boot_id="before", machine="m2")) is None, "a clone with the same name"
    assert processes.alive(change(me, boot_id="before", machine="")) is None, (
        "written before machines were told apart"
    )
    assert processes.alive(change(me, boot_id="before", host="elsewhere")) is None
    assert processes.alive(change(me, boot_id="before", host="localhost")) is None or me.host != "localhost"
    assert processes.alive(change(me, space="pid:[1]")) is None, "another container"
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert processes.start_time(child.pid) is None, "a zombie writes nothing any more"
    child.wait()


def test_survivors_are_found_and_ended() -> None:
    run_id = "00112233445566aa"
    sleep = "import signal, time, sys; {}; print('up', flush=True); time.sleep(60)"
    environment = {**os.environ, processes.RUN_VARIABLE: run_id}
    kind = subprocess.Popen(
        [sys.executable, "-c", sleep.format("pass")], env=environment, stdout=subprocess.PIPE
    )
    hard = sleep.format("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    stubborn = subprocess.Popen([sys.executable, "-c", hard], env=environment, stdout=subprocess.PIPE)
    clean = {k: v for k, v in os.environ.items() if k != processes.RUN_VARIABLE}
    leader = subprocess.Popen(
        [sys.executable, "-c", sleep.format("pass")],
        env=clean,
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    stranger = subprocess.Popen(
        [sys.executable, "-c", sleep.format("pass")],
        env={**clean, processes.RUN_VARIABLE: "f" * 16},
        stdout=subprocess.PIPE,
    )
    everyone = [kind, stubborn, leader, stranger]
    try:
        for child in everyone:
            assert child.stdout and child.stdout.readline() == b"up\n"
        session = msgspec.structs.replace(
            processes.me(), pid=leader.pid, start=processes.start_time(leader.pid)
        )
        found = processes.survivors(run_id, [session])
        assert {s.pid for s in found} == {kind.pid, stubborn.pid, leader.pid}
        assert {s.pid for s in processes.survivors(run_id, [msgspec.structs.replace(session, start=1)])} == {
            kind.pid,
            stubborn.pid,
        }
        wrong = [processes.Survivor(pid=stranger.pid, name="", start=1)]
        assert processes.terminate(wrong, 0.1) == []
        assert stranger.poll() is None, "a pid that was given away is left alone"
        assert processes.terminate([s for s in found if s.pid != stubborn.pid], 60) == []
        assert processes.terminate([s for s in found if s.pid == stubborn.pid], 0.5) == []
        assert processes.survivors(run_id, [session]) == []
        assert (kind.wait(), stubborn.wait()) == (-15, -9)
        assert stranger.poll() is None
    finally:
        for child in everyone:
            child.kill()
            child.communicate()


def test_a_broken_claim_is_an_error_not_a_second_run(store: Store) -> None:
    claims.claim(store, IDENTITY, store.new_id())
    (store.root / "claims" / IDENTITY[:2] / f"{IDENTITY}.1.json").write_bytes(b"{")
    with pytest.raises(UsageError, match="is broken"):
        claims.claim(store, IDENTITY, store.new_id())


def test_the_present_owner_is_shown_before_its_first_heartbeat(make: Maker, far: Holder) -> None:
    run = make()
    Lease.acquire(run).release()
    (run.dir / "epochs" / "2").write_bytes(encode(lease.Epoch(epoch=2, holder=far, taken="")))
    latest = run.owner_lease()
    assert latest is not None
    assert (latest.epoch, latest.holder, latest.released) == (2, far, False)


def owned_far_away(make: Maker, far: Holder) -> Run:
    run = make()
    owner = Lease.acquire(run, far)
    for phase in (Phase.QUEUED, Phase.EXECUTING):
        run.write_state(State(phase=phase), owner)
    return Run(run.store, run.id)


def test_a_silent_owner_far_away_is_judged_by_those_who_act(
    make: Maker, far: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL", 0.3)
    told: list[str] = []
    run = owned_far_away(make, far)
    assert run.observe().phase is Phase.EXECUTING, "one look proves nothing"
    assert run.observe(told.append).phase is Phase.UNKNOWN
    assert len(told) == 1
    assert "process 1 on far-away" in told[0]
    started = Run(run.store, run.id)  # as a supervisor does
    started.presume_dead(run.presumed_dead())
    assert Lease.acquire(started, wait=1e6).epoch == 2, "it is not watched twice"
    assert run.presumed_dead() == ""
    assert run.observe(told.append).phase is Phase.EXECUTING
    assert len(told) == 1, "this owner can be asked"


def test_an_owner_far_away_that_beats_is_left_alone(
    make: Maker, far: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL", 1e6)
    run = owned_far_away(make, far)
    beats = iter(range(1, 1000))

    def nap(seconds: float) -> None:
        latest = lease.LeaseFile(epoch=1, holder=far, seq=100 + next(beats))
        files.write_atomic(run.dir / "lease.json", encode(latest))

    monkeypatch.setattr(time, "sleep", nap)
    assert run.observe(lambda _: None).phase is Phase.EXECUTING
    with pytest.raises(RefusedError, match="EXECUTING"):
        make.store.remove(run, lambda _: None)
    with pytest.raises(RefusedError, match="EXECUTING"):
        control.resume(run, lambda _: None)


def test_who_follows_a_silent_owner_far_away_comes_to_an_end(
    make: Maker, far: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL", 0.3)
    state = flow.follow(owned_far_away(make, far))
    assert state.phase is Phase.UNKNOWN
    assert "far-away" in state.reason


def test_a_run_of_a_silent_owner_far_away_can_be_stopped_and_removed(
    make: Maker, far: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL", 0.3)
    started: list[str] = []
    monkeypatch.setattr(control, "spawn", lambda run: started.append(run.id))
    run = owned_far_away(make, far)
    with pytest.raises(RefusedError, match="EXECUTING"):
        make.store.remove(Run(run.store, run.id))
    assert control.cancel(run, False, lambda _: None).phase is Phase.UNKNOWN
    assert started == [run.id], "a supervisor writes the last state"
    assert run.stop_requested() is not None
    make.store.remove(Run(run.store, run.id), lambda _: None)
    assert not run.exists()


class Refused:
    """A supervisor that found the run owned, and went."""

    pid = -1

    def poll(self) -> int:
        return 0


def test_resume_between_the_last_state_and_its_release(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    owner = Lease.acquire(run)
    for phase in (Phase.QUEUED, Phase.ERROR):
        run.write_state(State(phase=phase), owner)
    started: list[object] = []

    def spawn(_: Run) -> object:
        started.append(None)
        if len(started) == 1:
            owner.release()
            return Refused()
        mine = Lease.acquire(run)
        run.write_state(
            State(phase=Phase.QUEUED), mine
        )  # a supervisor's first word, for which `resume` waits
        process = Refused()
        process.pid = os.getpid()
        return process

    monkeypatch.setattr(control, "spawn", spawn)
    assert control.resume(run)
    assert lease.latest_epoch(run) == 2
    assert len(started) == 2


def test_resume_does_not_start_supervisors_for_ever(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    finish(run, Phase.ERROR)
    started: list[object] = []
    monkeypatch.setattr(control, "spawn", lambda run: (started.append(None), Refused())[1])
    control.resume(run)
    assert len(started) == control.RETRIES


def test_the_environment_does_not_say_who_somebody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert processes.user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)
    assert processes.user() == "4000000123"
