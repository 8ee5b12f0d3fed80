"""A store that cannot be written: everything is readable, whatever writes is refused in one sentence."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.processes import of_run

from .place import WatchedPlace

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WatchedPlace, str, str]]:
    """A read-only store with a COMPLETED run and one that failed."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place = WatchedPlace(tmp_path_factory.mktemp("archive"))
    completed = place.ok("run", "noop", "--units", "2")["run"]
    failed = place("run", "noop", "--units", "2", "--fail-unit", "1", "--json").json["run"]
    mounted = subprocess.run(
        ["mount", "--bind", str(place.store), str(place.store)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place.store)], check=True)
        yield place, completed, failed
    finally:
        subprocess.run(["umount", "-l", str(place.store)], check=False)


def test_everything_can_be_read(archive: tuple[WatchedPlace, str, str], tmp_path: Path) -> None:
    place, completed, failed = archive
    assert set(place.listed()) == {completed, failed}
    assert place.status(completed)["phase"] == "COMPLETED"
    assert place.status(failed)["phase"] == "ERROR"
    assert len(place.ok("results", completed, "--copy-to", str(tmp_path / "copy"))["outputs"]) == 3
    assert place.ok("logs", failed)["logs"]
    assert place.ok("plan", "noop", "--units", "2")["duplicates"] == [completed]
    again = place.ok("run", "noop", "--units", "2", "--if-exists", "reuse")
    assert (again["run"], again["reused"]) == (completed, True)


def test_also_without_an_index(archive: tuple[WatchedPlace, str, str], tmp_path: Path) -> None:
    place, completed, failed = archive
    other = WatchedPlace(tmp_path, store_at=place.store)
    assert set(other.listed()) == {completed, failed}
    other.extra["ESAP_WF_CACHE"] = str(place.store / "cache")  # can't be written either
    assert set(other.listed()) == {completed, failed}


@pytest.mark.parametrize(
    "words",
    [
        ["run", "noop", "--units", "3"],
        ["run", "noop", "--units", "2", "--if-exists", "rerun"],
        ["run", "noop", "--units", "2", "--fail-unit", "1"],
        ["resume", "FAILED"],
        ["rerun", "COMPLETED"],
        ["rm", "COMPLETED"],
    ],
    ids=" ".join,
)
def test_what_writes_is_refused(archive: tuple[WatchedPlace, str, str], words: list[str]) -> None:
    place, completed, failed = archive
    answer = place(*({"FAILED": failed, "COMPLETED": completed}.get(word, word) for word in words), "--json")
    assert answer.code == 3, answer
    assert answer.json["error"]["code"] == "refused"
    assert answer.err.startswith("esap-wf: error: ") and "Traceback" not in answer.err
    assert "read-only" in str(answer.json["error"]["problems"]), answer
    assert set(place.listed()) == {completed, failed}
    assert not of_run(completed) and not of_run(failed)
