"""A job is handed in once for its key, whoever does it, at the same time or after a crash."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.waiting import until
from services.slurm import Cluster

from esap_wf.backends import OutageError, Profile, Refusal
from esap_wf.backends.slurm import submission
from esap_wf.backends.slurm.commands import Commands
from esap_wf.backends.slurm.submission import Later, Request
from esap_wf.models.plan import Allocation

pytestmark = pytest.mark.integration
NEEDS = Allocation(cores=1, memory_bytes=10**8, disk_bytes=1, wall_seconds=60)


class Handed:
    """A folder, and jobs that are handed in for it."""

    def __init__(self, cluster: Cluster, folder: Path, **settings: object) -> None:
        conf = cluster.environment["SLURM_CONF"]
        self.cluster, self.folder = cluster, folder
        self.profile = Profile(name="tests", kind="slurm", settings={"conf": conf, **settings})
        self.commands = Commands(self.profile)
        self.key = f"{secrets.token_hex(8)}.1"

    def request(self, rest: str = "true") -> Request:
        script = f"#!/bin/bash\n{submission.fence('started')}echo $SLURM_JOB_ID >> ran\n{rest}\n"
        return Request(self.key, self.folder, script, "log", NEEDS)

    def ensure(self, rest: str = "true") -> str | Refusal | Later:
        return submission.ensure(self.commands, self.profile, [self.request(rest)])[self.key]

    def over(self) -> None:
        """Once none of its jobs waits or runs."""
        name = f"--name={submission.name_of(self.key)}"
        until(lambda: not self.cluster.ask("squeue", "-h", name), what="the end of its jobs")

    def ran(self) -> list[str]:
        return (self.folder / "ran").read_text().split()


@pytest.fixture
def handed(cluster: Cluster, tmp_path: Path) -> Callable[..., Handed]:
    return lambda **settings: Handed(cluster, tmp_path, **settings)


def test_a_key_that_is_there_is_not_handed_in_again(handed: Callable[..., Handed]) -> None:
    one = handed()
    job = one.ensure()
    assert one.ensure() == job
    one.over()
    assert one.ensure() == job, "nor when it has ended"
    assert one.ran() == [job]


def test_two_at_once_and_a_lost_answer_run_it_once(handed: Callable[..., Handed]) -> None:
    one = handed()
    # nobody has looked for another
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(submission.submit(one.commands, one.profile, one.request()))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 3
    assert one.ensure() in answers
    one.over()
    assert len(one.ran()) == 1
    assert one.ran() == (one.folder / "started").read_text().split()


def test_a_job_that_the_controller_has_forgotten_is_known_to_the_accounting(
    handed: Callable[..., Handed], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = handed()
    job = one.ensure()
    one.over()
    real = Commands.run

    def forgetful(self: Commands, program: str, *arguments: str, **more: object) -> object:
        if program == "squeue":
            arguments = (*arguments, "--states=PENDING,RUNNING")
        return real(self, program, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Commands, "run", forgetful)
    until(lambda: submission.find(one.commands, [one.key]), what="the accounting to hear of it")
    assert one.ensure() == job


def test_bad_names_are_refused_at_once(handed: Callable[..., Handed]) -> None:
    for settings, said in (
        ({"partition": "nope"}, "nope"),
        ({"account": "nope"}, "account"),
        ({"qos": "nope"}, "qos"),
        ({"constraint": "nope"}, "feature"),
        ({"account": "reserve", "qos": "quick"}, "qos"),
    ):
        answer = handed(**settings).ensure()
        assert isinstance(answer, Refusal), settings
        assert said in answer.reason


def test_too_many_in_the_queue_is_no_refusal(handed: Callable[..., Handed]) -> None:
    jobs = [handed(qos="single") for _ in range(3)]
    answers = []
    for number, one in enumerate(jobs):
        folder = one.folder / str(number)
        folder.mkdir()
        one.folder = folder
        answers.append(one.ensure("sleep 600"))
    assert [isinstance(a, str) for a in answers] == [True, True, False]
    assert isinstance(answers[2], Later)
    for answer in answers[:2]:
        jobs[0].cluster.cancel(str(answer))
    until(lambda: isinstance(jobs[2].ensure(), str), what="a place in the queue")
    jobs[2].over()


def test_nobody_to_ask_is_an_outage(handed: Callable[..., Handed], tmp_path: Path) -> None:
    one = handed()
    conf = tmp_path / "slurm.conf"
    shutil.copy(one.cluster.environment["SLURM_CONF"], conf)
    text = conf.read_text().replace(f"SlurmctldPort={one.cluster.ports['slurmctld']}", "SlurmctldPort=1")
    conf.write_text(text)
    gone = handed(conf=str(conf))
    with pytest.raises(OutageError):
        gone.ensure()
