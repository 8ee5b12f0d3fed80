"""Slurm, with a job for each piece, answers as every place must."""

from __future__ import annotations

import getpass
import math
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from helpers.waiting import until
from services.slurm import USERS, Cluster

from esap_wf import plugins
from esap_wf.backends import (
    Condition,
    NeedsPersonError,
    OutageError,
    Piece,
    Profile,
    Refusal,
    Seen,
    Served,
    Signal,
)
from esap_wf.backends.sharing import Shared
from esap_wf.backends.slurm import submission
from esap_wf.backends.slurm.sandbox import Sandbox
from esap_wf.backends.slurm.there import ThereLauncher
from esap_wf.models.place import Caps, EngineThere
from esap_wf.software import packed
from esap_wf.testing import LauncherSuite
from esap_wf.testing.launcher_suite import WAITS
from esap_wf.testing.pieces import NEEDS, There, ended

pytestmark = pytest.mark.integration


class TestThere(LauncherSuite):
    cluster: ClassVar[Cluster]

    @pytest.fixture(autouse=True)
    @classmethod
    def reached(cls, cluster: Cluster, tmp_path: Path) -> Iterator[None]:
        cls.cluster = cluster
        cls.environment = cluster.environment
        yield
        assert list((tmp_path / "place").rglob("*")) == [], "nothing is left there"

    @classmethod
    def profile(cls, root: Path) -> Profile:
        conf = cls.cluster.environment["SLURM_CONF"]
        return Profile(
            name="cluster",
            kind="slurm",
            settings={"way": "there", "folder": str(root), "conf": conf, "latency": 1},
        )


# --- what only a Slurm does


@pytest.fixture
def there(cluster: Cluster, tmp_path: Path) -> Iterator[There]:
    """A place with a folder of its own; all that is left in the end is said."""
    made = place(cluster, tmp_path)
    yield made
    made.clear()


def place(cluster: Cluster, root: Path, **more: Any) -> There:
    folder = root / "place"
    folder.mkdir(exist_ok=True)
    settings = {
        "way": "there",
        "folder": str(folder),
        "conf": cluster.environment["SLURM_CONF"],
        "latency": 1,
    }
    profile = Profile(
        name="cluster", kind="slurm", settings={**settings, **more.pop("settings", {})}, poll=0.1, **more
    )
    launcher = plugins.one("esap_wf.backends", "slurm").launcher(profile, root / "cache")
    return There(root, profile, launcher, dict(cluster.environment))


def job_of(there: There, piece: Piece) -> str:
    return str(there.handles[piece.key])


def over(there: There, piece: Piece) -> Seen:
    """How it is when it works no more."""
    ends = (Condition.ENDED, Condition.GONE)
    return until(lambda: seen if (seen := there.seen(piece)).condition in ends else None, what="its end")


def once(there: There, piece: Piece) -> bool:
    """Whether its command began once."""
    box = there.root / "place" / getpass.getuser() / piece.key / "run/logs/began"
    return box.read_text().count("\n") == 1


BEGINS = "echo x >> logs/began; echo begun > logs/begun; "


def test_the_script_is_told_as_slurm_gets_it(cluster: Cluster, there: There) -> None:
    piece = there.piece(WAITS)
    told = there.launcher.script(piece)
    there.started(piece)
    job = job_of(there, piece)
    got = cluster.ask("scontrol", "write", "batch_script", job, "-")
    assert got.rstrip("\n") == told.rstrip("\n")
    assert cluster.field(job, "JobName") == f"ewf-{piece.key}"
    assert cluster.field(job, "Requeue") == "0"
    assert "--cpus-per-task=1" in told.splitlines()[1]


def test_a_job_that_waits_says_why(cluster: Cluster, there: There) -> None:
    closed = place(cluster, there.root, settings={"partition": "closed"})
    piece = closed.piece(WAITS)
    closed.started(piece)
    seen = until(lambda: s if "partition is down" in (s := closed.seen(piece)).reason else None)
    assert seen.condition is Condition.WAITING
    closed.launcher.stop({piece.key: None}, Signal(signal.SIGTERM, to_jobs=False))
    assert over(closed, piece).condition is Condition.GONE
    closed.clear()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"partition": "nowhere"}, "partition"), ({"account": "nobody"}, "account"), ({"qos": "none"}, "qos")],
)
def test_what_slurm_will_never_take_is_refused_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    refusing = place(cluster, tmp_path, settings=settings)
    piece = refusing.piece(WAITS)
    answer = refusing.launcher.start([piece])[piece.key]
    assert isinstance(answer, Refusal) and said in answer.reason.lower()
    refusing.launcher.forget({piece.key: None})
    assert list((tmp_path / "place").iterdir()) == []


