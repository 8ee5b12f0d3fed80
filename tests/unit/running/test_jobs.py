"""What a workload manager says of an engine's jobs reaches the state of the run, and its silence concludes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from helpers.waiting import until

from esap_wf.backends import Condition, NeedsPersonError, OutageError
from esap_wf.backends.launcher import BatchJob, Usage
from esap_wf.backends.slurm import states
from esap_wf.models.place import Queue
from esap_wf.models.run import Event, Failure, Phase, Reason, State, Waiting
from esap_wf.running.event_log import EventLog
from esap_wf.running.failures import headline
from esap_wf.running.jobs import Jobs, waiting, why
from esap_wf.running.ownership import Ownership
from esap_wf.runs.run import Run

BEGAN = 1_764_248_520.0  # 2025-11-27T13:02:00Z


def job(number: str, condition: Condition, state: str, **more: Any) -> BatchJob:
    kind = states.state(state).reason or "" if condition in states.OVER else ""
    return BatchJob(id=number, name="ewf-r", condition=condition, state=state, kind=kind, **more)


def ended(kind: str, batch: str, unit: str, **more: Any) -> Event:
    return Event(t=1.0, kind=kind, epoch=1, step="sim", unit=unit, batch=batch, **more)


class Manager:
    """A launcher that answers what it was told to, one answer a question; the last one stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[list[str]]()

    def batch_jobs(self, run: str, ended: Sequence[str] = ()) -> Sequence[BatchJob] | None:
        self.asked.append(list(ended))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return cast("Sequence[BatchJob] | None", answer)


class Source:
    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def read(self) -> list[Event]:
        events, self.events = self.events, []
        return events


def owner_of(folder: Path, manager: Manager, *told: Event, queue: bool = True) -> Ownership:
    run = SimpleNamespace(
        id="r", dir=folder, events_path=folder / "events.jsonl", store=SimpleNamespace(file_mode=0o644)
    )
    log = EventLog(cast(Run, run), State(phase=Phase.EXECUTING), None)
    log.append([Event(t=1.0, kind="plan", epoch=1, totals={"sim": 9}), *told])
    lease = SimpleNamespace(require=lambda: None, epoch=1)
    plan = SimpleNamespace(backend="slurm", queue=Queue(kind="slurm", poll=0.01) if queue else None)
    made = SimpleNamespace(
        run=run, events=log, here=manager, plan=plan, epoch=1, lease=lease, renew=lambda: None
    )
    return cast(Ownership, made)


def heard(jobs: Jobs) -> None:
    """Until an answer was heard."""
    asked = cast(Manager, jobs.owner.here).asked
    before = len(asked)
    jobs._next = 0.0
    until(lambda: jobs.look() or len(asked) > before, 10)
    until(lambda: jobs.look() or jobs._question is None, 10)


def test_waiting_jobs_are_counted_by_reason() -> None:
    found = waiting(
        [
            job("1", Condition.WAITING, "PENDING", reason="no node is free for it", since=BEGAN + 60),
            job("2", Condition.WAITING, "PENDING", reason="no node is free for it", since=BEGAN),
            job("3", Condition.WAITING, "PENDING", reason="it is held by an administrator"),
            job("4", Condition.RUNNING, "RUNNING", since=BEGAN),
        ]
    )
    assert found == [
        Waiting(jobs=2, reason="no node is free for it", since="2025-11-27T13:02:00Z"),
        Waiting(jobs=1, reason="it is held by an administrator"),
    ]


def test_many_reasons_are_summed_up() -> None:
    found = waiting([job(str(n), Condition.WAITING, "PENDING", reason=f"reason {n:02}") for n in range(9)])
    assert len(found) == 5
    assert (found[-1].jobs, found[-1].reason) == (5, "of 5 other reasons")


