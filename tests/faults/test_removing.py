"""Removing runs while somebody works on them, twice, and starting the same again."""

from __future__ import annotations

import pytest
from helpers.processes import kill
from helpers.waiting import until

from esap_wf.models.run import Phase

from .place import WatchedPlace, finished

pytestmark = [pytest.mark.faults, pytest.mark.together]

RUN = ["run", "noop", "--units", "2"]


def test_a_run_at_work_is_not_removed(place: WatchedPlace) -> None:
    run = place.start("--units", "3", "--seconds", "1")
    place.executing(run, done=0)
    with place.held(run):
        answer = place("rm", run)
    assert answer.code == 3
    assert f"esap-wf cancel {run}" in answer.err
    assert place.ended(run).phase is Phase.COMPLETED
    place.tidy(run)


def test_a_lost_run_is_not_removed_while_its_jobs_live(place: WatchedPlace) -> None:
    run = place.start("--units", "4", "--seconds", "600")
    place.executing(run, done=0)
    until(lambda: place.jobs(run), what="a job")
    kill([pid for pid in [place.supervisor(run)] if pid])
    assert place.ended(run).phase is Phase.UNKNOWN
    answer = place("rm", run)
    assert answer.code == 3, answer
    assert f"esap-wf cancel {run}" in answer.err
    assert place.status(run)["phase"] == "UNKNOWN"
    assert place.ok("cancel", run, "--wait", "150")["phase"] == "ABORTED"
    place.ok("rm", run)
    place.tidy()


def test_a_removed_run_is_gone_and_the_same_start_makes_a_new_one(place: WatchedPlace) -> None:
    run = place.ok(*RUN)["run"]
    place.ok("rm", run)
    for words in (["rm", run], ["status", run], ["resume", run], ["cancel", run], ["results", run]):
        answer = place(*words, "--json")
        assert (answer.code, answer.json["error"]["code"]) == (2, "not-found"), (words, answer)
        assert "removed" in answer.json["error"]["message"]
    place.tidy()
    again = place.ok(*RUN)
    assert (again["run"] != run, again["reused"], again["phase"]) == (True, False, "COMPLETED")
    place.tidy(again["run"])


def test_removals_at_once_remove_once(place: WatchedPlace) -> None:
    run = place.ok(*RUN)["run"]
    answers = [finished(process) for process in [place.popen("rm", run, "--json") for _ in range(3)]]
    assert {a.code for a in answers} <= {0, 2, 3}, answers
    assert 0 in {a.code for a in answers}
    place.tidy()


def test_a_lost_run_without_processes_is_removed(place: WatchedPlace) -> None:
    run = place.start("--units", "4", "--seconds", "600")
    place.executing(run, done=0)
    place.kill_all(run)
    place.nothing_runs(run)
    place.ok("rm", run)
    place.tidy()
