"""Engines on this machine: started, seen, asked to end and found again, by real processes."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from helpers.waiting import until

from esap_wf.backends import Condition, Launcher, OutageError, Part, Piece, Profile, Seen, Served, Signal
from esap_wf.backends.local import Local
from esap_wf.backends.local import launcher as local
from esap_wf.models.plan import Allocation
from esap_wf.runs import attempts, processes
from esap_wf.runs.processes import Holder

NEEDS = Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1)
FAR = Holder(host="far-away", boot_id="another-boot", pid=1, start=1)
#: Waits without a job of its own.
ALONE = "echo begun > begun; read -r line < gate; exit ${line:-0}"
WITH_A_JOB = "sleep 600 & echo begun > begun; wait"


class Here:
    """A run directory, and what starts engines in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, uuid.uuid4().hex
        for name in ("engine", "logs"):
            (folder / name).mkdir(parents=True)
        os.mkfifo(folder / "gate")
        self.key = f"{self.run}.1"
        self.launcher = self.another()

    def another(self) -> Launcher:
        """As another process would have it."""
        made = Local().launcher(Profile(name="local"), self.folder)
        made.serve(Served(self.run, self.folder))
        return made

    def piece(self, script: str) -> Piece:
        environment = {"PATH": os.environ["PATH"]}
        return Piece(self.key, self.folder, ("bash", "-c", script), NEEDS, environment)

    def start(self, script: str) -> None:
        self.launcher.start([self.piece(script)])
        until((self.folder / "begun").exists, what="the engine", detail=self.log)
        until(lambda: attempts.of(self.folder, 1), what="its keeper's word")

    def log(self) -> str:
        return (self.folder / "logs" / "engine.log").read_text()

    def seen(self, launcher: Launcher | None = None) -> Seen:
        return (launcher or self.launcher).look({self.key: None})[self.key]

    def over(self) -> Seen:
        """Once nothing of the engine is to be waited for."""
        over = (Condition.ENDED, Condition.GONE)
        until(lambda: self.seen().condition in over, what="the end", detail=self.seen)
        return self.seen()

    def stop(self, number: int, to_jobs: bool) -> None:
        self.launcher.stop({self.key: None}, Signal(number, to_jobs))

    def process(self) -> attempts.EngineProcess:
        found = attempts.of(self.folder, 1)
        assert found is not None
        return found

    def record(self, holder: Holder) -> None:
        """As the engine of the first epoch."""
        process = attempts.EngineProcess(epoch=1, engine=holder, keeper=holder)
        (self.folder / "engine" / "1.json").write_bytes(msgspec.json.encode(process))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    before = signal.getsignal(signal.SIGCHLD)
    made = Here(tmp_path / "run")
    yield made
    if (known := attempts.of(made.folder, 1)) and known.keeper != FAR and processes.alive(known.keeper):
        processes.kill_tree(known.keeper.pid)
    processes.terminate(processes.survivors(made.run), 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


def test_an_engine_is_seen_from_its_start_to_its_end(here: Here) -> None:
    here.start(ALONE)
    running = here.seen()
    assert (running.condition, running.where) == (Condition.RUNNING, os.uname().nodename)
    assert running.root == str(here.folder.resolve())
    (here.folder / "gate").write_text("3\n")
    ended = here.over()
    assert (ended.condition, ended.exit_code, ended.orphans) == (Condition.ENDED, 3, False)
    assert ended.usage.cpu_seconds is not None and ended.usage.max_rss_bytes
    assert here.seen(here.another()) == ended, "whoever asks later is told the same"


def test_one_that_its_keeper_has_not_yet_written_down_waits(here: Here) -> None:
    here.launcher.start([here.piece(ALONE)])
    known = {here.seen().condition}
    until(lambda: here.seen().condition is Condition.RUNNING, what="the engine", detail=here.seen)
    assert known <= {Condition.WAITING, Condition.RUNNING}


def test_a_key_starts_one_engine_and_no_other(here: Here) -> None:
    here.start("echo again >> starts; " + ALONE)
    for launcher in (here.launcher, here.another()):
        assert isinstance(launcher.start([here.piece("echo again >> starts")])[here.key], str)
    (here.folder / "gate").write_text("0\n")
    assert here.over().exit_code == 0
    assert isinstance(here.another().start([here.piece("echo again >> starts")])[here.key], str)
    assert (here.folder / "starts").read_text() == "again\n"


def test_what_was_never_started_is_gone(here: Here) -> None:
    assert here.seen() == Seen(Condition.GONE, reason="left no record of its process")
    here.stop(signal.SIGTERM, to_jobs=True)
    assert here.launcher.survivors(here.run) == []


def test_one_that_cannot_be_started_is_gone_and_the_log_says_why(here: Here) -> None:
    here.launcher.start([msgspec.structs.replace(here.piece(""), command=("no-such-program",))])
    assert here.over().condition is Condition.GONE
    assert "the engine could not be started" in here.log()


def test_a_signal_to_its_jobs_too_leaves_nothing(here: Here) -> None:
    here.start(WITH_A_JOB)
    here.stop(signal.SIGTERM, to_jobs=True)
    ended = here.over()
    assert ended.exit_code == -signal.SIGTERM  # a job may take a moment longer than its engine
    until(lambda: here.launcher.survivors(here.run) == [], what="nothing to be left")


def test_jobs_that_outlive_their_engine_are_told_and_cleared(here: Here) -> None:
    here.start(WITH_A_JOB)
    here.stop(signal.SIGTERM, to_jobs=False)
    ended = here.over()
    assert (ended.exit_code, ended.orphans) == (-signal.SIGTERM, True)
    later, told = here.another(), list[str]()
    assert later.survivors(here.run) == [here.key]
    later.clear(here.run, 5.0, told.append)
    assert len(told) == 1 and told[0].startswith("ending 1 process of an earlier attempt: sleep ")
    assert later.survivors(here.run) == []
    later.clear(here.run, 5.0, told.append)
    assert len(told) == 1, "there was nothing left to tell of"


def test_a_job_without_the_key_is_found_by_its_session(here: Here) -> None:
    here.start("env -i sleep 600 & echo begun > begun; wait")
    os.kill(here.process().engine.pid, signal.SIGKILL)
    assert here.over().orphans
    later = here.another()
    assert later.survivors(here.run) == [here.key]
    later.clear(here.run, 5.0, lambda what: None)
    assert later.survivors(here.run) == []


def test_what_ends_everything_spares_nothing_but_the_keeper(here: Here) -> None:
    """Also what is deaf, and what has left the session."""
    here.start(
        "trap '' TERM; (trap '' TERM; sleep 600) & setsid sleep 600 & sleep 0.1; echo begun > begun; wait"
    )
    here.launcher.stop({here.key: None}, None)
    ended = here.over()
    assert (ended.condition, ended.exit_code) == (Condition.ENDED, -signal.SIGKILL)
    until(lambda: here.launcher.survivors(here.run) == [], what="nothing to be left")


def test_an_engine_that_ends_while_it_is_watched_is_not_taken_for_lost(here: Here) -> None:
    here.start(ALONE)
    assert here.seen().condition is Condition.RUNNING
    keeper = here.process().keeper.pid
    os.kill(keeper, signal.SIGSTOP)  # it is about to write how the engine ended
    os.kill(here.process().engine.pid, signal.SIGKILL)
    until(lambda: not processes.alive(here.process().engine), what="the engine's end")
    assert here.seen().condition is Condition.RUNNING
    assert here.seen(here.another()).condition is Condition.GONE, "who comes later starts another one"
    os.kill(keeper, signal.SIGCONT)
    assert here.over().exit_code == -signal.SIGKILL


def test_an_engine_and_its_keeper_that_were_killed_are_gone(here: Here) -> None:
    here.start(WITH_A_JOB)
    for holder in (here.process().keeper, here.process().engine):
        os.kill(holder.pid, signal.SIGKILL)
    gone = here.over()
    assert (gone.condition, gone.orphans) == (Condition.GONE, True)
    assert gone.reason == f"is gone ({here.process().engine})"
    assert here.launcher.survivors(here.run) == [here.key]


def test_one_out_of_reach_is_unknown_until_it_gives_a_sign_of_life(here: Here) -> None:
    here.record(FAR)
    assert here.seen() == Seen(
        Condition.UNKNOWN, reason="process 1 on far-away is out of reach from here", where="far-away"
    )
    assert here.launcher.survivors(here.run) is None
    attempts.beat_path(here.folder, 1).touch()
    seen = here.seen()
    assert (seen.condition, seen.where, seen.reason) == (
        Condition.RUNNING,
        "far-away",
        "out of reach from here",
    )


def test_one_out_of_reach_without_a_sign_of_life_is_gone(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.record(FAR)
    assert here.seen().condition is Condition.UNKNOWN
    monkeypatch.setattr(local, "TTL", 0.2)
    until(lambda: here.seen().condition is Condition.GONE, what="the end of patience", detail=here.seen)
    assert "no sign of life" in here.seen().reason


def test_one_out_of_reach_that_is_to_stop_is_given_up(here: Here) -> None:
    here.record(FAR)
    here.stop(signal.SIGTERM, to_jobs=True)
    assert attempts.is_void(here.folder, 1)
    assert here.launcher.survivors(here.run) == [], "its keeper ends it, wherever it is"


def test_who_lost_the_run_ends_what_was_given_up_and_nothing_else(here: Here) -> None:
    here.start(WITH_A_JOB)
    here.launcher.fenced({here.key: None})
    assert here.seen().condition is Condition.RUNNING, "a later owner may have adopted it"
    here.another().give_up({here.key: None, f"{here.run}.2": None})
    assert attempts.is_void(here.folder, 2), "one that was never started, too"
    here.launcher.fenced({here.key: None})
    here.over()  # ended, or gone if its keeper was the first to be killed
    assert here.launcher.survivors(here.run) == []


def test_one_without_a_job_is_quiet(here: Here) -> None:
    here.start(ALONE)
    used = here.launcher.quiet(here.key, None)
    assert used is not None and used >= 0
    os.kill(here.process().engine.pid, signal.SIGSTOP)
    until(lambda: here.launcher.quiet(here.key, None) is None, what="one that is held up")


def test_one_with_a_job_is_not_quiet(here: Here) -> None:
    here.start(WITH_A_JOB)
    assert here.launcher.quiet(here.key, None) is None


def test_the_end_of_an_engine_wakes_who_waits(here: Here) -> None:
    here.start(ALONE)
    (here.folder / "gate").write_text("0\n")
    began = time.monotonic()
    here.launcher.wait(30.0)
    assert time.monotonic() - began < 20
    assert here.over().exit_code == 0


def test_nothing_is_sent_or_forgotten_where_the_run_directory_is(here: Here) -> None:
    here.start(ALONE)
    before = sorted(here.folder.rglob("*"))
    here.launcher.pull(here.key, None, here.folder, Part.RESULTS)
    here.launcher.forget({here.key: None})
    assert sorted(here.folder.rglob("*")) == before
    assert here.launcher.shares_store


class Place(Launcher):
    """One that knows nothing better."""

    def __init__(self, left: list[str] | None) -> None:
        self.left, self.stopped = left, list[str]()

    def start(self, pieces):
        return {}

    def look(self, pieces):
        return {}

    def survivors(self, run: str) -> list[str] | None:
        return self.left

    def stop(self, pieces, signal) -> None:
        assert signal is None
        self.stopped += pieces

    def pull(self, key, handle, into, part, wanted=()) -> None:
        return None

    def forget(self, pieces) -> None:
        return None


def test_elsewhere_what_is_left_is_stopped_and_told() -> None:
    place, told = Place(["r.1.2.1", "r.1.3.1"]), list[str]()
    place.clear("r", 1.0, told.append)
    assert place.stopped == ["r.1.2.1", "r.1.3.1"]
    assert told == ["ending 2 pieces of an earlier attempt: r.1.2.1, r.1.3.1"]
    place.give_up({"r.1.whole.1": None})
    assert place.stopped[-1] == "r.1.whole.1"


def test_elsewhere_what_cannot_be_asked_for_is_not_taken_for_nothing() -> None:
    with pytest.raises(OutageError):
        Place(None).clear("r", 1.0, lambda what: None)
    assert Place([]).quiet("r.1.whole.1", None) is None, "it counts as busy"
