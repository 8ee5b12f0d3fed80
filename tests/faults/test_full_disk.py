"""A full disk is told as such, at once, and when there is space again the run goes on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from services import engines

from esap_wf.models.run import Phase

from .place import WatchedPlace

pytestmark = pytest.mark.faults


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all space but some bytes."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        for _ in range(20):  # a run that is at work takes some meanwhile
            with suppress(OSError):
                os.posix_fallocate(
                    file.fileno(), 0, os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - leave
                )
                break
        with suppress(OSError):
            while not leave and os.write(file.fileno(), b"x" * 4096):
                pass
    return filler


def use_up_names(folder: Path, leave: int) -> list[Path]:
    """Make files until no more can be made but some."""
    made: list[Path] = []
    with suppress(OSError):
        while True:
            path = folder / f"file{len(made)}"
            path.touch()
            made.append(path)
    for _ in range(leave):
        made.pop().unlink()
    return made


@pytest.fixture
def small(tmpfs: Path, tmp_path: Path) -> WatchedPlace:
    place = WatchedPlace(tmp_path, store_at=tmpfs / "store")
    place.ok("store", "init")
    return place


def test_no_run_is_half_made_on_a_full_disk(small: WatchedPlace) -> None:
    """The disk gives out at different moments of the making."""
    for leave in (0, 1, 3, 8, 14, 20):
        made = use_up_names(small.store.parent, leave)
        answer = small("run", "noop", "--units", "2", "--json")
        assert answer.code == 3, answer
        assert answer.json["error"]["code"] == "no-space"
        assert answer.err.startswith("esap-wf: error: no space left to write"), answer.err
        assert small.listed() == []
        assert list(small.opened.ids()) == []
        assert list((small.store / "tmp").iterdir()) == []
        for path in made:
            path.unlink()
    run = small.ok("run", "noop", "--units", "2")
    assert (run["phase"], run["reused"]) == ("COMPLETED", False)
    small.tidy(run["run"])


def begin_short_of_names(place: WatchedPlace, more: int) -> tuple[str, list[Path]]:
    """
    Start with more and more names left, until it is enough for a run to be made, and a few `more`: how many that takes is the business of
    the code. The run, and the files that have all other names.
    """
    leave, enough = 20, False
    while leave < 300:
        made = use_up_names(place.store.parent, leave)
        answer = place("run", "noop", "--units", "2", "--json")
        assert answer.code in (1, 3), answer
        runs = list(place.opened.ids())
        if runs and (enough or not more):
            return runs[0], made
        if runs:
            place.ended(runs[0])
            place.nothing_runs(runs[0])
        else:
            assert (answer.code, answer.json["error"]["code"]) == (3, "no-space"), answer
            assert list((place.store / "tmp").iterdir()) == []
        for path in made:
            path.unlink()
        if runs:
            place.ok("rm", runs[0])
            enough = True
        leave += more if runs else 4
    raise AssertionError("no run was made")


@pytest.mark.parametrize("more", [0, pytest.param(24, marks=pytest.mark.soak)])
def test_names_that_give_out_while_a_run_begins_leave_it_resumable(small: WatchedPlace, more: int) -> None:
    """Not even its last state may find a name; nothing goes on by itself."""
    run, made = begin_short_of_names(small, more)
    assert small.ended(run).phase in (Phase.ERROR, Phase.UNKNOWN)
    small.nothing_runs(run)
    for path in made:
        path.unlink()
    assert small.resume_until_completed(run) >= 1
    assert small.accepted(run) == 1
    small.tidy(run)


def test_a_run_for_which_there_is_no_space_is_refused_with_the_numbers(small: WatchedPlace) -> None:
    fill(small.store.parent)
    answer = small("run", "noop", "--units", "2", "--json")
    assert (answer.code, answer.json["error"]["code"]) == (3, "refused"), answer
    assert "100 MB of disk space needed, but only 0 B free" in answer.err
    assert list(small.opened.ids()) == []


def test_a_run_that_fills_the_disk_says_so_and_is_resumed_when_there_is_space(small: WatchedPlace) -> None:
    run = small.start("--units", "12", "--seconds", "0.2", "--output-bytes", "200000")
    small.executing(run, done=0)
    filler = fill(small.store.parent, 1_200_000)
    state = small.ended(run)
    told = small.status(run)
    assert (state.phase, told["phase"]) == (Phase.ERROR, "ERROR"), small.explain(run)
    assert "no space left" in told["reason"].splitlines()[0], told
    assert told["failures"][0]["reason"] == "NO_SPACE", told
    assert "no space left" in small("status", run).out
    assert small.listed() == [run]
    small.nothing_runs(run)
    filler.unlink()
    assert small.resume_until_completed(run) == 1
    assert len([path for path in small.results(run) if path.endswith(".dat")]) == 12
    assert small.status(run)["progress"]["units_done"] == small.status(run)["progress"]["units_total"] == 12
    assert small.accepted(run) == 1
    small.tidy(run)


def test_a_disk_that_fills_up_while_a_run_writes_its_state(small: WatchedPlace) -> None:
    run = small.start("--units", "10", "--seconds", "0.5")
    small.executing(run)
    filler = fill(small.store.parent)
    state = small.ended(run)
    told = small.status(run)
    assert told["phase"] == state.phase.value
    assert state.phase in (Phase.ERROR, Phase.UNKNOWN), small.explain(run)
    if state.phase is Phase.ERROR:
        assert "no space left" in told["reason"], (told, small.explain(run))
    small.nothing_runs(run)
    answer = small("resume", run, "--json")
    assert answer.code in (1, 3), answer
    assert "no space" in answer.err, answer
    filler.unlink()
    assert small.resume_until_completed(run) >= 1
    assert small.status(run)["progress"]["units_done"] == small.status(run)["progress"]["units_total"] == 10
    assert small.accepted(run) == 1
    small.tidy(run)


def test_a_run_on_a_full_disk_is_cancelled_and_removed(small: WatchedPlace) -> None:
    run = small.start("--units", "4", "--seconds", "600")
    small.executing(run, done=0)
    filler = fill(small.store.parent)
    assert small.ok("cancel", run, "--wait", "150")["phase"] in ("ABORTED", "ERROR")
    small.nothing_runs(run)
    small.ok("rm", run)
    assert small.listed() == []
    filler.unlink()
    small.tidy()


@pytest.mark.soak  # a minute of silence; the short form, with another engine: test_who_lives
def test_cwltool_on_a_full_disk_ends_with_the_reason(small: WatchedPlace) -> None:
    """It mostly hangs then, its event loop dead; now and then it ends by itself."""
    (small.root / "config.toml").write_text(engines.configuration("cwl"))
    run = small.start("--engine", "cwl", "--units", "12", "--seconds", "1", "--output-bytes", "200000")
    small.wait(run, lambda s: s.progress.jobs_done > 0)
    filler = fill(small.store.parent)
    state = small.ended(run)
    assert state.phase is Phase.ERROR and "no space left" in str(state.reason), state
    small.nothing_runs(run)
    filler.unlink()
    assert small.ok("resume", run)["phase"] == "COMPLETED"
