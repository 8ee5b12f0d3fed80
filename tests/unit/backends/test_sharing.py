"""One question a place for all runs of a user, and caps over all of them."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.ledger import Ledger
from helpers.paths import ROOT
from helpers.waiting import until
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from esap_wf.backends import (
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Piece,
    Profile,
    Refusal,
    Seen,
    asking,
    slots,
)
from esap_wf.backends.launcher import Served
from esap_wf.backends.sharing import Shared
from esap_wf.models.place import Caps
from esap_wf.models.plan import Allocation

NEEDS = Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1)
PROGRAM = Path(__file__).with_name("sharing_runs.py")


class Clock:
    """Time that passes only when somebody sleeps."""

    CLOCK_BOOTTIME = CLOCK_MONOTONIC = 7

    def __init__(self) -> None:
        self.now = 1000.0

    def clock_gettime(self, which: int) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(slots, "time", made)
    monkeypatch.setattr(asking, "time", made)
    return made


class Runs:
    """Runs of one user that share a place."""

    def __init__(self, root: Path, **profile: Any) -> None:
        self.root = root
        self.ledger = Ledger(root / "ledger")
        self.profile = Profile(name="there", kind="toy", **profile)

    def supervisor(self, run: str) -> Shared:
        folder = self.root / "runs" / run
        folder.mkdir(parents=True, exist_ok=True)
        made = Shared(self.ledger, self.profile, self.root / "cache")
        made.serve(Served(run, folder))
        return made

    def pieces(self, run: str, number: int = 1, attempt: int = 1) -> list[Piece]:
        return [
            Piece(f"{run}.1.{n}.{attempt}", self.root / "runs" / run, ("true",), NEEDS)
            for n in range(1, number + 1)
        ]

    @property
    def questions(self) -> int:
        return int(self.ledger.read()["questions"])

    @property
    def files(self) -> Path:
        return self.root / "cache/places/there"


def asked(pieces: Sequence[Piece]) -> dict[str, str | None]:
    return {p.key: None for p in pieces}


# --- one question


def test_the_answer_to_one_run_is_that_to_all(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path)
    names = [f"r{n}" for n in range(5)]
    supervisors = {name: runs.supervisor(name) for name in names}
    for name, one in supervisors.items():
        one.start(runs.pieces(name, 3))
    clock.now += 2
    for _ in range(4):
        for name, one in supervisors.items():
            seen = one.look(asked(runs.pieces(name, 3)))
            assert [s.condition for s in seen.values()] == [Condition.RUNNING] * 3
    assert runs.questions == 1
    clock.now += 2
    for name, one in supervisors.items():
        one.look(asked(runs.pieces(name, 3)))
    assert runs.questions == 2


def test_one_run_alone_is_asked_for_more_often_and_pieces_that_work_for_long_less(
    tmp_path: Path, clock: Clock
) -> None:
    runs = Runs(tmp_path)
    one, pieces = runs.supervisor("a"), runs.pieces("a")
    one.start(pieces)

    def pause() -> float:
        one.look(asked(pieces))
        begin, before = clock.now, runs.questions
        while runs.questions == before:
            clock.now += 0.1
            one.look(asked(pieces))
        return clock.now - begin

    assert pause() == pytest.approx(asking.ALONE, abs=0.15)
    clock.now += 200
    assert pause() == pytest.approx(4, abs=0.5)
    clock.now += 2000
    assert pause() == pytest.approx(asking.MOST, abs=0.15)


@pytest.mark.parametrize("act", ["start", "stop"])
def test_no_answer_is_older_than_what_was_done(act: str, tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, poll=600)
    one, other = runs.supervisor("a"), runs.supervisor("b")
    first, second = runs.pieces("a", 2)
    other.start(runs.pieces("b"))
    one.start([first])
    assert one.look(asked([first]))[first.key].condition is Condition.RUNNING
    if act == "start":
        assert one.look(asked([second]))[second.key].condition is Condition.GONE
        one.start([second])
        assert one.look(asked([second]))[second.key].condition is Condition.RUNNING
    else:
        one.stop(asked([first]), None)
        assert one.look(asked([first]))[first.key].condition is Condition.ENDED


def test_a_successor_does_not_believe_what_was_seen_before_it(tmp_path: Path, clock: Clock) -> None:
    """Its predecessor may have been killed after a piece was started and before that was written down."""
    runs = Runs(tmp_path, poll=600)
    killed, pieces = runs.supervisor("a"), runs.pieces("a")
    assert killed.look(asked(pieces))[pieces[0].key].condition is Condition.GONE
    runs.ledger.start(pieces)
    assert runs.supervisor("a").look(asked(pieces))[pieces[0].key].condition is Condition.RUNNING


def test_a_person_is_wanted_by_all_runs(tmp_path: Path, clock: Clock, monkeypatch: Any) -> None:
    runs = Runs(tmp_path)
    one, other = runs.supervisor("a"), runs.supervisor("b")
    one.start(runs.pieces("a"))
    other.start(runs.pieces("b"))
    wanted = []

    def look(pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        wanted.append(1)
        raise NeedsPersonError("your ticket has expired")

    with monkeypatch.context() as patch:
        patch.setattr(runs.ledger, "look", look)
        for name, supervisor in (("a", one), ("b", other), ("a", one)):
            with pytest.raises(NeedsPersonError, match="ticket"):
                supervisor.look(asked(runs.pieces(name)))
    assert wanted == [1]
    clock.now += 11
    assert one.look(asked(runs.pieces("a")))


def test_a_place_that_is_away_is_asked_more_and_more_seldom(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path)
    one, other = runs.supervisor("a"), runs.supervisor("b")
    one.start(runs.pieces("a"))
    other.start(runs.pieces("b"))
    times = []

    def look(pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        times.append(clock.now)
        if len(times) % 2:
            raise OutageError("the network is gone")
        return {key: Seen(Condition.UNKNOWN, reason="the network is gone") for key in pieces}

    with monkeypatch.context() as patch:
        patch.setattr(runs.ledger, "look", look)
        while clock.now < 1300:
            for name, supervisor in (("a", one), ("b", other)):
                (seen,) = supervisor.look(asked(runs.pieces(name))).values()
                assert (seen.condition, seen.reason) == (Condition.UNKNOWN, "the network is gone")
            clock.now += 0.5
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert asking.OUTAGE - 1 < pauses[-1] < asking.OUTAGE + 1
    clock.now += asking.OUTAGE
    assert {s.condition for s in one.look(asked(runs.pieces("a"))).values()} == {Condition.RUNNING}


def test_an_asker_that_stands_still_does_not_stop_the_others(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path)
    one, pieces = runs.supervisor("a"), runs.pieces("a")
    one.start(pieces)
    with slots.Slots(runs.files, "any").asking() as may:
        assert may
        (seen,) = one.look(asked(pieces)).values()
        assert seen.condition is Condition.UNKNOWN and "another run" in seen.reason
        clock.now += asking.STUCK
        (seen,) = one.look(asked(pieces)).values()
        assert seen.condition is Condition.RUNNING
    assert one.look(asked(pieces))


def test_what_an_earlier_start_of_the_machine_has_left_is_no_answer(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, poll=600)
    one, pieces = runs.supervisor("a"), runs.pieces("a")
    one.start(pieces)
    one.look(asked(pieces))
    kept = json.loads((runs.files / "status.json").read_text())
    (runs.files / "status.json").write_text(json.dumps({**kept, "boot": "another"}))
    one.look(asked(pieces))
    assert runs.questions == 2


# --- what is left of runs


def test_nothing_is_left_of_a_run_that_has_forgotten_its_pieces(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path)
    one, pieces = runs.supervisor("a"), runs.pieces("a", 2)
    one.start(pieces)
    one.stop(asked(pieces), None)
    one.look(asked(pieces))
    one.forget(asked(pieces))
    assert list((runs.files / "runs").iterdir()) == []
    # forgotten before anybody has seen it end
    one.start(runs.pieces("a", 2, attempt=2))
    one.stop(asked(runs.pieces("a", 2, attempt=2)), None)
    one.forget(asked(runs.pieces("a", 2, attempt=2)))
    assert len(list((runs.files / "runs").iterdir())) == 1
    clock.now += 3
    other = runs.supervisor("b")
    other.start(runs.pieces("b"))
    other.look(asked(runs.pieces("b")))
    assert [p.name for p in (runs.files / "runs").iterdir()] == ["b.json"]


def test_a_killed_supervisor_keeps_its_slots_until_its_run_is_gone(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=3))
    runs.supervisor("a").start(runs.pieces("a", 2))
    other = runs.supervisor("b")
    assert len(other.start(runs.pieces("b", 2))) == 1
    assert other.waiting_for == "3 pieces of yours are at there, where 3 may be at a time"
    (tmp_path / "runs/a").rmdir()
    assert len(other.start(runs.pieces("b", 2))) == 2
    assert other.waiting_for == ""


def test_everything_that_a_launcher_is_asked_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [name for name, what in vars(Launcher).items() if inspect.isfunction(what)]
    assert len(asked) >= 12
    runs = Runs(tmp_path)
    one, heard = runs.supervisor("a"), []
    for name in asked:
        count = len(inspect.signature(getattr(Launcher, name)).parameters) - 1
        monkeypatch.setattr(runs.ledger, name, lambda *_, name=name: heard.append(name) or {})
        given: list[Any] = [{"a.1.1.1": None}, None, None, None, None][:count]
        if name in ("start", "serve"):
            given = [runs.pieces("a")] if name == "start" else [Served("a", tmp_path)]
        getattr(one, name)(*given)
    assert heard == asked


# --- caps


def test_what_has_ended_gives_its_slot_back_also_that_of_a_killed_run(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=2))
    runs.supervisor("a").start(runs.pieces("a", 2))
    other = runs.supervisor("b")
    assert other.start(runs.pieces("b", 2)) == {}
    runs.ledger.stop(asked(runs.pieces("a", 2)), None)
    clock.now += 3
    assert len(other.start(runs.pieces("b", 2))) == 2


def test_starting_again_needs_no_further_slot(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=2))
    one, pieces = runs.supervisor("a"), runs.pieces("a", 2)
    assert len(one.start(pieces)) == len(one.start(pieces)) == 2
    assert len(runs.supervisor("a").start(pieces)) == 2


def test_what_the_place_does_not_take_has_no_slot(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=2))
    one, pieces = runs.supervisor("a"), runs.pieces("a", 2)
    with monkeypatch.context() as patch:
        patch.setattr(runs.ledger, "start", lambda pieces: {pieces[0].key: Refusal("no")})
        assert one.start(pieces).keys() == {pieces[0].key}
    assert len(runs.supervisor("b").start(runs.pieces("b", 2))) == 2


def test_what_may_have_been_started_keeps_its_slot(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=2))
    one, pieces, real = runs.supervisor("a"), runs.pieces("a", 2), runs.ledger.start

    def start(pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        real(pieces)
        raise OutageError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(runs.ledger, "start", start)
        with pytest.raises(OutageError):
            one.start(pieces)
    clock.now += 5
    assert runs.supervisor("b").start(runs.pieces("b")) == {}
    assert {s.condition for s in one.look(asked(pieces)).values()} == {Condition.RUNNING}


def test_submissions_a_minute_are_counted_over_all_runs(tmp_path: Path, clock: Clock) -> None:
    runs = Runs(tmp_path, caps=Caps(submissions=5))
    one, other = runs.supervisor("a"), runs.supervisor("b")
    assert len(one.start(runs.pieces("a", 3))) == 3
    clock.now += 30
    assert len(other.start(runs.pieces("b", 3))) == 2
    assert other.waiting_for == "5 pieces a minute may be started at there"
    assert other.start(runs.pieces("b", 3)[2:]) == {}
    clock.now += 31
    assert len(other.start(runs.pieces("b", 3)[2:])) == 1
    assert other.waiting_for == ""


# --- bad files


def damages(folder: Path) -> list[Path]:
    return [
        folder / name
        for name in ("status.json", "submissions.json", "runs/a.json", "runs/b.json", "asking", "lock")
    ]


@settings(max_examples=60)
@given(data=st.data())
def test_broken_files_are_made_anew(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    runs = Runs(tmp_path_factory.mktemp("broken"), poll=0.001, caps=Caps(heads=3, submissions=10**6))
    one, other = runs.supervisor("a"), runs.supervisor("b")
    for _ in range(data.draw(st.integers(1, 3))):
        one.start(runs.pieces("a"))
        assert {s.condition for s in one.look(asked(runs.pieces("a"))).values()} == {Condition.RUNNING}
        path = data.draw(st.sampled_from(damages(runs.files)))
        content = data.draw(
            st.sampled_from([b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"schema_version": 99}', None])
            | st.binary(max_size=50)
        )
        path.unlink(missing_ok=True)
        if content is None and path.name == "lock":  # without it nothing can be counted: see below
            continue
        if content is None:
            path.symlink_to("nowhere/at/all")
        else:
            path.write_bytes(content)
        other.start(runs.pieces("b"))
        assert {s.condition for s in other.look(asked(runs.pieces("b"))).values()} == {Condition.RUNNING}
        path.unlink(missing_ok=True)
    assert {s.condition for s in one.look(asked(runs.pieces("a"))).values()} == {Condition.RUNNING}


@pytest.mark.parametrize("name", ["status.json", "runs/a.json", "runs", "asking", "lock", "."])
def test_without_files_each_run_asks_for_itself(name: str, tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    at = runs.files / name
    at.parent.mkdir(parents=True, exist_ok=True)
    if name in (".", "runs"):
        at.parent.mkdir(parents=True, exist_ok=True)
        (at if name == "runs" else runs.files).parent.mkdir(parents=True, exist_ok=True)
        target = at if name == "runs" else runs.files
        if target.exists():
            target.rmdir()
        target.write_text("a file where a folder is meant to be")
    else:
        at.mkdir(parents=True)
    one, pieces = runs.supervisor("a"), runs.pieces("a")
    assert len(one.start(pieces)) == 1
    assert {s.condition for s in one.look(asked(pieces)).values()} == {Condition.RUNNING}
    one.stop(asked(pieces), None)
    assert {s.condition for s in one.look(asked(pieces)).values()} == {Condition.ENDED}
    one.forget(asked(pieces))


def test_a_cap_that_can_not_be_counted_lets_nothing_pass(tmp_path: Path) -> None:
    runs = Runs(tmp_path, caps=Caps(heads=2))
    runs.files.parent.mkdir(parents=True)
    runs.files.write_text("a file")
    one = runs.supervisor("a")
    assert one.start(runs.pieces("a")) == {}
    assert "can't count" in one.waiting_for


# --- processes


def started(
    runs: Runs, run: str, pieces: int, lasts: float, latency: float = 0.01
) -> subprocess.Popen[bytes]:
    folder = runs.root / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "ledger": str(runs.ledger.folder),
        "lasts": lasts,
        "latency": latency,
        "run": str(folder),
        "profile": msgspec.to_builtins(runs.profile),
        "cache": str(runs.root / "cache"),
        "pieces": pieces,
        "pause": 0.02,
    }
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), json.dumps(told)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def ended() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Waits for processes; those of a failed test are killed."""
    known: list[subprocess.Popen[bytes]] = []

    def wait(process: subprocess.Popen[bytes]) -> None:
        known.append(process)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()

    yield wait
    for process in known:
        process.kill()


