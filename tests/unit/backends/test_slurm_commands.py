"""Slurm's commands that are missing, slow, or can't be started. Scripts stand for them: a real one can't be made to do that."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest

from esap_wf.backends import NeedsPersonError, OutageError, Piece
from esap_wf.backends.slots import clock
from esap_wf.backends.slurm import head, partitions, questions, shared, surveying, visibility
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.native import NativeLauncher
from esap_wf.backends.slurm.parsing import Job
from esap_wf.models.place import Profile
from esap_wf.testing.pieces import NEEDS


def profile(folder: Path) -> Profile:
    return Profile(name="farm", kind="slurm", settings={"commands": str(folder)})


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(profile(tmp_path))


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_a_missing_command_needs_somebody_and_says_where_it_was_looked_for(
    commands: Commands, tmp_path: Path
) -> None:
    with pytest.raises(NeedsPersonError, match=f"squeue is not in {tmp_path}.*commands"):
        commands.run("squeue")


def test_a_slow_command_is_an_outage_and_is_ended(commands: Commands, tmp_path: Path) -> None:
    script(tmp_path, "squeue", "#!/bin/sh\nexec sleep 600\n")
    begin = time.monotonic()
    with pytest.raises(OutageError, match="squeue has not answered within 1 s"):
        commands.run("squeue", patience=1)
    assert time.monotonic() - begin < 60


def test_a_command_that_cannot_be_started_is_an_outage(commands: Commands, tmp_path: Path) -> None:
    script(tmp_path, "squeue", "#!/nowhere/python\n")
    with pytest.raises(OutageError, match="squeue can't be started"):
        commands.run("squeue")


@pytest.mark.parametrize(
    "text",
    [
        "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1",
        "echo 'squeue: error: something that nobody knows' >&2; exit 3",
        "echo 'JOBID|what is this'; exit 0",
        "head -c 100000 /dev/urandom",
        "kill -9 $$",
    ],
)
def test_whatever_squeue_says_instead_of_an_answer_is_no_end_of_any_job(
    commands: Commands, tmp_path: Path, text: str
) -> None:
    script(tmp_path, "squeue", f"#!/bin/sh\n{text}\n")
    with pytest.raises(OutageError):
        questions.active(commands)


def test_of_several_clusters_of_the_user_s_the_profile_s_is_asked_and_submitted_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SQUEUE_USERS"):
        monkeypatch.setenv(name, "another")
    place = Profile(name="farm", kind="slurm", settings={"commands": str(tmp_path), "conf": "/etc/one"})
    assert not {"SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SQUEUE_USERS"} & Commands(place).environment.keys()
    launcher = NativeLauncher(place, tmp_path / "cache")
    piece = Piece("0123456789abcdef.1", tmp_path, ("true",), NEEDS, environment=dict(os.environ))
    engine = launcher._with(piece, tmp_path / "bin").environment
    assert not {"SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SQUEUE_USERS"} & engine.keys()
    assert engine["SLURM_CONF"] == "/etc/one"
    assert engine["PATH"].startswith(f"{tmp_path}/bin{os.pathsep}")


def test_the_job_that_tries_out_a_folder_has_nothing_of_the_users_environment(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush")
    script(tmp_path, "sbatch", f"#!/bin/sh\nenv > {tmp_path}/seen\ncat > /dev/null\necho 7\n")
    script(tmp_path, "scancel", "#!/bin/sh\n")
    visibility._probed(commands, profile(tmp_path), "#!/bin/sh\n", lambda: True)
    assert "hush" not in (tmp_path / "seen").read_text()
    assert "PATH=" in (tmp_path / "seen").read_text()


def test_the_accounting_is_not_asked_for_jobs_that_wait_or_work(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queued(_: Commands, *options: str) -> list[Job]:
        more = {field.name: "" for field in dataclasses.fields(Job)}
        none = dict.fromkeys(("submitted", "started", "ended"), None)
        return [Job(**{**more, **none, "id": "7", "raw": "7", "state": state})]  # type: ignore[arg-type]

    script(tmp_path, "sacct", f"#!/bin/sh\necho x >> {tmp_path}/asked\n")
    script(tmp_path, "squeue", "#!/bin/sh\n")
    monkeypatch.setattr(questions, "_squeue", queued)
    for state in ("PENDING", "RUNNING"):
        assert questions.known(commands, ["7"])["7"].state == state
    assert not (tmp_path / "asked").exists()
    state = "FAILED"
    assert questions.known(commands, ["7"])["7"].state == state
    assert (tmp_path / "asked").exists()
    # why one has failed is said of one that is over
    state = "LAUNCH_FAILED"
    assert questions.known(commands, ["7"])["7"].kind == ""
    state = "TIMEOUT"
    assert questions.known(commands, ["7"])["7"].kind == "TIMEOUT"


def test_many_long_names_are_asked_for_in_parts_that_the_system_takes(
    commands: Commands, tmp_path: Path
) -> None:
    for program in ("squeue", "sacct"):
        script(tmp_path, program, f"#!/bin/sh\necho x >> {tmp_path}/{program}.asked\n")
    names = [f"ewf-{n:04}.{'x' * 190}" for n in range(1500)]
    assert questions.named(commands, names) == []
    asked = [len((tmp_path / f"{program}.asked").read_text()) // 2 for program in ("squeue", "sacct")]
    assert asked == [3, 3]


def test_a_slurm_that_shows_no_partition_needs_somebody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ask", lambda *_: ([], []))
    with pytest.raises(NeedsPersonError, match="farm shows you no partition"):
        surveying.survey(profile(tmp_path))


def test_a_process_that_stands_still_with_the_lock_stops_nobody_else(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "PATIENCE", 0.1)
    monkeypatch.setattr(questions, "active", lambda _: [])
    folder = tmp_path / "farm"
    folder.mkdir()
    with (folder / "active.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shared.Active(commands, folder).jobs(clock()) == []


def test_an_engine_whose_environment_is_gone_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "logs").mkdir()
    begin = f"folder={tmp_path}\nepoch=1\ncommand=(touch {tmp_path}/started)\ndrain=\n"
    text = begin + Path(head.__file__).with_name("head.sh").read_text()
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 92
    assert "1.environment is not there" in done.stderr
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "engine/1.started").exists()


def queue_of(monkeypatch: pytest.MonkeyPatch, **fields: str) -> None:
    """One job is what `squeue` tells, whatever it is asked for."""
    more = {field.name: "" for field in dataclasses.fields(Job)}
    none = dict.fromkeys(("submitted", "started", "ended"), None)
    job = Job(**{**more, **none, "id": "7", "raw": "7", "state": "RUNNING", **fields})  # type: ignore[arg-type]
    monkeypatch.setattr(questions, "_squeue", lambda *_: [job])


def test_what_the_controller_has_forgotten_and_no_accounting_tells_is_no_answer(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_of(monkeypatch)
    script(tmp_path, "squeue", "#!/bin/sh\n")
    script(tmp_path, "sacct", "#!/bin/sh\necho 'sacct: error: Connection refused' >&2; exit 1\n")
    assert questions.known(commands, ["7"]).keys() == {"7"}
    with pytest.raises(OutageError):
        questions.known(commands, ["7", "8"])


def test_a_job_that_only_looks_like_one_of_a_name_is_not_taken_for_it(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "sacct", "#!/bin/sh\n")
    queue_of(monkeypatch, name="ewf-of-somebody-else")
    assert questions.named(commands, ["ewf-mine"]) == []
    queue_of(monkeypatch, name="ewf-mine")
    assert [job.id for job in questions.named(commands, ["ewf-mine"])] == ["7"]