def test_a_job_that_is_put_back_into_the_queue_begins_once(cluster: Cluster, there: There) -> None:
    piece = there.piece(BEGINS + "sleep 600")
    there.started(piece)
    there.running(piece)
    cluster.ask("scontrol", "update", f"JobId={job_of(there, piece)}", "Requeue=1")
    cluster.requeue(job_of(there, piece))
    seen = over(there, piece)
    assert seen.kind == "NODE_FAIL" and "queue" in seen.reason
    assert once(there, piece)
    until(lambda: not cluster.jobs(), what="an empty queue")


def test_a_job_that_slurm_starts_again_finds_that_it_has_begun(cluster: Cluster, there: There) -> None:
    piece = there.piece(BEGINS + "sleep 600")
    there.started(piece)
    there.running(piece)
    job = job_of(there, piece)
    cluster.ask("scontrol", "update", f"JobId={job}", "Requeue=1")
    cluster.requeue(job)
    # nobody looks until it was started again
    until(lambda: cluster.state(job) == "FAILED", what="its second start")
    seen = over(there, piece)
    assert seen.kind == "NODE_FAIL" and "again" in seen.reason
    assert once(there, piece)


def test_a_job_of_somebody_else_with_the_id_of_a_piece_is_left_alone_and_says_nothing_of_it(
    cluster: Cluster, there: There
) -> None:
    """A controller that has lost its latest state gives ids once more."""
    waiting = place(cluster, there.root, settings={"partition": "closed"})
    one, other = waiting.piece(WAITS, "1"), waiting.piece(WAITS, "2")
    waiting.started(one, other)
    stranger, ended_well = cluster.submit("sleep 600"), cluster.submit("true")
    assert cluster.ends(ended_well) == "COMPLETED"
    for piece, job in ((one, stranger), (other, ended_well)):
        cluster.cancel(job_of(waiting, piece))
        box = Sandbox(there.root / "place" / getpass.getuser() / piece.key)
        box.keep_job(job)
    try:
        seen = over(waiting, other)
        assert (seen.condition, seen.reason) == (Condition.GONE, "Slurm does not know it any more")
        waiting.launcher.stop({one.key: stranger}, None)
        assert over(waiting, one).condition is Condition.GONE
        assert cluster.state(stranger) == "RUNNING"
    finally:
        cluster.cancel(stranger)
    waiting.clear()


def test_who_cancelled_a_job_is_said(cluster: Cluster, there: There) -> None:
    piece = there.piece("trap '' TERM; " + BEGINS + "while :; do sleep 1; done")
    there.started(piece)
    there.running(piece)
    cluster.cancel(job_of(there, piece))
    seen = over(there, piece)
    assert seen.kind == "CANCELLED" and "cancelled by" in seen.reason


def test_a_node_that_dies_is_named(cluster: Cluster, there: There) -> None:
    piece = there.piece(BEGINS + "sleep 600")
    there.started(piece)
    node = there.running(piece).where
    cluster.kill_node(node)
    try:
        cluster.down(node)
        seen = over(there, piece)
    finally:
        cluster.start_node(node)
        cluster.resume_node(node)
    assert (seen.condition, seen.kind, seen.where) == (Condition.GONE, "NODE_FAIL", node)


def test_a_job_that_takes_too_much_memory_is_told_by_what_slurm_prints(
    cluster: Cluster, there: There
) -> None:
    """Without control groups Slurm's own record says no more than: FAILED, by signal 9."""
    small = place(cluster, there.root, settings={"engine_memory": "10 MB"})
    eats = "import time; x = bytearray(600_000_000); time.sleep(60)"
    piece = small.piece(f"{BEGINS} {sys.executable} -c '{eats}'")
    small.started(piece)
    seen = over(small, piece)
    assert (seen.condition, seen.kind) == (Condition.ENDED, "OUT_OF_MEMORY")
    assert "more memory than it had asked for" in seen.reason
    assert small.record(piece)["logs/begun"] == b"begun\n"
    small.clear()


def test_a_job_that_somebody_kills_is_not_explained_by_more_than_a_guess(
    cluster: Cluster, there: There
) -> None:
    piece = there.piece(f"{BEGINS} kill -9 $PPID; sleep 600")
    there.started(piece)
    seen = over(there, piece)
    assert (seen.condition, seen.kind) == (Condition.GONE, "SIGNAL")
    assert "signal 9" in seen.reason and "guess" in seen.reason