def test_why_jobs_wait_is_in_the_state_until_they_begin(tmp_path: Path) -> None:
    pending = job("7", Condition.WAITING, "PENDING", reason="no node is free for it", since=BEGAN)
    manager = Manager([pending], [job("7", Condition.RUNNING, "RUNNING")])
    owner = owner_of(tmp_path, manager, Event(t=1.0, kind="start", epoch=1, step="sim", unit="1"))
    jobs = Jobs(owner)
    heard(jobs)
    assert [w.jobs for w in owner.events.state.waiting] == [1]
    assert owner.events.state.reason == (
        "1 job waits since 2025-11-27T13:02:00Z because no node is free for it"
    )
    heard(jobs)
    assert (owner.events.state.waiting, owner.events.state.reason) == ([], "")


@pytest.mark.parametrize("silence", [None, OutageError("the controller is away"), ValueError("nonsense")])
def test_silence_concludes_nothing_and_is_told(tmp_path: Path, silence: Any) -> None:
    done = [job("5", Condition.ENDED, "FAILED", exit_code=3)]
    owner = owner_of(tmp_path, manager := Manager(silence, done))
    jobs = Jobs(owner)
    jobs.heard(Source([ended("failed", "5", "1")])).read()
    heard(jobs)
    assert owner.events.state.reason.startswith("waiting for slurm since ")
    assert jobs._ended
    heard(jobs)
    assert owner.events.state.reason == ""
    assert manager.asked == [["5"], ["5"]]
    assert not jobs._ended


def test_a_person_is_told_to_act_and_the_run_goes_on(tmp_path: Path) -> None:
    owner = owner_of(tmp_path, Manager(NeedsPersonError("squeue is not on the PATH")))
    jobs = Jobs(owner)
    heard(jobs)
    assert "somebody must act" in owner.events.state.reason
    assert owner.events.state.phase is Phase.EXECUTING


def test_nothing_is_asked_without_a_queue_or_without_jobs(tmp_path: Path) -> None:
    manager = Manager([])
    owner = owner_of(tmp_path, manager, queue=False)
    assert not Jobs(owner).look()
    idle = owner_of(tmp_path, manager)
    idle.events.state = State(phase=Phase.EXECUTING)
    assert not Jobs(idle).look()
    assert manager.asked == []


def test_a_slow_question_is_asked_less_often(tmp_path: Path) -> None:
    jobs = Jobs(owner_of(tmp_path, Manager([])))
    heard(jobs)
    jobs._next = 0.0
    jobs.look()
    until(lambda: jobs._question is not None and jobs._question.over.is_set(), 10)
    assert jobs._question
    jobs._question.took = 60.0
    jobs.look()
    assert jobs._next > time.monotonic() + 1000


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (
            job("5", Condition.ENDED, "OUT_OF_MEMORY", reason="it used too much"),
            "OUT_OF_MEMORY",
            "out of memory",
        ),
        (
            job("5", Condition.ENDED, "TIMEOUT", reason="it was ended at its time limit"),
            "TIMEOUT",
            "time limit",
        ),
        (
            job("5", Condition.GONE, "NODE_FAIL", reason="its node has failed"),
            "NODE_FAIL",
            "its node has failed",
        ),
        (job("5", Condition.GONE, "BOOT_FAIL"), "BOOT_FAIL", "did not start"),
        (job("5", Condition.GONE, "PREEMPTED"), "PREEMPTED", "preempted"),
        (job("5", Condition.GONE, "CANCELLED", reason="it was cancelled by root"), "CANCELLED", "by root"),
        (job("5", Condition.ENDED, "FAILED", exit_code=3), "EXIT_CODE", "exit code 3"),
        (job("5", Condition.ENDED, "FAILED", signal=11), "SIGNAL", "killed by a signal"),
    ],
)
def test_a_failure_names_job_node_state_and_reason(
    tmp_path: Path, said: BatchJob, reason: str, words: str
) -> None:
    failed = ended("failed", "5", "1", reason=Reason.UNKNOWN, log="logs/1.log")
    owner = owner_of(tmp_path, Manager([msgspec.structs.replace(said, node="n3")]), failed)
    jobs = Jobs(owner)  # what an earlier owner has not asked for is asked for
    jobs.finish()
    (failure,) = owner.events.state.failures
    assert (failure.step, failure.unit, failure.job, failure.node) == ("sim", "1", "5", "n3")
    assert (failure.state, failure.reason, failure.log) == (said.state, reason, "logs/1.log")
    told = headline(failure)
    assert words in told
    assert "job 5" in told
    assert "on n3" in told
    again = Jobs(owner_of(tmp_path, manager := Manager([])))
    again.finish()
    assert manager.asked == []


