"""What is handed in to Slurm, and what its answers mean."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from esap_wf.backends import NeedsPersonError, OutageError, Profile, Refusal
from esap_wf.backends.launcher import BatchJob, Condition
from esap_wf.backends.slurm import limits, options, submission
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.submission import Later, Request
from esap_wf.models.plan import Allocation

NEEDS = Allocation(cores=2, memory_bytes=10**9, disk_bytes=1, wall_seconds=90, gpus=1)
KEY = "0123456789abcdef.1"


def profile(folder: Path, **settings: object) -> Profile:
    return Profile(name="mine", kind="slurm", settings={"commands": str(folder), **settings})


def request_in(folder: Path) -> Request:
    return Request(KEY, folder, "#!/bin/sh\ntrue\n", "logs/job.log", NEEDS)


def says(folder: Path, code: int, out: str = "", err: str = "") -> None:
    """From now on that is what sbatch does, beside keeping what it was given."""
    for name, text in (("out", out), ("err", err)):
        (folder / name).write_text(text)
    program = folder / "sbatch"
    program.write_text(
        f'#!/bin/sh\ncd {folder}\nprintf "%s\\n" "$@" > arguments\nenv > environment\ncat > script\n'
        f"cat out; cat err >&2; exit {code}\n"
    )
    program.chmod(0o755)


def submitted(folder: Path, **settings: object) -> object:
    place = profile(folder, **settings)
    return submission.submit(Commands(place), place, request_in(folder))


def test_a_job_is_handed_in_with_what_it_needs_and_what_the_profile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hush")
    monkeypatch.setenv("SBATCH_PARTITION", "of-the-shell")
    monkeypatch.setenv("SLURM_JOB_ID", "of-the-shell")
    says(tmp_path, 0, "a banner\n123;cluster\n")
    answer = submitted(tmp_path, partition="main,short", account="science", gpus_as="gpu:a100", conf="/etc/x")
    assert answer == "123"
    given = (tmp_path / "arguments").read_text().splitlines()
    assert {"--partition=main,short", "--account=science", "--gres=gpu:a100:1"} <= set(given)
    assert {"--cpus-per-task=2", "--mem=954M", "--time=2", "--no-requeue"} <= set(given)
    assert f"--job-name=ewf-{KEY}" in given
    assert (tmp_path / "script").read_text() == "#!/bin/sh\ntrue\n"
    environment = (tmp_path / "environment").read_text()
    assert "SLURM_CONF=/etc/x" in environment
    assert not [name for name in ("MY_TOKEN", "SBATCH_", "SLURM_JOB_ID") if name in environment]


@pytest.mark.parametrize("own", ["C.UTF-8", None])
def test_a_job_gets_the_locale_of_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    if own:
        monkeypatch.setenv("LC_ALL", own)
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    says(tmp_path, 0, "123\n")
    submitted(tmp_path)
    environment = (tmp_path / "environment").read_text().splitlines()
    assert [line for line in environment if line.startswith("LC_ALL=")] == ([f"LC_ALL={own}"] if own else [])
    assert "LC_TIME=C.UTF-8" in environment


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        "sbatch: error: Batch job submission failed: Invalid qos specification",
        "sbatch: error: Memory specification can not be satisfied\n"
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: "
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information",
    ],
)
def test_what_is_never_taken_is_a_refusal_in_slurms_own_words(tmp_path: Path, said: str) -> None:
    says(tmp_path, 1, err=said)
    answer = submitted(tmp_path)
    assert isinstance(answer, Refusal)
    assert "Batch job submission failed" not in answer.reason
    first = said.splitlines()[0].split(": ")[-1]
    assert first.removeprefix("sbatch: ") in answer.reason


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: "
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
    ],
)
def test_what_goes_by_is_tried_again(tmp_path: Path, said: str) -> None:
    says(tmp_path, 1, err=said)
    assert isinstance(submitted(tmp_path), Later)


def test_an_answer_that_is_lost_or_makes_no_sense_is_an_outage(tmp_path: Path) -> None:
    says(
        tmp_path, 1, err="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    )
    with pytest.raises(OutageError):
        submitted(tmp_path)
    says(tmp_path, 0, "welcome\n")
    with pytest.raises(OutageError, match="nothing that can be read"):
        submitted(tmp_path)


def test_a_failure_that_nobody_knows_needs_a_person(tmp_path: Path) -> None:
    for said in ("sbatch: error: Access/permission denied", "sbatch: error: plugin of the site: no", ""):
        says(tmp_path, 1, err=said)
        with pytest.raises(NeedsPersonError):
            submitted(tmp_path)


@pytest.mark.parametrize(
    "option",
    [
        *("--wrap=true", "--array=1-9", "-a1", "script.sh", "--wait", "--test-only"),
        # what begins the name of one option is taken for it
        *("--arr=1-9", "--wr=true", "--clusters=other", "--cluster=other", "-Mother", "--clust=x"),
        # by what these say a run finds its jobs
        *("--comment=mine", "--comm=mine", "--job-name=mine", "-Jmine", "--chdir=/", "--export=NONE", "-D/"),
    ],
)
def test_options_that_make_another_submission_are_refused(tmp_path: Path, option: str) -> None:
    place = msgspec.structs.replace(profile(tmp_path), options=[option])
    assert isinstance(submission.submit(Commands(place), place, request_in(tmp_path)), Refusal)
    assert any(option in why for why in limits.reasons(place, NEEDS, None)), "in the plan"
    usual = ["--exclude=n1", "--wckey=a", "--constraint=a", "--mail-user=x", "-x n1", "--wait-all-nodes=1"]
    assert options.objection(msgspec.structs.replace(place, options=usual)) == ""


def test_a_key_is_found_in_a_name_and_in_no_other() -> None:
    def job(name: str) -> BatchJob:
        return BatchJob(id="1", name=name, condition=Condition.RUNNING, state="RUNNING")

    assert submission.key_of(job(submission.name_of(KEY))) == KEY
    assert {submission.key_of(job(n)) for n in ("ewf-0123", "ewf-", f"x{KEY}", f"ewf-{KEY} rm", "")} == {None}
    with pytest.raises(ValueError, match="no key"):
        submission.name_of("a,b")


def test_of_several_jobs_of_one_key_one_goes_on(tmp_path: Path) -> None:
    script = f"{submission.fence('a b.started')}echo $SLURM_JOB_ID >> ran\n"
    jobs = [
        subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "SLURM_JOB_ID": str(i)},
            stderr=subprocess.PIPE,
        )
        for i in range(1, 9)
    ]
    said = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 8
    assert sum(b"another one of this name" in text for text in said) == 7
    assert (tmp_path / "ran").read_text() == (tmp_path / "a b.started").read_text()


def test_a_job_that_can_not_leave_its_id_says_so(tmp_path: Path) -> None:
    script = submission.fence("no/folder")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 73
    assert "no file can be made" in done.stderr