def test_a_piece_asks_for_the_memory_of_its_engine_too(cluster: Cluster, there: There) -> None:
    wide = place(cluster, there.root, settings={"engine_memory": "300 MB"})
    piece = wide.piece(WAITS)
    wide.started(piece)
    asked = int(cluster.field(job_of(wide, piece), "MinMemoryNode").removesuffix("M"))
    assert asked == math.ceil((NEEDS.memory_bytes + 300e6) / 2**20)
    wide.clear()


@pytest.mark.soak
def test_a_time_limit_is_told(cluster: Cluster, there: There) -> None:
    piece = there.piece("trap '' TERM; " + BEGINS + "while :; do sleep 1; done")
    piece = msgspec.structs.replace(piece, needs=msgspec.structs.replace(NEEDS, wall_seconds=60))
    there.started(piece)
    seen = over(there, piece)
    assert (seen.condition, seen.kind) == (Condition.ENDED, "TIMEOUT")


def test_a_controller_that_is_away_is_unknown_and_files_still_tell(cluster: Cluster, there: There) -> None:
    short, long = there.piece("sleep 1; echo 1 > outputs/one", "1"), there.piece(WAITS, "2")
    there.started(short, long)
    there.running(long)
    cluster.stop_controller()
    try:
        assert ended(there, short).exit_code == 0
        assert there.results(short)["outputs/one"] == b"1\n"
        seen = there.seen(long)
        assert seen.condition is Condition.UNKNOWN and "asked" in seen.reason
        assert there.launcher.survivors(there.run) is None
        with pytest.raises(OutageError):
            there.launcher.start([unsure := there.piece(WAITS, "3")])
    finally:
        cluster.start_controller()
    assert there.seen(long).condition is Condition.RUNNING
    # nobody knows whether Slurm has got the third
    assert there.launcher.survivors(there.run) == [long.key, unsure.key]


