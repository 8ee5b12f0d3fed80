"""Slurm's commands that are missing, slow, or can't be started. Scripts stand for them: a real one can't be made to do that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from esap_wf.backends import NeedsPersonError, OutageError
from esap_wf.backends.slurm import questions
from esap_wf.backends.slurm.commands import Commands
from esap_wf.models.place import Profile


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(Profile(name="farm", kind="slurm", settings={"commands": str(tmp_path)}))


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
