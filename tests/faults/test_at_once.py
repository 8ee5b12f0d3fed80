"""The same command given several times at one moment."""

from __future__ import annotations

import pytest
from helpers.command_line import Done
from helpers.processes import kill
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs import lease

from .place import WatchedPlace, finished

pytestmark = [pytest.mark.faults, pytest.mark.together]

RUN = ["run", "noop", "--units", "4", "--seconds", "0.5"]
#: Long enough to be seen at work by a test that shares the machine with others.
LONGER = ["run", "noop", "--units", "4", "--seconds", "3"]


def at_once(place: WatchedPlace, times: int, *words: str) -> list[Done]:
    started = [place.popen(*words, "--json") for _ in range(times)]
    return [finished(process) for process in started]


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_identical_starts_at_once_are_one_run(place: WatchedPlace, times: int) -> None:
    answers = at_once(place, times, *RUN)
    assert [a.code for a in answers] == [0] * times, [a.err for a in answers]
    (run,) = {a.json["run"] for a in answers}
    assert [a.json["reused"] for a in answers].count(False) == 1
    assert {a.json["phase"] for a in answers} == {"COMPLETED"}
    assert set(place.executions(run).values()) == {1}
    assert lease.latest_epoch(place.run(run)) == 1
    place.tidy(run)


def test_an_identical_start_attaches_to_a_run_at_work(place: WatchedPlace) -> None:
    run = place.start(*LONGER[2:])
    place.executing(run, done=0)
    said = place.root / "said"
    with said.open("w") as stream, place.held(run):
        second = place.popen(*LONGER, "--json", stderr=stream)
        until(lambda: "already under way" in said.read_text(), what="the second start to attach")
    answer = finished(second)
    assert (answer.code, answer.json["run"], answer.json["reused"], answer.json["phase"]) == (
        0,
        run,
        True,
        "COMPLETED",
    )
    assert lease.latest_epoch(place.run(run)) == 1


def test_reruns_at_once_make_one_new_run(place: WatchedPlace) -> None:
    first = place.ok(*RUN)["run"]
    again = place.ok(*RUN)
    assert (again["run"], again["phase"], again["reused"], again["exit_code"]) == (
        first,
        "COMPLETED",
        True,
        0,
    )
    answers = at_once(place, 2, *RUN, "--if-exists", "rerun")
    assert [a.code for a in answers] == [0, 0], answers
    (second,) = {a.json["run"] for a in answers}
    assert second != first
    place.tidy(first, second)


def stopped(place: WatchedPlace) -> str:
    run = place.start(*RUN[2:])
    place.executing(run, done=0)
    assert place.look("cancel", run)["phase"] == "ABORTED"
    return run


def test_of_several_resumes_at_once_one_proceeds_and_the_others_say_so(place: WatchedPlace) -> None:
    run = stopped(place)
    answers = at_once(place, 4, "resume", run)
    for answer in answers:
        if answer.code == 3:
            assert "it is still under way" in answer.json["error"]["problems"][0]["what"], answer
        else:
            assert (answer.code, answer.json["phase"]) == (0, "COMPLETED"), answer
    alone = [a for a in answers if a.code == 0 and "another command is resuming it" not in a.err]
    assert len(alone) == 1, [a.err for a in answers]
    assert lease.latest_epoch(place.run(run)) == 2
    assert place.accepted(run) == 1
    place.tidy(run)


def test_identical_starts_at_once_resume_a_stopped_run_once(place: WatchedPlace) -> None:
    run = stopped(place)
    answers = at_once(place, 4, *RUN)
    assert [(a.code, a.json.get("run"), a.json.get("phase")) for a in answers] == [
        (0, run, "COMPLETED")
    ] * 4, [a.err for a in answers]
    assert lease.latest_epoch(place.run(run)) == 2
    assert place.accepted(run) == 1
    place.tidy(run)


def test_resumes_at_once_of_a_lost_run_adopt_its_engine_once(place: WatchedPlace) -> None:
    run = place.start("--units", "8", "--seconds", "0.7")
    place.executing(run, done=0)
    kill([pid for pid in [place.supervisor(run)] if pid])
    assert place.ended(run).phase is Phase.UNKNOWN
    with place.held(run):
        answers = at_once(place, 3, "resume", run, "--detach")
        until(lambda: lease.latest_epoch(place.run(run)) == 2, what="the new supervisor")
    assert {a.code for a in answers} <= {0, 3}, answers
    assert place.ended(run).phase is Phase.COMPLETED
    assert set(place.executions(run).values()) == {1}, "the engine went on, nothing was repeated"
    assert lease.latest_epoch(place.run(run)) == 2
    place.tidy(run)


def test_resume_of_a_run_at_work_or_completed_is_refused(place: WatchedPlace) -> None:
    run = place.start(*LONGER[2:])
    place.executing(run, done=0)
    with place.held(run):
        answer = place("resume", run)
    assert (answer.code, "it is still under way" in answer.err) == (3, True), answer
    assert place.ended(run).phase is Phase.COMPLETED
    answer = place("resume", run)
    assert (answer.code, "nothing to resume" in answer.err) == (3, True), answer