def test_a_submission_whose_answer_was_lost_is_found(
    cluster: Cluster, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = there.piece(BEGINS + "sleep 1")
    submit = submission.submit

    def deaf(*given: Any) -> str:
        submit(*given)
        raise OutageError("the answer was lost")

    monkeypatch.setattr(submission, "submit", deaf)
    with pytest.raises(OutageError):
        there.launcher.start([piece])
    assert there.launcher.survivors(there.run) == [piece.key]
    monkeypatch.setattr(submission, "submit", submit)
    there.started(piece)
    assert ended(there, piece).exit_code == 0
    assert once(there, piece)
    assert cluster.ask("squeue", "-h", "-t", "all", "-n", f"ewf-{piece.key}").count("\n") == 1


def test_of_two_jobs_of_a_piece_one_begins(cluster: Cluster, there: There) -> None:
    piece = there.piece(BEGINS + "sleep 1; exit 5")
    box = there.root / "place" / getpass.getuser() / piece.key
    assert isinstance(there.launcher, ThereLauncher)
    there.started(piece)
    script = there.launcher.script(piece)
    submission.submit(
        there.launcher.commands, there.profile, there.launcher._request(piece, Sandbox(box), script)
    )
    seen = ended(there, piece)
    assert (seen.exit_code, seen.kind) == (5, "")
    assert once(there, piece)
    until(lambda: not cluster.jobs(), what="an empty queue")


def test_a_folder_that_a_node_does_not_see_or_that_is_full_there_is_named(
    cluster: Cluster, there: There
) -> None:
    folder = there.root / "place"
    blind = place(cluster, there.root, options=["--nodelist=n4"])
    cluster.cover("n4", folder)
    try:
        piece = blind.piece(WAITS)
        blind.started(piece)
        seen = over(blind, piece)
    finally:
        cluster.uncover("n4", folder)
    assert (seen.condition, seen.kind, seen.where) == (Condition.GONE, "PLACE", "n4")
    assert f"does not see {folder}" in seen.reason
    blind.clear()


def test_a_folder_that_is_missing_full_or_somebody_elses_needs_a_person(
    cluster: Cluster, there: There
) -> None:
    folder = there.root / "place"
    piece = there.piece(WAITS)
    folder.rmdir()
    with pytest.raises(NeedsPersonError, match="not there") as missing:
        there.launcher.start([piece])
    assert "folder" in missing.value.problems[0].hint
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        (piece.folder / "big").write_bytes(os.urandom(1 << 20))
        with pytest.raises(NeedsPersonError, match="full"):
            there.launcher.start([piece])
        assert not list(folder.glob(f"*/{piece.key}"))
    finally:
        subprocess.run(["umount", folder], check=True)
    other = pwd.getpwnam(USERS[0])
    mine = folder / getpass.getuser()
    mine.mkdir()
    os.chown(mine, other.pw_uid, other.pw_gid)
    with pytest.raises(NeedsPersonError, match="trusted"):
        there.launcher.start([piece])
    shutil.rmtree(mine)


@pytest.fixture
def open_to_all(cluster: Cluster) -> Iterator[There]:
    """A place whose folder others see, too; nobody but pytest decides about those that it makes."""
    root = Path(tempfile.mkdtemp(prefix="esw-there-", dir="/tmp"))
    root.chmod(0o755)
    made = place(cluster, root)
    yield made
    made.clear()
    shutil.rmtree(root)


def test_two_users_share_a_folder_and_see_nothing_of_each_other(cluster: Cluster, open_to_all: There) -> None:
    there = open_to_all
    folder = there.root / "place"
    folder.chmod(0o1777)
    mine = there.piece(WAITS)
    there.started(mine)
    there.running(mine)
    other = pwd.getpwnam(USERS[0])
    subprocess.run(["chown", "-R", USERS[0], there.root / "bundles"], check=True)
    command = ("bash", "-c", "echo begun > logs/begun; id -un > outputs/who; exit 4")
    # this interpreter may be where nobody else can start it
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(other.pw_gid)
            os.setuid(other.pw_uid)
            os.chdir("/")
            os.environ.update(HOME=other.pw_dir, XDG_RUNTIME_DIR="/nonexistent")
            answer = there.elsewhere().start([msgspec.structs.replace(mine, command=command)])
            code = 0 if isinstance(answer[mine.key], str) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    theirs = folder / USERS[0] / mine.key
    until((theirs / "over").is_dir, what="the end of the other's piece")
    assert (theirs / "run/outputs/who").read_text().strip() == USERS[0]
    assert stat.S_IMODE((folder / USERS[0]).stat().st_mode) == 0o700
    assert there.seen(mine).condition is Condition.RUNNING
    assert there.launcher.survivors(there.run) == [mine.key]
    shutil.rmtree(folder / USERS[0])


def test_fifty_runs_ask_one_question_a_poll_and_keep_to_the_caps(cluster: Cluster, there: There) -> None:
    calls = there.root / "calls"
    programs = there.root / "programs"
    programs.mkdir()
    for path in Path("/usr/bin").glob("s[bcqa]*"):
        if path.name in ("sbatch", "scancel", "sacct"):
            (programs / path.name).symlink_to(path)
    (programs / "squeue").write_text(f'#!/bin/sh\necho x >> {calls}\nexec /usr/bin/squeue "$@"\n')
    (programs / "squeue").chmod(0o755)
    counted = place(cluster, there.root, settings={"commands": str(programs)}, caps=Caps(heads=48))
    counted.profile = msgspec.structs.replace(counted.profile, poll=600.0)
    kind = plugins.one("esap_wf.backends", "slurm")
    runs = {secrets.token_hex(8): None for _ in range(50)}
    pieces = {run: counted.piece(WAITS, run=run) for run in runs}
    shared = {}
    for run in runs:
        shared[run] = Shared(
            kind.launcher(counted.profile, there.root / "cache"), counted.profile, there.root / "cache"
        )
        folder = there.root / "runs" / run
        folder.mkdir(parents=True)
        shared[run].serve(Served(run, folder))
    given = {run: shared[run].start([pieces[run]]) for run in runs}
    handles = {run: answer[pieces[run].key] for run, answer in given.items() if answer}
    assert len(handles) == 48
    assert all("48 may be at a time" in shared[run].waiting_for for run in runs if run not in handles)
    for run, handle in handles.items():
        seen = shared[run].look({pieces[run].key: str(handle)})[pieces[run].key]
        assert seen.condition in (Condition.WAITING, Condition.RUNNING)
    assert calls.read_text().count("\n") == 1, "one squeue for all"
    counted.clear()


def test_a_packed_environment_is_unpacked_once_where_nodes_see_it(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESAP_WF_CONFIG", str(tmp_path / "config.toml"))
    tool, archive = tmp_path / "environment/bin/tool", tmp_path / "packed.tar.gz"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\necho "$0" > outputs/where\n')
    tool.chmod(0o755)
    packed.pack(tmp_path / "environment", archive)
    digest = packed.short_digest(archive, tmp_path / "cache")
    engine = EngineThere(environment=str(archive), version="1.0")
    there = place(cluster, tmp_path, engines={"tool": engine})
    command = (f"@environments/{digest}/bin/tool",)
    pieces = [there.piece("", slice_, command=command) for slice_ in ("1", "2")]
    there.started(*pieces)
    for piece in pieces:
        assert ended(there, piece).exit_code == 0, there.told(piece)
        at = Path(there.results(piece)["outputs/where"].decode().strip())
        assert at == tmp_path / "place" / getpass.getuser() / "environments" / digest / "bin/tool"
    there.clear()
    assert at.exists(), "it stays, as a cache"