def test_twenty_runs_ask_as_often_as_one(tmp_path: Path, ended: Any) -> None:
    runs = Runs(tmp_path, poll=0.4)
    begin = time.monotonic()
    processes = [started(runs, f"r{n}", 3, lasts=3.0) for n in range(20)]
    for process in processes:
        ended(process)
    took = time.monotonic() - begin
    book = runs.ledger.read()
    looks = sum(int((tmp_path / f"runs/r{n}/looks").read_text()) for n in range(20))
    assert len(book["pieces"]) == 60
    assert book["questions"] <= took / 0.4 + 2, (took, looks)
    assert looks > 4 * book["questions"], "there was something to share"


def test_caps_hold_over_processes_that_are_killed(tmp_path: Path, ended: Any) -> None:
    heads = 4
    runs = Runs(tmp_path, poll=0.1, caps=Caps(heads=heads))
    chance = random.Random(7)
    at_work = {f"r{n}": started(runs, f"r{n}", 3, lasts=0.4, latency=0.02) for n in range(8)}
    for _ in range(20):
        name = chance.choice(sorted(at_work))
        left = iter(range(chance.randrange(1, 12)))  # at another moment each time
        until(partial(next, left, True))
        at_work[name].send_signal(signal.SIGKILL)
        at_work[name].communicate()
        if at_work[name].returncode in (0, -signal.SIGKILL):
            at_work[name] = started(runs, name, 3, lasts=0.4, latency=0.02)
    for process in at_work.values():
        ended(process)
    book = runs.ledger.read()
    assert len(book["pieces"]) == 24
    assert book["most"] == heads


