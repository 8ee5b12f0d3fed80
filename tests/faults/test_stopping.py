"""Ctrl-C, closed terminals, `cancel`: jobs end or are ended, nothing is left, the run can be resumed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.command_line import COMMAND
from helpers.processes import kill, of_run
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs import processes as identities

from .place import WatchedPlace, finished

pytestmark = [pytest.mark.faults, pytest.mark.together]

#: Jobs that end in a moment, and many enough not to end before they are stopped.
SHORT = ["--units", "60", "--seconds", "0.5"]
#: Jobs for which nobody waits.
LONG = ["--units", "4", "--seconds", "600"]


def at_work(place: WatchedPlace, run: str) -> None:
    state = place.wait(run, lambda s: s.progress.units_running > 0)
    assert state.phase is Phase.EXECUTING, state
    until(lambda: place.jobs(run), what="a job")


def test_first_interrupt_lets_running_jobs_end_and_the_run_can_be_resumed(place: WatchedPlace) -> None:
    process, run = place.follow("--units", "10", "--seconds", "1")
    at_work(place, run)
    os.killpg(process.pid, signal.SIGINT)
    answer = finished(process)
    assert (answer.code, answer.json["phase"]) == (130, "ABORTED"), answer
    assert "running jobs end first" in answer.err
    assert place.executions(run, "end") == place.executions(run, "start"), "a job was cut off"
    told = place.status(run)
    assert told["reason"].endswith("after its running jobs had ended"), told
    assert told["progress"]["units_done"] == len(place.executions(run, "end"))
    place.nothing_runs(run)
    before = place.executions(run)
    resumed = place.ok("resume", run)
    assert (resumed["phase"], Path(resumed["report"]).name) == ("COMPLETED", "report.html")
    assert {
        unit: n for unit, n in place.executions(run).items() if n > 1 or (unit in before and n > before[unit])
    } == {}
    assert place.status(run)["progress"]["units_done"] == 10


def test_second_interrupt_stops_at_once(place: WatchedPlace) -> None:
    process, run = place.follow(*LONG)
    at_work(place, run)
    os.killpg(process.pid, signal.SIGINT)
    until((place.run(run).dir / "stop.json").exists, what="the first stop")
    os.killpg(process.pid, signal.SIGINT)
    answer = finished(process)
    assert (answer.code, answer.json["phase"]) == (130, "ABORTED"), answer
    place.nothing_runs(run)
    assert sum(place.executions(run, "end").values()) == 0


def test_an_interrupt_before_the_engine_runs_is_not_lost(place: WatchedPlace) -> None:
    process, run = place.follow(*LONG)
    os.killpg(process.pid, signal.SIGINT)
    answer = finished(process)
    assert answer.code == 130, answer
    state = place.wait(run, lambda s: False)
    assert state.phase is Phase.ABORTED
    place.nothing_runs(run)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=lambda n: signal.Signals(n).name)
def test_the_run_goes_on_when_its_terminal_or_command_is_gone(place: WatchedPlace, number: int) -> None:
    heard = lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)  # noqa: E731  who starts the tests may ignore it (nohup)
    process, run = place.follow("--units", "3", "--seconds", "2", preexec_fn=heard)
    until(lambda: place.supervisor(run), what="the supervisor")  # before, there is nobody to go on
    os.killpg(process.pid, number)
    process.communicate()
    assert process.returncode != 0
    assert place.ended(run).phase is Phase.COMPLETED
    place.tidy(run)


def test_cancel_ends_everything_at_once(place: WatchedPlace) -> None:
    run = place.start(*LONG)
    at_work(place, run)
    answer = place.ok("cancel", run)
    assert answer["phase"] == "ABORTED"
    place.nothing_runs(run)
    again = place("cancel", run, "--json")
    assert (again.code, again.json["error"]["code"]) == (3, "refused")
    assert place.run(run).state().phase is Phase.ABORTED


def test_cancel_with_drain_lets_running_jobs_end(place: WatchedPlace) -> None:
    run = place.start(*SHORT)
    place.executing(run)
    assert place.ok("cancel", run, "--drain", "--wait", "150")["phase"] == "ABORTED"
    assert place.executions(run, "end") == place.executions(run, "start")
    assert place.status(run)["progress"]["units_done"] == len(place.executions(run, "end"))
    place.nothing_runs(run)


def test_cancel_at_once_overrides_a_drain(place: WatchedPlace) -> None:
    run = place.start(*LONG)
    at_work(place, run)
    place.ok("cancel", run, "--drain", "--wait", "0")
    assert place.ok("cancel", run)["phase"] == "ABORTED"
    place.nothing_runs(run)


def test_cancel_of_a_run_that_has_just_been_created_starts_no_job(place: WatchedPlace) -> None:
    run = place.start(*LONG)
    assert place.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    place.nothing_runs(run)


@pytest.mark.parametrize("also", [False, True], ids=["supervisor killed", "everything killed"])
def test_cancel_of_a_lost_run_ends_what_is_left_and_starts_nothing(place: WatchedPlace, also: bool) -> None:
    run = place.start(*LONG, "--cores", "2")
    until(lambda: len(place.executions(run)) == 2, what="two jobs: no others are begun beside them")
    kill([pid for pid in [place.supervisor(run)] if pid])
    if also:
        kill(list(of_run(run)))
    assert place.ended(run).phase is Phase.UNKNOWN
    started = place.executions(run)
    assert place.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    place.nothing_runs(run)
    assert place.executions(run) == started


def test_sigterm_to_the_supervisor_drains(place: WatchedPlace) -> None:
    run = place.start(*SHORT)
    place.executing(run)
    supervisor = place.supervisor(run)
    assert supervisor
    os.kill(supervisor, signal.SIGTERM)
    state = place.ended(run)
    assert state.phase is Phase.ABORTED
    assert "SIGTERM" in state.reason
    assert place.executions(run, "end") == place.executions(run, "start")
    place.nothing_runs(run)


def test_a_run_started_in_the_background_of_a_shell_can_be_stopped(place: WatchedPlace) -> None:
    """Such a process ignores SIGINT, and so would all its children."""
    shell = place.popen(
        '"$@" & wait',
        COMMAND,
        COMMAND,
        "run",
        "noop",
        *LONG,
        "--json",
        command=["sh", "-c"],
        start_new_session=True,
    )
    run = until(
        lambda: next(iter(place.listed()), None) if (place.store / "store.json").exists() else None,
        what="the run",
    )
    at_work(place, run)
    engine = place.engine(run)
    assert engine
    ignored = next(
        line
        for line in Path(f"/proc/{engine.engine.pid}/status").read_text().splitlines()
        if line.startswith("SigIgn")
    )
    assert not int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1
    assert place.ok("cancel", run)["phase"] == "ABORTED"
    finished(shell)
    place.nothing_runs(run)


def test_a_job_that_ignores_every_polite_signal_is_ended_too(place: WatchedPlace) -> None:
    run = place.start(*LONG)
    at_work(place, run)
    jobs = place.jobs(run)
    kill(jobs, signal.SIGSTOP)
    assert place.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    place.nothing_runs(run)
    assert [pid for pid in jobs if identities.start_time(pid)] == []
