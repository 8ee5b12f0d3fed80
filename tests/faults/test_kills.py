"""SIGKILL of anybody at any moment: the run is not lost, nothing finished is repeated, the results are those of an undisturbed run."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.processes import kill, of_run
from helpers.waiting import until

from esap_wf.models.run import Phase
from esap_wf.runs.processes import start_time

from .conftest import end
from .kill_plan import Outcome, Victim
from .place import WatchedPlace

#: Runs that are killed at the same time.
AT_ONCE = 4


def series(folder: Path, seeds: range, reference: dict[str, str]) -> None:
    places = {seed: WatchedPlace(folder / f"seed{seed}") for seed in seeds}

    def one(seed: int) -> Outcome:
        places[seed].root.mkdir()
        return Victim(places[seed], seed).go(reference)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(one, seeds))
    finally:
        for place in places.values():
            end(place)
    print(*outcomes, sep="\n")
    assert [str(o) for o in outcomes if o.wrong] == []


@pytest.mark.faults
@pytest.mark.parametrize(
    "first", [0, pytest.param(4, marks=pytest.mark.soak)]
)  # the other targets: test_who_lives.py
def test_a_run_survives_kills_at_random_moments(
    tmp_path: Path, reference: dict[str, str], first: int
) -> None:
    series(tmp_path, range(first, first + AT_ONCE), reference)


@pytest.mark.faults
def test_jobs_that_outlive_their_engine_are_ended_before_anything_is_started(place: WatchedPlace) -> None:
    run = place.start("--units", "4", "--seconds", "600")
    place.executing(run, done=0)
    until(lambda: place.jobs(run), what="a job")
    engine, orphans = place.engine(run), place.jobs(run)
    assert engine
    kill([pid for pid in (place.supervisor(run), engine.keeper.pid, engine.engine.pid) if pid])
    assert place.ended(run).phase is Phase.UNKNOWN
    left = place.jobs(run)
    assert set(orphans) <= set(left), "jobs outlive their engine, and may start a child yet"
    place.ok("resume", run, "--detach")
    place.executing(run, done=0)
    assert [pid for pid in left if start_time(pid)] == []
    assert place.ok("cancel", run)["phase"] == "ABORTED"
    place.nothing_runs(run)


@pytest.mark.faults
def test_units_that_ended_after_their_supervisor_are_counted(place: WatchedPlace) -> None:
    run = place.start("--units", "8", "--seconds", "0.2")
    place.executing(run, done=0)
    supervisor = place.supervisor(run)
    assert supervisor
    kill([supervisor], signal.SIGSTOP)  # it reads no more
    record = place.run(run).dir / "engine" / "1.snakemake.jsonl"
    until(lambda: record.read_text().count('"job_finished"') >= 5, what="five jobs")
    for _ in range(3):
        kill(list(of_run(run)))
    place.resume_until_completed(run)
    progress = place.status(run)["progress"]
    assert (progress["units_done"], progress["units_total"]) == (8, 8), progress
    place.tidy(run)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(100, 212, 8))
def test_a_run_survives_a_long_series_of_kills(tmp_path: Path, reference: dict[str, str], first: int) -> None:
    series(tmp_path, range(first, first + 8), reference)
