"""Runs on a host by SSH whose supervisor, task or sshd is killed, or that is away: nothing is lost, nothing counts twice, nothing is left there."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from faults.conftest import end
from faults.place import HERE
from helpers import tutorial
from helpers.processes import kill
from helpers.waiting import until
from services.sshd import Host

from esap_wf.models.run import Phase

from .elsewhere import Elsewhere

pytestmark = [pytest.mark.integration, pytest.mark.faults]

ARMED = [sys.executable, str(HERE / "armed.py")]


@dataclass
class OverSsh(Elsewhere):
    """A place for runs whose configuration knows a host by SSH, called like the toy."""

    host: Host | None = None
    program: Path | None = None

    def backend(self) -> list[str]:
        assert self.host
        return [self.host.toml("toy")]

    def there(self) -> list[str]:
        return ["[backends.toy.engines.miniflow]", f'path = "{self.program}"', 'version = "1.0"']

    def clean(self, run: str) -> None:
        """Each slice is accepted once, and nothing is left there, nor here."""
        assert self.host
        pieces = self.pieces(run)
        assert all(pieces.accepted(slice_) for slice_ in pieces.slices())
        assert self.accepted(run) == 1
        until(
            lambda: not self.host.left() if self.host else True,
            what="nothing to be left",
            detail=self.host.left,
        )
        assert self.host.processes() == []
        self.nothing_runs(run)


@pytest.fixture(scope="module")
def program(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of docs/engine-tutorial.md, for the other user."""
    source = tutorial.write(tmp_path_factory.mktemp("miniflow")) / "miniflow/program.py"
    folder = host.home / "programs"
    folder.mkdir(exist_ok=True)
    shutil.copy(source, folder / "miniflow_program.py")
    made = folder / "miniflow"
    made.write_text("#!/usr/bin/env python3\nfrom miniflow_program import main\nraise SystemExit(main())\n")
    for path in (folder, made, folder / "miniflow_program.py"):
        path.chmod(0o755)
    return made


@pytest.fixture
def there(host: Host, program: Path, tmp_path: Path, toy_environment: dict[str, str]) -> Iterator[OverSsh]:
    sockets = Path(tempfile.mkdtemp(prefix="esw-", dir="/tmp"))
    made = OverSsh(tmp_path, {**toy_environment, "XDG_RUNTIME_DIR": str(sockets)}, host=host, program=program)
    yield made
    if host.listener is None:
        host.listen()
    end(made)
    host.cut()
    for process in host.processes():
        process.kill()
    shutil.rmtree(host.home / host.token, ignore_errors=True)
    shutil.rmtree(sockets, ignore_errors=True)


@pytest.fixture(scope="module")
def here(
    host: Host, program: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]
) -> dict[str, str]:
    """The results of the same run on this machine."""
    place = OverSsh(tmp_path_factory.mktemp("here"), dict(toy_environment), host=host, program=program)
    return place.results(place.ok("run", place.cut, "--backend", "local")["run"])


POINTS = ["piece-written", "piece-started", "handle-kept", "pulled", "slot-taken", "forgotten"]


@pytest.mark.parametrize(
    "point",
    [
        *POINTS,
        *[
            pytest.param(f"{point}:{nth}", marks=pytest.mark.soak)
            for point in POINTS
            for nth in range(2, 5)
            if point != "piece-started" or nth < 3
        ],
    ],
)
def test_a_supervisor_killed_at_a_point_is_succeeded(
    point: str, there: OverSsh, here: dict[str, str]
) -> None:
    given = ["run", there.cut, "--backend", "toy", "--slices", "3"]
    began = there(point, *given, "--detach", "--json", command=ARMED)
    assert began.code == 0, began
    run = str(began.json["run"])
    # before its supervisor is there, it is UNKNOWN for a moment, too
    until((there.run(run).dir / "pieces").is_dir, what="the first piece")
    assert there.ended(run).phase is Phase.UNKNOWN
    again = there.ok(*given)
    assert (again["run"], again["phase"]) == (run, "COMPLETED"), there.explain(run)
    there.clean(run)
    assert there.results(run) == here
    assert there.again(run) == 0


def working(host: Host) -> list[psutil.Process]:
    """Steps that work there."""
    found = []
    for process in host.processes():
        with contextlib.suppress(psutil.Error):
            if process.name() == "sleep":
                found.append(process)
    return found


def of_piece(host: Host, key: str) -> list[psutil.Process]:
    """What works there for a piece, by the end of its key; steps come and go meanwhile."""
    found = []
    for process in host.processes():
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            if key in " ".join([process.cwd(), *process.cmdline()]):
                found.append(process)
    return found