# --- whatever happens


class Sharing(RuleBasedStateMachine):
    """Three runs at a place, whose supervisors are killed; no answer is older than what a run did last, and caps hold."""

    HEADS = 4

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.clock = Clock()
        self.patch.setattr(slots, "time", self.clock)
        self.patch.setattr(asking, "time", self.clock)
        self.runs = Runs(Path(self.folder.name), caps=Caps(heads=self.HEADS))
        self.supervisors = {name: self.runs.supervisor(name) for name in "abc"}
        #: What the place has, and what a run knows to be true of its pieces by what it did itself.
        self.there: dict[str, Condition] = {}
        self.sure: dict[str, Condition] = {}
        self.away = False
        self.patch.setattr(self.runs, "ledger", self)
        for one in self.supervisors.values():
            one.launcher = one._answers.launcher = self  # type: ignore[assignment]
        self.last = -1e9

    shares_store = is_queue = False
    waiting_for = ""

    # the place

    def serve(self, run: Served) -> None:
        pass

    def start(self, pieces: Sequence[Piece]) -> Mapping[str, str | Refusal]:
        if self.away:
            raise OutageError("away")
        for piece in pieces:
            self.there.setdefault(piece.key, Condition.RUNNING)
        living = [k for k, c in self.there.items() if c is Condition.RUNNING]
        assert len(living) <= self.HEADS
        return {piece.key: piece.key for piece in pieces}

    def look(self, pieces: Mapping[str, str | None]) -> Mapping[str, Seen]:
        assert self.clock.now - self.last >= asking.ALONE - 1e-6
        self.last = self.clock.now
        return {
            key: Seen(Condition.UNKNOWN if self.away else self.there.get(key, Condition.GONE))
            for key in pieces
        }

    def stop(self, pieces: Mapping[str, str | None], signal: object) -> None:
        for key in pieces if not self.away else ():
            if key in self.there:
                self.there[key] = Condition.ENDED

    def forget(self, pieces: Mapping[str, str | None]) -> None:
        if self.away:
            raise OutageError("away")
        for key in pieces:
            if self.there.get(key) is not Condition.RUNNING:
                self.there.pop(key, None)

    # what runs do

    names = st.sampled_from("abc")

    @rule(name=names, number=st.integers(1, 3), attempt=st.integers(1, 2))
    def starts(self, name: str, number: int, attempt: int) -> None:
        pieces = self.runs.pieces(name, number, attempt)
        try:
            answers = self.supervisors[name].start(pieces)
        except OutageError:
            assert self.away
            return
        assert bool(self.supervisors[name].waiting_for) == (len(answers) < len(pieces))
        for key in answers:
            self.sure[key] = self.there[key]

    @rule(name=names, attempt=st.integers(1, 2))
    def looks(self, name: str, attempt: int) -> None:
        pieces = self.runs.pieces(name, 3, attempt)
        for key, seen in self.supervisors[name].look(asked(pieces)).items():
            known = self.sure.get(key)
            if seen.condition is Condition.UNKNOWN:
                continue
            if known is Condition.ENDED:
                assert seen.condition is not Condition.RUNNING
            if known is Condition.RUNNING:
                assert seen.condition is not Condition.GONE

    @rule(name=names)
    def stops(self, name: str) -> None:
        pieces = self.runs.pieces(name, 2)
        self.supervisors[name].stop(asked(pieces), None)
        for piece in pieces:
            if piece.key in self.there and not self.away:
                self.sure[piece.key] = Condition.ENDED

    @rule(name=names, attempt=st.integers(1, 2))
    def forgets(self, name: str, attempt: int) -> None:
        pieces = self.runs.pieces(name, 3, attempt)
        try:
            self.supervisors[name].forget(asked(pieces))
        except OutageError:
            assert self.away
            return
        for piece in pieces:
            if piece.key not in self.there:
                self.sure.pop(piece.key, None)

    @rule(name=names)
    def is_killed(self, name: str) -> None:
        self.supervisors[name] = self.runs.supervisor(name)

    @rule(name=names)
    def is_killed_while_it_starts(self, name: str) -> None:
        """The place has them, nobody has written that down."""
        pieces = self.runs.pieces(name, 2)
        killed = self.runs.supervisor(name)
        taken = killed._take(pieces)
        if not self.away:
            self.start(taken)
            for piece in taken:
                self.sure[piece.key] = self.there[piece.key]
        killed._began(taken, None)
        self.supervisors[name] = self.runs.supervisor(name)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(name=names, number=st.integers(1, 3))
    def one_ends(self, name: str, number: int) -> None:
        key = f"{name}.1.{number}.1"
        if key in self.there:
            self.there[key] = Condition.ENDED

    @rule()
    def goes_away_or_comes_back(self) -> None:
        self.away = not self.away

    @invariant()
    def no_more_than_allowed(self) -> None:
        there = getattr(self, "there", {})
        assert sum(c is Condition.RUNNING for c in there.values()) <= self.HEADS

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.folder.cleanup()


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=60, stateful_step_count=30)
