"""What is alive decides, not what was written: several processes killed at once, engines without keepers, owners that were cut off."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from helpers.processes import kill, of_run
from helpers.waiting import PATIENCE, until
from services import engines

from esap_wf.models.run import Phase
from esap_wf.runs.processes import start_time

from .place import HERE, WatchedPlace, finished

pytestmark = pytest.mark.faults
ROLES = ("supervisor", "keeper", "engine", "job")
UNITS = ["--units", "6", "--seconds", "0.3", "--group-size", "3"]


def roles(place: WatchedPlace, run: str) -> dict[str, list[int]]:
    engine = until(lambda: place.engine(run), what="the engine")
    supervisor = place.supervisor(run)
    assert supervisor
    return {
        "supervisor": [supervisor],
        "keeper": [engine.keeper.pid],
        "engine": [engine.engine.pid],
        "job": until(lambda: place.jobs(run), what="a job"),
    }


def strike(place: WatchedPlace, victims: tuple[str, ...], *words: str) -> str:
    """A run whose processes of some roles were killed in the middle, all at once."""
    run = place.start(*UNITS, *words)
    place.executing(run)
    found = roles(place, run)
    kill([pid for role in victims for pid in found[role]])
    return run


def completed_by_one_resume(place: WatchedPlace, run: str) -> None:
    if place.ended(run).phase is not Phase.COMPLETED:
        assert place.ok("resume", run)["phase"] == "COMPLETED", place.explain(run)
    assert place.accepted(run) == 1
    assert place.status(run)["progress"]["units_done"] == 6
    place.tidy(run)


@pytest.mark.together
@pytest.mark.parametrize(
    "victims", [("supervisor", "engine"), ("supervisor", "keeper", "engine", "job")], ids="+".join
)
def test_one_resume_goes_on_after_several_were_killed_together(
    place: WatchedPlace, victims: tuple[str, ...]
) -> None:
    completed_by_one_resume(place, strike(place, victims))


EVERYBODY = ("command line", *ROLES)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["snakemake", "nextflow", "cwl", "toil"])
@pytest.mark.parametrize("victims", [*itertools.combinations(EVERYBODY, 2), EVERYBODY], ids="+".join)
def test_one_resume_goes_on_whoever_was_killed_together(
    place: WatchedPlace, victims: tuple[str, ...], engine: str
) -> None:
    of(place, engine)
    command, run = place.follow(*UNITS, "--engine", engine, "--seconds", "1.5")
    place.executing(run, done=0)
    found = {"command line": [command.pid], **roles(place, run)}
    kill([pid for role in victims for pid in found[role]])
    command.communicate(timeout=PATIENCE)
    # a resume takes up the engine, which ends by the job that was killed; what it says so far is true
    adopted = (
        {"supervisor", "job"} <= {*victims}
        and "engine" not in victims
        and place.ended(run).phase is Phase.UNKNOWN
    )
    if adopted and (answer := place("resume", run, "--json")).code:
        assert (answer.json["phase"], place.status(run)["failures"][0]["reason"]) == ("ERROR", "SIGNAL"), (
            place.explain(run)
        )
    completed_by_one_resume(place, run)


def of(place: WatchedPlace, engine: str) -> None:
    (place.root / "config.toml").write_text(engines.configuration(engine))


@pytest.mark.together
def test_a_run_whose_keeper_was_killed_completes_by_itself(place: WatchedPlace) -> None:
    run = strike(place, ("keeper",))
    assert place.ended(run).phase is Phase.COMPLETED, place.explain(run)
    assert "nobody saw how the engine ended" in (place.run(run).dir / "events.jsonl").read_text()
    assert set(place.executions(run).values()) == {1}, "what was done is not repeated"
    completed_by_one_resume(place, run)


@pytest.mark.together
def test_results_of_an_engine_that_ended_well_alone_are_taken_up(place: WatchedPlace) -> None:
    run = strike(place, ("supervisor", "keeper"))
    until_the_engine_ended(place, run)
    completed_by_one_resume(place, run)
    assert set(place.executions(run).values()) == {1}


def until_the_engine_ended(place: WatchedPlace, run: str) -> None:
    engine = place.engine(run)
    assert engine
    until(lambda: start_time(engine.engine.pid) is None, what="the engine to end")


def taken_up(place: WatchedPlace, run: str) -> None:
    if place.ended(run).phase is not Phase.COMPLETED:
        assert place.ok("resume", run)["phase"] == "COMPLETED", place.explain(run)
    told = (place.run(run).dir / "events.jsonl").read_text()
    assert "nobody saw how the engine ended, but what it left behind shows that it had finished" in told
    assert '"anew"' not in told
    assert place.accepted(run) == 1
    place.tidy(run)


def test_what_toil_did_unseen_is_not_done_again(place: WatchedPlace) -> None:
    """It deletes its job store when it ends well: started again it could only begin from nothing."""
    of(place, "toil")
    armed = [sys.executable, str(HERE / "armed.py"), "outputs-checked"]
    run = place("run", "hello", "--engine", "toil", "--detach", "--json", command=armed).json["run"]
    assert place.ended(run).phase is Phase.UNKNOWN
    (
        place.run(run).dir / "engine" / "1.exit.json"
    ).unlink()  # as if its keeper had been killed before it could write this
    taken_up(place, run)


@pytest.mark.soak
@pytest.mark.parametrize("victims", [("supervisor", "keeper"), ("keeper",)], ids="+".join)
def test_what_toil_did_after_a_kill_is_not_done_again(place: WatchedPlace, victims: tuple[str, ...]) -> None:
    of(place, "toil")
    run = place.start("--units", "1", "--seconds", "1", "--group-size", "1", "--engine", "toil")
    place.executing(run, done=0)
    found = roles(place, run)
    kill([pid for role in victims for pid in found[role]])
    until_the_engine_ended(place, run)
    taken_up(place, run)


@pytest.mark.together
def test_a_run_is_not_removed_under_a_living_engine(place: WatchedPlace) -> None:
    run = place.start("--units", "2", "--seconds", "600")
    place.executing(run, done=0)
    found = roles(place, run)
    kill(found["supervisor"])
    there = place.run(run)
    for phase in ("ERROR", "ABORTED"):  # what a bug, or a supervisor that could not end it, may have left
        text = (there.dir / "state.json").read_text()
        (there.dir / "state.json").write_text(
            text.replace(f'"phase": "{there.state().phase}"', f'"phase": "{phase}"')
        )
        answer = place("rm", run)
        assert answer.code == 3 and "may still write into it" in answer.err, answer
    assert place.ok("resume", run, "--detach")["run"] == run
    until(
        lambda: "is adopted" in (there.dir / "events.jsonl").read_text(),
        what="the engine to be adopted, whatever the phase says",
    )
    log = (there.dir / "logs" / "supervisor.log").read_text()
    assert "decided: the engine of epoch 1 is adopted, because it is alive" in log
    assert place.ok("cancel", run)["phase"] == "ABORTED"
    place.ok("rm", run)


# --- an owner that can't be reached


def elsewhere(place: WatchedPlace, *words: str, stay: bool = False) -> subprocess.Popen[str]:
    """A command in a pid namespace of its own: neither sees the processes of the other, as on two hosts."""
    command = [sys.executable, str(HERE / "impatient.py"), *words]
    if stay:  # the namespace ends with its first process
        command = ["sh", "-c", '"$@"; exec sleep 600', "sh", *command]
    return place.popen(command=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *command])


@pytest.fixture
def namespaces() -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode
    ):
        pytest.skip("no pid namespaces can be made here")


def run_elsewhere(place: WatchedPlace, *words: str) -> tuple[str, subprocess.Popen[str]]:
    first = elsewhere(place, "run", "noop", *words, "--detach", stay=True)
    run = until(lambda: next((p.name for p in place.store.glob("runs/*/*")), None), what="the run")
    place.executing(run, done=0)
    return run, first


def gone(first: subprocess.Popen[str]) -> None:
    first.kill()
    first.communicate(timeout=PATIENCE)


def test_an_owner_that_was_cut_off_ends_its_own_engine(place: WatchedPlace, namespaces: None) -> None:
    run, first = run_elsewhere(place, "--units", "10", "--seconds", "0.6")
    try:
        asleep = list(of_run(run))
        kill(asleep, signal.SIGSTOP)
        before = place.executions(run)
        successor = elsewhere(place, "resume", run, "--json")
        void = place.run(run).dir / "engine" / "1.void"
        until(void.exists, what="the successor to give up the first engine")
        kill(asleep, signal.SIGCONT)
        until(
            lambda: not [p for p in asleep if start_time(p)],
            what="the old engine and its jobs to end",
            detail=lambda: of_run(run),
        )
        answer = finished(successor)
        assert answer.code == 0 and answer.json["phase"] == "COMPLETED", (answer, place.explain(run))
        starts = place.executions(run)
        assert sum(starts.values()) - 10 <= len(before), "only what was under way is done again"
        assert place.accepted(run) == 1
        assert place.status(run)["progress"]["units_done"] == 10
    finally:
        kill([p for p in asleep if start_time(p)], signal.SIGCONT)
        gone(first)


def without_supervisor(place: WatchedPlace, *words: str) -> tuple[str, subprocess.Popen[str]]:
    """A run elsewhere whose supervisor was killed; its keeper, a fork of it, and the engine live."""
    run, first = run_elsewhere(place, *words)
    owners = [p for p, words in of_run(run).items() if "impatient.py supervisor" in words]
    kill([p for p in owners if psutil.Process(p).ppid() not in owners])
    return run, first


def test_a_run_is_not_removed_under_an_engine_elsewhere(place: WatchedPlace, namespaces: None) -> None:
    run, first = without_supervisor(place, "--units", "2", "--seconds", "600")
    try:
        answer = finished(elsewhere(place, "rm", run))  # from where none of its processes can be seen
        assert answer.code == 3 and "out of reach from here" in answer.err, answer
    finally:
        gone(first)


def test_an_engine_out_of_reach_is_told_and_its_results_are_taken_up(
    place: WatchedPlace, namespaces: None
) -> None:
    run, first = without_supervisor(place, "--units", "6", "--seconds", "3")
    try:
        successor = elsewhere(place, "resume", run, "--json")
        until(
            lambda: "out of reach" in place.run(run).state().reason,
            what="the reason",
            detail=lambda: place.explain(run),
        )
        answer = finished(successor)
        assert answer.code == 0 and answer.json["phase"] == "COMPLETED", (answer, place.explain(run))
        assert set(place.executions(run).values()) == {1}
        assert not (place.run(run).dir / "engine" / "1.void").exists(), "an adopted engine is never given up"
    finally:
        gone(first)


# --- an engine that does nothing any more


def test_an_engine_that_hangs_ends_in_an_error_with_the_reason(place: WatchedPlace, tmp_path: Path) -> None:
    """It has no job, uses no processor and tells nothing."""
    pipeline = tmp_path / "hangs" / "Snakefile"
    pipeline.parent.mkdir()
    pipeline.write_text(
        'import time\n\ntime.sleep(3000)\n\nrule all:\n    output: "x"\n    shell: "touch {output}"\n'
    )
    answer = place("run", str(pipeline), "--json", command=[sys.executable, str(HERE / "impatient.py")])
    assert (answer.code, answer.json["phase"]) == (1, "ERROR"), answer
    state = place.status(answer.json["run"])
    assert "Snakemake has done nothing for" in state["reason"], state
    place.nothing_runs(answer.json["run"])


def test_an_engine_that_hangs_when_its_jobs_are_to_end_is_ended(place: WatchedPlace, tmp_path: Path) -> None:
    """As Snakemake does if the signal comes while it counts its free jobs."""
    pipeline = tmp_path / "blocked" / "Snakefile"
    pipeline.parent.mkdir()
    pipeline.write_text(
        "import pathlib, signal, time\n\n"
        "signal.signal(signal.SIGTERM, lambda *_: time.sleep(3000))\n"
        f'pathlib.Path("{tmp_path}/reading").touch()\ntime.sleep(3000)\n\n'
        'rule all:\n    output: "x"\n    shell: "touch {output}"\n'
    )
    impatient = [sys.executable, str(HERE / "impatient.py")]
    run = place("run", str(pipeline), "--detach", "--json", command=impatient).json["run"]
    until((tmp_path / "reading").exists, what="Snakemake at work")
    answer = place("cancel", run, "--drain", "--wait", "100", "--json")
    assert (answer.code, answer.json["phase"]) == (0, "ABORTED"), (answer, place.explain(run))
    log = (place.run(run).dir / "logs" / "supervisor.log").read_text()
    assert "Snakemake has done nothing for" in log, log
    place.nothing_runs(run)


def test_an_engine_whose_job_only_waits_does_not_hang(place: WatchedPlace) -> None:
    answer = place(
        "run",
        "noop",
        "--units",
        "1",
        "--seconds",
        "7",
        "--json",
        command=[sys.executable, str(HERE / "impatient.py")],
    )
    assert (answer.code, answer.json["phase"]) == (0, "COMPLETED"), answer
