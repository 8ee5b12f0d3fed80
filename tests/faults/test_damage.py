"""Files that a power cut, a full disk or a person has damaged: what is told stays true, and the run can be brought to its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esap_wf.models.run import Phase

from .place import WatchedPlace

pytestmark = [pytest.mark.faults, pytest.mark.together]

RUN = ["--units", "8", "--seconds", "0.4"]


def cut(path: Path, off: int) -> None:
    os.truncate(path, max(0, path.stat().st_size - off))


def index_file(place: WatchedPlace) -> Path:
    (found,) = (place.root / "cache" / "index").glob("*.sqlite")
    return found


def completed(place: WatchedPlace, run: str, units: int = 8) -> None:
    told = place.status(run)
    assert told["phase"] == "COMPLETED"
    counts = told["progress"]
    assert (counts["units_total"], counts["units_done"], counts["units_failed"], counts["units_running"]) == (
        units,
        units,
        0,
        0,
    ), counts
    assert (counts["jobs_total"], counts["jobs_done"]) == (units + 2, units + 2), counts
    place.results(run)
    place.tidy(run)


def test_events_of_a_completed_run_can_be_damaged(place: WatchedPlace) -> None:
    run = place.ok("run", "noop", *RUN)["run"]
    events = place.run(run).events_path
    with events.open("ab") as file:
        file.write(b'{"t":1,"kind":"done","step":"unit","un\xff\xfe\x00\n\n[1]\n{"kind')
    completed(place, run)
    for off in (15, 600, 10**9):
        cut(events, off)
        completed(place, run)
        assert place("logs", run).code == 0
    events.unlink()
    completed(place, run)


@pytest.mark.parametrize("off", [15, 700, 10**9], ids=["torn", "tail lost", "all lost"])
def test_a_run_whose_events_lost_their_end_is_resumed_with_the_right_counts(
    place: WatchedPlace, off: int
) -> None:
    """As after a power cut: the checkpoint was written through, the last events were not."""
    run = place.start("--units", "20", "--seconds", "0.3")
    place.executing(run, done=6)
    assert place.look("cancel", run, "--drain", "--wait", "150")["phase"] == "ABORTED"
    done = place.status(run)["progress"]["units_done"]
    events = place.run(run).events_path
    cut(events, off)
    assert place.status(run)["progress"]["units_done"] == done
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    completed(place, run, units=20)


@pytest.mark.soak  # in short: the two tests before
def test_garbage_at_the_end_of_the_events_harms_nothing(place: WatchedPlace) -> None:
    run = place.start(*RUN)
    place.executing(run, done=2)
    assert place.look("cancel", run, "--drain", "--wait", "150")["phase"] == "ABORTED"
    with place.run(run).events_path.open("ab") as file:
        file.write(b'\x00\x00\x00\n{"t": 1, "kind": "done", "step": "unit", "unit')
    assert place.status(run)["phase"] == "ABORTED"
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    completed(place, run)


@pytest.mark.parametrize("off", [20, pytest.param(10**9, marks=pytest.mark.soak)], ids=["torn", "all lost"])
def test_a_run_whose_engine_record_is_cut_is_resumed(place: WatchedPlace, off: int) -> None:
    run = place.start(*RUN)
    place.executing(run, done=2)
    place.kill_all(run)
    assert place.ended(run).phase is Phase.UNKNOWN
    cut(place.run(run).dir / "engine" / "1.snakemake.jsonl", off)
    assert place.status(run)["phase"] == "UNKNOWN"
    assert place.resume_until_completed(run) <= 2
    assert place.status(run)["progress"]["units_done"] <= 8
    assert place.status(run)["progress"]["units_done"] == place.status(run)["progress"]["units_total"]
    place.results(run)
    place.tidy(run)


def test_the_index_is_made_anew_whatever_was_done_to_it(place: WatchedPlace) -> None:
    run = place.ok("run", "noop", "--units", "1")["run"]
    assert place.listed() == [run]
    path = index_file(place)

    def another_version() -> None:
        import sqlite3

        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 999")

    another_version()
    assert place.listed() == [run]
    for damage in (
        path.unlink,
        lambda: os.truncate(path, 0),
        lambda: path.write_bytes(os.urandom(5000)),
        lambda: os.truncate(path, path.stat().st_size // 2),
    ):
        for also in path.parent.glob(path.name + "-*"):
            also.unlink()
        damage()
        assert place.listed() == [run]
        assert place.status(run)["phase"] == "COMPLETED"
        assert place.ok("run", "noop", "--units", "1")["reused"] is True


@pytest.mark.parametrize("name", ["lease.json", pytest.param(".reserve", marks=pytest.mark.soak)])
def test_a_run_without_one_of_its_small_files_can_be_read_and_resumed(place: WatchedPlace, name: str) -> None:
    run = place.start(*RUN)
    place.executing(run, done=1)
    assert place.look("cancel", run, "--drain", "--wait", "150")["phase"] == "ABORTED"
    (place.run(run).dir / name).unlink(missing_ok=True)
    assert place.status(run)["phase"] == "ABORTED"
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    completed(place, run)


def test_a_broken_state_is_told_by_name_and_other_runs_are_listed(place: WatchedPlace) -> None:
    run, other = place.ok("run", "noop", "--units", "1")["run"], place.ok("run", "hello")["run"]
    state = place.run(run).dir / "state.json"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    answer = place("status", run)
    assert answer.code != 0
    assert (
        answer.err.startswith("esap-wf: error:")
        and str(state) in answer.err
        and "Traceback" not in answer.err
    )
    assert other in place.listed()
    index_file(place).unlink()
    assert other in place.listed()
    state.write_bytes(whole)
    assert set(place.listed()) == {run, other}
