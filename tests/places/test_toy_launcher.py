"""The toy place answers as every place must; and it does wrong what it is told to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.toy import ToyCluster
from helpers.waiting import until

from esap_wf import plugins
from esap_wf.backends import (
    Condition,
    NeedsPersonError,
    OutageError,
    Part,
    Profile,
    Refusal,
    Signal,
)
from esap_wf.testing import LauncherSuite
from esap_wf.testing.pieces import There, ended

WAITS = "echo begun > logs/begun; sleep 600"


class TestToy(LauncherSuite):
    @pytest.fixture(autouse=True)
    @classmethod
    def installed(cls, toy_environment: dict[str, str]) -> None:
        cls.environment = toy_environment

    @classmethod
    def profile(cls, root: Path) -> Profile:
        return Profile(name="toy", kind="toy", settings={"folder": str(root)})


@pytest.fixture
def cluster(tmp_path: Path) -> ToyCluster:
    return ToyCluster(tmp_path / "cluster")


@pytest.fixture
def there(toy_environment: dict[str, str], tmp_path: Path, cluster: ToyCluster) -> Iterator[There]:
    profile = Profile(name="toy", kind="toy", settings={"folder": str(cluster.folder)})
    launcher = plugins.one("esap_wf.backends", "toy").launcher(profile, tmp_path / "cache")
    made = There(tmp_path, profile, launcher, toy_environment)
    yield made
    cluster.come_back()
    (cluster.folder / "faults.json").unlink(missing_ok=True)
    made.clear()


def test_a_piece_is_lost(there: There, cluster: ToyCluster) -> None:
    one, two = (there.piece(WAITS, slice_=s) for s in "12")
    there.started(one, two)
    there.running(one)
    cluster.fault("lose", "*.2.1")
    until(lambda: there.seen(two).condition is Condition.GONE)
    assert there.seen(one).condition is Condition.RUNNING
    assert there.launcher.survivors(there.run) == [one.key]
    with pytest.raises(LookupError):
        there.results(two)
    assert cluster.jobs() == [one.key]


def test_it_answers_twice(there: There, cluster: ToyCluster) -> None:
    piece = there.piece("echo x >> outputs/count")
    cluster.fault("twice")
    with pytest.raises(OutageError):
        there.launcher.start([piece])
    there.started(piece)
    assert ended(there, piece).exit_code == 0
    assert cluster.executions() == {piece.key: 1}
    assert len(cluster.log(fault="twice")) == 1


def test_a_handle_is_forgotten(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    handle = there.started(piece)
    there.running(piece)
    cluster.fault("handle")
    assert there.seen(piece).condition is Condition.RUNNING
    before = len(cluster.log(call="state"))
    assert there.seen(piece).condition is Condition.RUNNING
    assert len(cluster.log(call="state")) == before + 2, "by its name, when the handle was unknown"
    assert there.started(piece) != handle


def test_it_is_away(there: There, cluster: ToyCluster) -> None:
    piece, other = there.piece(WAITS), there.piece(WAITS, slice_="1")
    there.started(piece)
    there.running(piece)
    cluster.fault("away", at="state")
    assert there.seen(piece).condition is Condition.UNKNOWN
    assert there.launcher.survivors(there.run) is None
    with pytest.raises(OutageError):
        there.launcher.start([other])
    with pytest.raises(OutageError):
        there.record(piece)
    there.launcher.stop(there.asked(piece), None)
    with pytest.raises(OutageError):
        there.launcher.forget(there.asked(piece))
    cluster.come_back()
    assert there.seen(piece).condition is Condition.RUNNING
    cluster.fault("away", at="state", seconds=0.3)
    assert there.seen(piece).condition is Condition.UNKNOWN
    until(lambda: there.seen(piece).condition is Condition.RUNNING)


def test_it_wants_a_person(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    cluster.fault("person")
    for _ in range(2):
        with pytest.raises(NeedsPersonError, match="ticket"):
            there.seen(piece)
    assert there.launcher.survivors(there.run) is None
    cluster.come_back()
    there.running(piece)


def test_a_piece_waits(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    cluster.fault("slow")
    there.started(piece)
    assert there.seen(piece).condition is Condition.WAITING
    assert there.launcher.survivors(there.run) == [piece.key]
    assert cluster.executions() == {}
    cluster.come_back()
    there.running(piece)


def test_one_that_waits_is_ended(there: There, cluster: ToyCluster) -> None:
    piece, other = there.piece(WAITS), there.piece(WAITS, slice_="1")
    cluster.fault("slow")
    there.started(piece, other)
    there.launcher.stop(there.asked(piece), None)
    there.launcher.stop(there.asked(other), Signal(signal.SIGTERM, to_jobs=False))
    until(lambda: there.seen(piece).condition is Condition.GONE)
    until(lambda: there.seen(other).condition is Condition.GONE)
    assert cluster.executions() == {}


def test_a_transfer_breaks_in_the_middle(there: There, cluster: ToyCluster) -> None:
    piece = there.piece("for i in 1 2 3 4 5 6; do echo $i > outputs/$i; done")
    there.started(piece)
    ended(there, piece)
    cluster.fault("cut")
    with pytest.raises(OutageError, match="middle"):
        there.results(piece)
    part = {p.name for p in there.into(piece).rglob("?") if p.is_file()}
    assert 0 < len(part) < 6
    assert len([n for n in there.results(piece) if n.startswith("outputs/")]) == 6


def test_a_request_to_stop_is_lost(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    there.running(piece)
    cluster.fault("deaf")
    there.launcher.stop(there.asked(piece), None)
    assert there.seen(piece).condition is Condition.RUNNING
    there.launcher.stop(there.asked(piece), None)
    until(lambda: there.seen(piece).condition is Condition.GONE)


def test_nobody_knows_how_it_ended(there: There, cluster: ToyCluster) -> None:
    piece = there.piece("exit 0")
    cluster.fault("no-exit")
    there.started(piece)
    assert ended(there, piece).exit_code is None
    assert there.seen(piece).exit_code is None, "it doesn't become known"


def test_a_piece_is_refused_or_not_taken_now(there: There, cluster: ToyCluster) -> None:
    pieces = [there.piece("exit 0", slice_=s) for s in "123"]
    cluster.fault("refuse", "*.1.1")
    cluster.fault("busy", "*.2.1")
    answers = there.launcher.start(pieces)
    assert isinstance(answers[pieces[0].key], Refusal)
    assert set(answers) == {pieces[0].key, pieces[2].key}


def test_its_command_is_killed(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    there.running(piece)
    for pid in there.processes(piece):
        os.kill(pid, signal.SIGKILL)
    assert ended(there, piece).exit_code == -signal.SIGKILL


def test_two_see_the_same(there: There, cluster: ToyCluster) -> None:
    piece = there.piece(WAITS)
    there.started(piece)
    there.running(piece)
    other = there.elsewhere()
    other.stop({piece.key: None}, None)
    until(lambda: there.seen(piece).condition is Condition.GONE)
    with pytest.raises(LookupError):
        other.pull(f"{piece.key}1", None, there.root / "x", Part.RESULTS)
