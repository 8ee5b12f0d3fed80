"""Engines as jobs: started once, seen, asked to end, given up and found again, on a real cluster."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from helpers.waiting import until
from services.slurm import Cluster

from esap_wf.backends import Condition, Launcher, OutageError, Piece, Profile, Refusal, Seen, Served, Signal
from esap_wf.backends.slurm import Slurm, head, submission
from esap_wf.models.plan import Allocation
from esap_wf.runs import attempts

pytestmark = pytest.mark.integration
NEEDS = Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1)
WAITS = "echo begun > begun; while [ ! -e gate ]; do sleep 0.1; done; exit $(cat gate)"


class Here:
    """A run directory, and what starts engines in it."""

    def __init__(self, cluster: Cluster, folder: Path, **settings: object) -> None:
        self.cluster, self.folder, self.run = cluster, folder, uuid.uuid4().hex
        for name in ("engine", "logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.profile = Profile(
            name="tests",
            kind="slurm",
            settings={
                "way": "native",
                "head": "job",
                "conf": cluster.environment["SLURM_CONF"],
                "head_memory": "50 MB",
                "latency": 2,
                **settings,
            },
        )
        self.key = f"{self.run}.1"
        self.launcher = self.another()

    def another(self) -> Launcher:
        """As another process would have it."""
        made = Slurm().launcher(self.profile, self.folder)
        made.serve(Served(self.run, self.folder))
        return made

    def piece(self, script: str, **more: object) -> Piece:
        kept = {"PATH": os.environ["PATH"], "HOME": "/root"}
        made = Piece(self.key, self.folder, ("bash", "-c", script), NEEDS, kept)
        return msgspec.structs.replace(made, **more)

    def start(self, script: str, **more: object) -> str:
        answer = self.launcher.start([self.piece(script, **more)])[self.key]
        assert isinstance(answer, str)
        return answer.partition(" ")[0]

    def begun(self, script: str = WAITS, **more: object) -> str:
        job = self.start(script, **more)
        until((self.folder / "begun").exists, what="the engine", detail=self.told)
        return job

    def told(self) -> object:
        logs = [*(self.folder / "logs").iterdir(), *(self.folder / "engine").glob("*.log")]
        return self.seen(), [log.read_text() for log in logs]

    def seen(self, launcher: Launcher | None = None, handle: str | None = None) -> Seen:
        return (launcher or self.launcher).look({self.key: handle})[self.key]

    def over(self) -> Seen:
        """Once nothing of the engine is to be waited for."""
        over = (Condition.ENDED, Condition.GONE)
        until(lambda: self.seen().condition in over, what="the end", detail=self.told)
        return self.seen()

    def opens(self, code: int) -> None:
        (self.folder / "gate").write_text(f"{code}\n")

    def files(self) -> str:
        return " ".join(sorted(p.name for p in (self.folder / "engine").iterdir()))


@pytest.fixture
def here(cluster: Cluster, tmp_path: Path) -> Iterator[Here]:
    made = Here(cluster, tmp_path / "a run")
    yield made
    made.launcher.clear(made.run, 5.0, lambda what: None)


def test_an_engine_is_seen_from_its_start_to_its_end(here: Here) -> None:
    script = "head -c 20000000 /dev/urandom | sha256sum; env -0 > environment; " + WAITS
    job = here.begun(script, environment={"PATH": os.environ["PATH"], "SLURM_MEM": "9", "ESAP_WF_RUN": "x"})
    running = here.seen()
    assert (running.condition, running.root) == (Condition.RUNNING, str(here.folder))
    assert running.where in ("n1", "n2", "n3", "n4")
    assert here.launcher.survivors(here.run) == [here.key]
    assert here.another().survivors(here.run) == [here.key], "another process knows the same"
    record = attempts.job_of(here.folder, 1)
    assert record and record.job == job
    until(lambda: attempts.last_beat(here.folder, 1), what="a sign of life")
    here.opens(3)
    ended = here.over()
    assert (ended.condition, ended.exit_code, ended.orphans) == (Condition.ENDED, 3, True)
    assert ended.usage.cpu_seconds and ended.usage.cpu_seconds > 0.01
    assert here.seen(here.another()).exit_code == 3, "whoever asks later is told the same"
    assert here.cluster.ends(job) == "FAILED"
    variables = dict(v.split("=", 1) for v in (here.folder / "environment").read_text().split("\0") if v)
    assert not [
        v for v in variables if v.startswith(("SLURM_", "SBATCH_", "ESAP_WF_RUN")) and v != "SLURM_CONF"
    ]
    assert variables["ESAP_WF_JOBS"] == f"ewf-{here.run}"
    assert "environment" not in here.files(), "nothing of it is left"


def test_a_key_starts_one_engine_and_no_other(here: Here) -> None:
    job = here.begun("echo again >> starts; " + WAITS)
    for launcher in (here.launcher, here.another()):
        answer = launcher.start([here.piece("echo again >> starts")])[here.key]
        assert isinstance(answer, str) and answer.startswith(f"{job} ")
    # as if the answer had been lost, and another job had been handed in
    second = submission.submit(
        here.launcher.commands,  # type: ignore[attr-defined]
        here.profile,
        here.launcher.request(here.piece("echo again >> starts")),  # type: ignore[attr-defined]
    )
    assert here.cluster.ends(str(second)) == "COMPLETED"
    assert here.seen().condition is Condition.RUNNING
    here.opens(0)
    assert here.over().exit_code == 0
    assert here.another().start([here.piece("echo again >> starts")])[here.key]
    assert (here.folder / "starts").read_text() == "again\n"


@pytest.mark.parametrize("point", ["head-recorded", "head-submitted"])
def test_a_crash_while_it_is_handed_in_is_no_harm(here: Here, point: str) -> None:
    script = (
        "import os, sys, msgspec; from esap_wf.runs import crashpoints; from pathlib import Path\n"
        "from esap_wf.backends import Piece, Profile, Served; from esap_wf.backends.slurm import Slurm\n"
        "profile, piece = msgspec.json.decode(sys.argv[1], type=Profile), msgspec.json.decode(sys.argv[2], type=Piece,"
        " dec_hook=lambda t, v: t(v))\n"
        "made = Slurm().launcher(profile, piece.folder); made.serve(Served(sys.argv[3], piece.folder))\n"
        "crashpoints.reached = lambda name: name == sys.argv[4] and os.kill(os.getpid(), 9)\n"
        "made.start([piece])"
    )
    piece = here.piece("echo again >> starts; " + WAITS)
    words = [msgspec.json.encode(w, enc_hook=str).decode() for w in (here.profile, piece)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, here.run, point],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert attempts.last(here.folder, 9) == 1, "who comes next knows of it"
    here.begun("echo again >> starts; " + WAITS)
    here.opens(0)
    assert here.over().exit_code == 0
    assert (here.folder / "starts").read_text() == "again\n"


def test_what_was_never_started_is_gone(here: Here) -> None:
    assert here.seen() == Seen(Condition.GONE, reason="was never handed in")
    here.launcher.stop({here.key: None}, Signal(signal.SIGTERM, to_jobs=True))
    here.launcher.stop({here.key: None}, None)
    assert here.launcher.survivors(here.run) == []


def test_one_that_waits_says_why_and_never_begins_when_it_is_stopped(here: Here) -> None:
    waits = Here(here.cluster, here.folder, partition="closed")
    job = waits.start("echo x > begun")
    seen = waits.seen()
    assert seen.condition is Condition.WAITING
    assert f"job {job}: " in seen.reason and "partition" in seen.reason
    assert (waits.folder / "engine/1.environment").stat().st_mode & 0o777 == 0o600
    waits.launcher.stop({waits.key: None}, Signal(signal.SIGTERM, to_jobs=False))
    gone = waits.over()
    assert gone.condition is Condition.GONE
    assert "cancelled" in gone.reason
    assert "environment" not in waits.files()
    assert not (waits.folder / "begun").exists()


def test_signals_get_to_the_engine_or_to_all(here: Here) -> None:
    script = (
        "trap 'echo x >> engine-heard' USR1; (trap 'echo x >> job-heard' USR1; while :; do sleep 0.1; done) & "
        "while [ ! -e gate ]; do sleep 0.1; echo x > begun; done"
    )
    here.begun(script)
    here.launcher.stop({here.key: None}, Signal(signal.SIGUSR1, to_jobs=False))
    until((here.folder / "engine-heard").exists, what="the engine to hear", detail=here.told)
    assert not (here.folder / "job-heard").exists()
    here.launcher.stop({here.key: None}, Signal(signal.SIGUSR1, to_jobs=True))
    until((here.folder / "job-heard").exists, what="its job to hear", detail=here.told)
    assert here.seen().condition is Condition.RUNNING
    here.launcher.stop({here.key: None}, Signal(signal.SIGTERM, to_jobs=False))
    assert (here.over().condition, here.seen().exit_code) == (Condition.ENDED, -signal.SIGTERM)


def test_one_that_is_given_up_ends_though_nobody_can_ask_slurm(here: Here) -> None:
    job = here.begun("trap '' TERM; " + WAITS)
    here.launcher.give_up({here.key: None})
    assert here.cluster.ends(job) == "FAILED"
    assert attempts.end_of(here.folder, 1) is None, "its word is nobody's"
    assert isinstance(here.launcher.start([here.piece("true")])[here.key], Refusal)


def test_clearing_ends_the_head_and_what_it_has_submitted(here: Here) -> None:
    sbatch = f"sbatch --parsable -o /dev/null --comment=ewf-{here.run} --wrap 'sleep 600' > submitted; "
    conf = f"export SLURM_CONF={here.cluster.environment['SLURM_CONF']}; "
    here.begun(conf + sbatch + WAITS)
    stranger = here.cluster.submit("sleep 600", f"--comment=ewf-{here.run}0", "--job-name=other")
    told: list[str] = []
    here.launcher.clear(here.run, 15.0, told.append)
    assert "ending 2 jobs" in told[0]
    left = here.cluster.jobs()
    assert stranger in left
    assert (here.folder / "submitted").read_text().strip() not in left
    here.cluster.cancel(stranger)
    assert here.over().condition is Condition.GONE
    here.launcher.clear(here.run, 1.0, told.append)
    assert len(told) == 1, "again: nothing to do"


def test_an_administrator_takes_it_away_and_that_is_told(here: Here) -> None:
    job = here.begun()
    here.cluster.cancel(job)
    gone = here.over()
    assert (gone.condition, gone.exit_code) == (Condition.GONE, None)
    assert f"job {job} on n" in gone.reason and "cancelled" in gone.reason


def test_its_word_is_waited_for_when_its_job_is_over(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.begun()
    until(lambda: here.seen().condition is Condition.RUNNING)
    real, hidden = attempts.end_of, [True]
    monkeypatch.setattr(attempts, "end_of", lambda *a: None if hidden[0] else real(*a))
    here.opens(0)
    until(lambda: "not yet seen" in here.seen().reason, what="its job to be over", detail=here.told)
    assert here.seen().condition is Condition.RUNNING
    hidden[0] = False
    assert here.seen().exit_code == 0
    hidden[0] = True
    gone = here.over()
    assert gone.condition is Condition.GONE and "left no word" in gone.reason


def test_an_outage_is_no_end(here: Here, tmp_path: Path) -> None:
    here.begun()
    lost = here.another()
    conf = Path(here.cluster.environment["SLURM_CONF"]).read_text()
    # where nobody listens, and commands don't try for long
    away = tmp_path / "slurm.conf"
    away.write_text(re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", conf) + "\nMessageTimeout=2\n")
    lost.commands.environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(away)}  # type: ignore[attr-defined]
    seen = here.seen(lost)
    assert seen.condition is Condition.UNKNOWN and "Unable to contact" in seen.reason
    assert lost.survivors(here.run) is None
    with pytest.raises(OutageError):
        lost.clear(here.run, 1.0, lambda what: None)


@pytest.mark.soak
def test_a_slurm_that_is_not_configured_here_is_an_outage_too(here: Here, tmp_path: Path) -> None:
    """Its commands look for another one in the network for a minute."""
    here.begun()
    lost = here.another()
    lost.commands.environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(tmp_path / "none")}  # type: ignore[attr-defined]
    seen = here.seen(lost)
    assert seen.condition is Condition.UNKNOWN or "SLURM_CONF" in seen.reason
    assert lost.survivors(here.run) is None


def test_secrets_are_in_no_file_when_it_has_begun(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = f"hush-{uuid.uuid4().hex}"
    monkeypatch.setenv("MY_TICKET", secret)
    job = here.begun('printf "%s" "$MY_TICKET" | sha256sum > sum; ' + WAITS, secrets=("MY_TICKET", "NONE"))
    found = [
        p
        for folder in (here.folder, here.cluster.folder)
        for p in folder.rglob("*")
        if p.is_file() and secret.encode() in p.read_bytes()
    ]
    assert found == []
    assert secret not in here.cluster.ask("scontrol", "show", "job", "-d", job)
    assert secret not in here.cluster.ask("scontrol", "write", "batch_script", job, "-")
    until(lambda: (here.folder / "sum").read_text(), what="the sum")
    assert (here.folder / "sum").read_text().split()[0] == hashlib.sha256(secret.encode()).hexdigest()


def test_values_of_users_are_words_and_no_commands(here: Here) -> None:
    hostile = "a 'b' \"c\" $(touch pwned) `touch pwned` ${x} \\ ; | & \n#SBATCH --bogus\n%s مريم"
    odd = Here(here.cluster, here.folder / "it's $(touch pwned)")
    piece = odd.piece("")
    words = ("bash", "-c", 'printf "%s" "$1" > word; printf "%s" "$VALUE" > value', "x", hostile)
    odd.launcher.start(
        [msgspec.structs.replace(piece, command=words, environment={**piece.environment, "VALUE": hostile})]
    )
    assert odd.over().exit_code == 0, odd.told()
    assert (odd.folder / "word").read_text() == hostile == (odd.folder / "value").read_text()
    assert not list(here.folder.rglob("pwned"))


def test_other_runs_can_ask_for_it_by_its_handle(here: Here, tmp_path: Path) -> None:
    handle = here.launcher.start([here.piece(WAITS)])[here.key]
    other = Here(here.cluster, tmp_path / "other")
    until(lambda: other.launcher.look({here.key: str(handle)})[here.key].condition is Condition.RUNNING)
    assert other.launcher.look({here.key: None})[here.key].condition is Condition.RUNNING
    here.opens(4)
    until(lambda: other.launcher.look({here.key: str(handle)})[here.key].exit_code == 4)


def test_the_script_ends_when_the_node_does_not_see_the_run(tmp_path: Path) -> None:
    script = f"folder={tmp_path}/none\nepoch=1\ncommand=(true)\ndrain=\n" + head._SCRIPT.read_text()
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 91
    assert "does not see" in done.stderr


def test_what_it_drains_at_is_told_to_slurm_in_time(here: Here) -> None:
    def options(**more: object) -> object:
        return here.launcher.request(here.piece("", **more)).options  # type: ignore[attr-defined]

    assert options() == []
    assert options(drain=15, lead=3600) == ["--signal=B:USR2@3720"]
    assert options(drain=15, lead=10**6) == [f"--signal=B:USR2@{12 * 3600}"], "half of a day at most"
