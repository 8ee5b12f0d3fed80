"""Jobs of an engine on this machine: how they are marked, and that no process of theirs is taken for the run's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esap_wf.backends.launcher import BatchJob, Condition
from esap_wf.backends.slots import clock
from esap_wf.backends.slurm import questions, wrapper
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.shared import Active
from esap_wf.models.place import Profile
from esap_wf.runs import processes

RUN = "0123456789abcdef"


def test_the_wrapper_marks_jobs_and_hides_the_keys_of_processes(tmp_path: Path) -> None:
    sbatch = tmp_path / "it's sbatch"
    sbatch.write_text('#!/bin/sh\nprintf "%s\\n" "$@"; env | grep ESAP_WF\n')
    sbatch.chmod(0o755)
    (tmp_path / "engine").mkdir()
    folder = wrapper.write(RUN, tmp_path, str(sbatch), None, None)
    environment = {**os.environ, "ESAP_WF_RUN": RUN, "ESAP_WF_ENGINE": f"{RUN}.1"}
    done = subprocess.run(
        [folder / "sbatch", "--wrap", "a b"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:3] == [f"--comment=ewf-{RUN}", "--wrap", "a b"]
    assert f"ESAP_WF_JOBS=ewf-{RUN}" in done.stdout
    assert "ESAP_WF_RUN=" not in done.stdout
    assert "ESAP_WF_ENGINE=" not in done.stdout
    assert len((tmp_path / wrapper.SUBMITTED).read_text().splitlines()) == 1


def test_the_wrapper_lets_no_more_jobs_through_in_a_minute_than_are_allowed(tmp_path: Path) -> None:
    folder = wrapper.write(RUN, tmp_path, "/bin/true", None, 2)
    calls = [str(folder / "sbatch"), "job.sh"]
    began = int(time.time())
    lines = (began - 3600, began - 57, began - 10)
    (tmp_path / wrapper.SUBMITTED).write_text("".join(f'{{"t":{t}}}\n' for t in lines))
    subprocess.run(calls, check=True, timeout=60)
    assert 2 <= time.time() - began < 50
    assert len((tmp_path / wrapper.SUBMITTED).read_text().splitlines()) == 4
    (tmp_path / wrapper.SUBMITTED).unlink()
    for _ in range(2):
        subprocess.run(calls, check=True, timeout=2)


@contextmanager
def process(**variables: str) -> Iterator[int]:
    made = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert made.stdout
    made.stdout.readline()
    try:
        yield made.pid
    finally:
        made.kill()
        made.communicate()


def test_a_process_of_a_job_on_this_machine_is_no_survivor_of_the_run() -> None:
    with process(ESAP_WF_RUN=RUN) as own, process(ESAP_WF_RUN=RUN, SLURM_JOB_ID="7") as of_job:
        found = {s.pid for s in processes.survivors(RUN)}
    assert own in found
    assert of_job not in found


def test_one_question_serves_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask(commands: Commands) -> list[BatchJob]:
        asked.append(1)
        return [BatchJob(id=str(len(asked)), name=f"ewf-{RUN}", condition=Condition.RUNNING, state="RUNNING")]

    monkeypatch.setattr(questions, "active", ask)
    commands = Commands(Profile(name="farm", kind="slurm"))
    began = clock()
    answers = [Active(commands, tmp_path / "farm").jobs(began) for _ in range(50)]
    assert asked == [1]
    assert {jobs[0].id for jobs in answers} == {"1"}
    assert Active(commands, tmp_path / "farm").jobs(clock())[0].id == "2"