@pytest.mark.parametrize("cut", [True, False])
def test_a_host_whose_sshd_is_killed_while_pieces_work_is_waited_for(
    cut: bool, there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    there.wait(run, lambda s: s.phase is Phase.EXECUTING)
    host.deaf()
    if cut:
        host.cut()
        state = there.wait(run, lambda s: "waiting for toy since" in s.reason)
        assert state.phase is Phase.EXECUTING
    host.listen()
    there.completed(run)
    assert there.results(run) == here
    assert there.again(run) == 0


def test_a_host_that_is_away_before_the_start_is_waited_for(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    there.ok("backends", "check", "toy")
    host.deaf()
    host.cut()
    run = there.begin()
    state = there.wait(run, lambda s: "waiting for toy since" in s.reason)
    assert state.phase is Phase.QUEUED
    host.listen()
    there.completed(run)
    assert there.results(run) == here


def test_pieces_work_on_without_their_supervisor_and_are_not_done_twice(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    until(lambda: working(host), what="steps")
    there.kill_supervisor(run)
    host.cut(for_good=False)
    there.completed(run, times=1)
    assert there.results(run) == here
    assert there.again(run) == 0


def test_a_supervisor_that_is_told_to_end_leaves_pieces_at_work(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    until(lambda: working(host), what="steps")
    pid = there.supervisor(run)
    assert pid
    psutil.Process(pid).send_signal(signal.SIGTERM)
    assert there.ended(run).phase is Phase.UNKNOWN
    assert working(host)
    assert there("rm", run).code == 3
    there.completed(run, times=1)
    assert there.results(run) == here
    assert there.again(run) == 0


def test_an_engine_that_is_killed_there_is_a_failure_and_resume_repeats_only_its_slice(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    until(lambda: len(working(host)) >= 3, what="steps")
    engine = next(p for p in of_piece(host, ".1.2.1") if "miniflow" in " ".join(p.cmdline()))
    engine.kill()
    assert there.ended(run).phase is Phase.ERROR
    there.completed(run, times=1)
    assert there.results(run) == here
    assert there.again(run) == 1


def test_everything_of_a_piece_killed_there_is_a_loss_and_done_once_more(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    until(lambda: len(working(host)) >= 3, what="steps")
    for process in of_piece(host, ".1.2.1"):
        with contextlib.suppress(psutil.Error):
            process.kill()
    there.completed(run)
    assert there.results(run) == here
    assert there.again(run) == 1
    assert there.status(run)["pieces"]["second_executions"] == 1


@pytest.mark.parametrize("drain", [False, True])
def test_a_cancelled_run_leaves_nothing_there(drain: bool, there: OverSsh, host: Host) -> None:
    run = there.begin("--seconds", "1" if drain else "600")
    until(lambda: working(host), what="steps")
    done = there("cancel", run, *(["--drain"] if drain else []), "--json")
    assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    until(lambda: not host.left(), what="nothing to be left", detail=host.left)
    assert host.processes() == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(48))
def test_whatever_is_killed_whenever(seed: int, there: OverSsh, host: Host, here: dict[str, str]) -> None:
    """The short form: the points and moments above."""
    chance = random.Random(seed)
    run = there.begin("--seconds", "0.5")
    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, 3))
        what = chance.choice(["supervisor", "connections", "sshd", "piece"])
        if what == "supervisor" and (pid := there.supervisor(run)):
            kill([pid])
        elif what == "connections":
            host.cut(for_good=False)
        elif what == "sshd":
            host.deaf()
            host.cut()
            time.sleep(chance.uniform(0, 5))
            host.listen()
        elif host.processes():
            key = chance.choice([".1.1.1", ".1.2.1", ".1.3.1", ".1.join.1"])
            for process in of_piece(host, key):
                with contextlib.suppress(psutil.Error):
                    process.kill()
    there.resume_until_completed(run)
    there.clean(run)
    assert there.results(run) == here


@pytest.mark.soak
def test_a_host_that_is_away_for_minutes_is_waited_for(
    there: OverSsh, host: Host, here: dict[str, str]
) -> None:
    run = there.begin("--seconds", "1")
    there.wait(run, lambda s: s.phase is Phase.EXECUTING)
    host.deaf()
    host.cut()
    time.sleep(240)
    assert "waiting for toy since" in there.status(run)["reason"]
    host.listen()
    there.completed(run)
    assert there.results(run) == here
    assert there.again(run) == 0
