"""Run directories of earlier versions stay readable; those of later ones are refused and do no harm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from esap_wf.engines import Cursor
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.planning import saved
from esap_wf.running.event_log import EventLog
from esap_wf.runs.store import Store

OLD = Path(__file__).parents[2] / "data" / "run-v1"
RUN = "00000000000000a1"
NEWER = "00000000000000ff"


@pytest.fixture
def store(place: Any) -> Store:
    """A store into which a stored run directory was copied: no index, no journal knows of it."""
    made = Store.open(place.store, create=True)
    shutil.copytree(OLD, made.path_of(RUN))
    return made


@pytest.fixture
def newer(store: Store) -> Path:
    """The same run, as a later version might have written it."""
    folder = store.path_of(NEWER)
    shutil.copytree(OLD, folder)
    for name in ("run.json", "state.json", "plan.json", "outputs.json"):
        said = json.loads((folder / name).read_text().replace(RUN, NEWER))
        (folder / name).write_text(
            json.dumps({**said, "schema_version": 99, "phase": "TELEPORTED", "new": {"keys": []}})
        )
    return folder


def test_a_stored_run_is_listed_after_an_index_rebuild(store: Store, inside: Any) -> None:
    assert inside("index", "rebuild", "--json").json == {"runs": 1}
    (row,) = inside("list", "--json").json["runs"]
    assert (row["run"], row["name"], row["workflow"], row["phase"], row["owner"]) == (
        RUN,
        "old-run",
        "hello",
        "COMPLETED",
        "someone",
    )
    assert row["progress"]["units_done"] == row["progress"]["units_total"] == 1
    assert inside("list", "--tag", "kept", "--json").json["runs"]
    assert not inside("list", "--tag", "other", "--json").json["runs"]


def test_a_supervisor_goes_on_in_a_stored_run_where_its_first_one_ended(store: Store) -> None:
    run = store.find(RUN)
    log = EventLog(run, run.state(), None)
    marks = [
        said["source"]
        for line in run.events_path.read_text().splitlines()
        if "source" in (said := json.loads(line))
    ]
    assert log.cursor(1) == Cursor.at(marks[-1]), "a mark of an earlier version is one of this"
    assert log.cursor(2) == Cursor.START
    anew, further = (Snakemake().events(run.dir, 1, at).read() for at in (Cursor.START, log.cursor(1)))
    assert len(anew) == len(marks) and further == [e for e in anew if int(e.mark or 0) > marks[-1]], (
        "what was told is not told again"
    )


@pytest.mark.parametrize("word", [RUN, RUN[:6], "old-run"])
def test_a_stored_run_shows_its_status_and_results(store: Store, inside: Any, word: str) -> None:
    inside("index", "rebuild")
    state = inside("status", word, "--json").json
    assert (state["phase"], state["engine"], state["exit_code"]) == ("COMPLETED", "snakemake", 0)
    assert state["steps"] == [
        {
            "name": "greet",
            "total": 1,
            "done": 1,
            "failed": 0,
            "running": 0,
            "cpu_seconds": None,
            "memory_bytes": None,
            "seconds": None,
        }
    ]
    outputs = inside("results", word, "--json").json["outputs"]
    assert [o["path"] for o in outputs] == ["outputs/greeting.txt", "outputs/greeting.json"]
    assert inside("status", word).code == inside("results", word).code == 0


def test_results_of_a_stored_run_are_copied_and_have_their_checksums(
    store: Store, inside: Any, tmp_path: Path
) -> None:
    inside("index", "rebuild")
    assert inside("results", RUN, "--copy-to", tmp_path / "copy").code == 0
    assert (tmp_path / "copy/greeting.txt").read_text() == "Hello, Ada!\n"
    assert inside("results", RUN, "--copy-to", tmp_path / "copy").code == 0, "the same again is no conflict"
    (tmp_path / "copy/greeting.txt").write_text("mine")
    done = inside("results", RUN, "--copy-to", tmp_path / "copy", "--json")
    assert done.code == 3
    assert "different content" in done.problems
    assert (tmp_path / "copy/greeting.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file/x", "/proc/nowhere", tmp_path / "dir"):
        (tmp_path / "dir/greeting.txt").mkdir(parents=True, exist_ok=True)
        assert inside("results", RUN, "--copy-to", target, "--json").code in (2, 3), target


def test_logs_and_differences_of_a_stored_run_are_shown(store: Store, inside: Any) -> None:
    inside("index", "rebuild")
    assert {e["step"] for e in inside("logs", RUN, "--json").json["logs"]} >= {"greet", "engine"}
    assert inside("diff", RUN, RUN, "--json").json["differences"] == []


def test_the_plan_of_a_stored_run_has_its_checksum_still(store: Store) -> None:
    plan = saved.read_intact_plan(store.path_of(RUN) / "plan.json")
    assert plan.parameters == {"language": "english", "name": "Ada"}


def test_a_finished_stored_run_is_neither_cancelled_nor_resumed(store: Store, inside: Any) -> None:
    inside("index", "rebuild")
    assert inside("cancel", RUN, "--json").code == 3
    assert inside("resume", RUN, "--json").code == 3
    assert inside("rm", RUN, "--json").json["phase"] == "ARCHIVED"
    done = inside("status", RUN, "--json")
    assert done.code == 2
    assert "was removed" in done.problems


@pytest.mark.parametrize(
    "verb",
    [
        ["status"],
        ["results"],
        ["logs"],
        ["cancel"],
        ["resume", "--detach"],
        ["rerun", "--detach"],
        ["diff", RUN],
        ["rm"],
    ],
    ids=lambda v: v[0],
)
def test_a_run_of_a_later_version_is_refused_in_every_verb(
    store: Store, newer: Path, inside: Any, verb: list[str]
) -> None:
    inside("index", "rebuild")
    before = sorted(p.relative_to(newer) for p in newer.rglob("*"))
    done = inside(*verb, NEWER, "--json")
    assert done.code == (3 if verb == ["rm"] else 2), done
    assert "newer esap-wf (version 99" in done.problems
    assert "upgrade esap-wf" in done.problems
    assert sorted(p.relative_to(newer) for p in newer.rglob("*")) == before, "nothing of it was touched"


def test_a_run_of_a_later_version_does_not_hurt_the_list(store: Store, newer: Path, inside: Any) -> None:
    assert inside("index", "rebuild").code == 0
    done = inside("list", "--json")
    assert done.code == 0
    assert RUN in {r["run"] for r in done.json["runs"]}
    assert inside("status", "old-run", "--json").json["run"] == RUN
    assert inside("plan", "hello", "--json").code == 0


@pytest.mark.parametrize("content", ["", "{", "[]", "nonsense", "\0"])
@pytest.mark.parametrize("file", ["run.json", "state.json"])
def test_a_damaged_run_is_refused_and_does_not_hurt_the_list(
    store: Store, inside: Any, file: str, content: str
) -> None:
    damaged = store.path_of(NEWER)
    shutil.copytree(OLD, damaged)
    (damaged / file).write_text(content)
    assert inside("index", "rebuild").code == 0
    assert RUN in {r["run"] for r in inside("list", "--json").json["runs"]}
    done = inside("status", NEWER, "--json")
    assert done.code == 2
    assert f"{file}" in done.problems