def test_what_an_engine_is_surer_of_stands() -> None:
    failed = ended("failed", "5", "1", reason=Reason.MISSING_OUTPUT)
    assert why(job("5", Condition.ENDED, "FAILED", exit_code=1), failed) == (None, "")
    assert why(job("5", Condition.ENDED, "TIMEOUT", reason="late"), failed) == (Reason.TIMEOUT, "late")


def test_usage_is_added_to_its_step_unless_the_engine_tells_it(tmp_path: Path) -> None:
    used = Usage(cpu_seconds=2.5, max_rss_bytes=7_000_000)
    manager = Manager([job(n, Condition.ENDED, "COMPLETED", usage=used) for n in ("5", "6")])
    told = [ended("done", "5", "1"), ended("done", "6", "2", cpu_seconds=1.0, memory_bytes=9)]
    owner = owner_of(tmp_path, manager, *told)
    Jobs(owner).finish()
    assert manager.asked == [["5"]]
    (step,) = owner.events.state.steps
    assert (step.cpu_seconds, step.memory_bytes, step.done) == (3.5, 7_000_000, 2)


def test_a_job_that_the_manager_has_forgotten_is_asked_for_a_few_times(tmp_path: Path) -> None:
    owner = owner_of(tmp_path, manager := Manager([]), ended("failed", "5", "1", reason=Reason.UNKNOWN))
    jobs = Jobs(owner)
    jobs.finish()
    assert manager.asked == [["5"]] * 3
    (failure,) = owner.events.state.failures
    assert isinstance(failure, Failure)
    assert (failure.job, failure.node, failure.state) == ("5", None, None)


def test_jobs_that_the_manager_no_longer_has_are_missed_until_something_is_heard(tmp_path: Path) -> None:
    """Neither silence nor a job that waits is a sign; a word of the engine is one of life."""
    begun = Event(t=1.0, kind="start", epoch=1, step="sim", unit="1", batch="7")
    working = [job("7", Condition.RUNNING, "RUNNING")]
    manager = Manager(working, [], OutageError("away"), [], [], working)
    owner = owner_of(tmp_path, manager, begun)
    jobs = Jobs(owner)
    heard(jobs)
    assert jobs.missed_for() == 0.0
    heard(jobs)
    assert jobs.missed_for() > 0.0
    heard(jobs)
    assert jobs.missed_for() == 0.0, "nobody was asked"
    heard(jobs)
    assert jobs.missed_for() > 0.0
    jobs.remember([begun])
    assert jobs.missed_for() == 0.0
    heard(jobs)
    assert jobs.missed_for() > 0.0
    heard(jobs)
    assert jobs.missed_for() == 0.0


def test_nobody_is_missed_if_the_engine_waits_for_none(tmp_path: Path) -> None:
    jobs = Jobs(owner_of(tmp_path, Manager([])))
    heard(jobs)
    assert jobs.missed_for() == 0.0


def test_a_unit_of_a_shard_is_no_job_of_its_own(tmp_path: Path) -> None:
    """Its shard's job is asked for once, by what the engine tells of it."""
    manager = Manager([])
    jobs = Jobs(owner_of(tmp_path, manager))
    unit = ended("failed", "7", "u1", journal="0000001-0000002.1:99")
    jobs.remember([unit])
    heard(jobs)
    assert manager.asked == [[]]
    jobs.remember([ended("failed", "7", "1-2")])
    heard(jobs)
    assert manager.asked[-1] == ["7"]
