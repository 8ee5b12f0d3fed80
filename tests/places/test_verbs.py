"""Verbs that look at runs and places elsewhere."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.conftest import end
from faults.place import WatchedPlace
from helpers.processes import kill
from helpers.toy import ToyCluster
from helpers.waiting import until

from esap_wf.runs import lease

BIN = Path(sys.executable).parent


@pytest.fixture
def cluster(tmp_path: Path) -> ToyCluster:
    return ToyCluster(tmp_path / "cluster")


@pytest.fixture
def place(tmp_path: Path, cluster: ToyCluster, toy_environment: dict[str, str]) -> Iterator[WatchedPlace]:
    lines = ["[backends.toy]", "kind = 'toy'", f"folder = '{cluster.folder}'"]
    lines += ["[backends.toy.software]", f"path = ['{BIN}']"]
    lines += ["[backends.toy.engines.snakemake]", f"path = '{BIN / 'snakemake'}'"]
    (tmp_path / "config.toml").write_text("\n".join(lines) + "\n")
    made = WatchedPlace(tmp_path, extra=dict(toy_environment))
    yield made
    cluster.come_back()
    end(made)


def test_status_counts_the_pieces(place: WatchedPlace, cluster: ToyCluster) -> None:
    run = place.start("--units", "4", "--seconds", "1", "--backend", "toy", "--slices", "2")

    def pieces() -> dict[str, Any]:
        found: dict[str, Any] = place.status(run)["pieces"]
        return found

    assert pieces()["total"] == 3
    until(lambda: pieces()["running"], what="a piece at work", detail=lambda: place.explain(run))
    assert "pieces: 0 of 3 accepted" in place("status", run).out
    assert place.ended(run).phase == "COMPLETED", place.explain(run)
    assert pieces() == {
        "total": 3,
        "accepted": 3,
        "running": 0,
        "waiting": 0,
        "failed": 0,
        "lost": 0,
        "second_executions": 0,
    }


def test_status_says_for_whom_it_waits(place: WatchedPlace, cluster: ToyCluster) -> None:
    place.ok("backends", "check", "toy")
    cluster.go_away()
    run = place.start("--units", "1", "--backend", "toy")
    said = until(lambda: reason if (reason := place.status(run)["reason"]) else None, what="a reason")
    assert "waiting for toy since" in said
    assert said in place("status", run).out
    assert {k: n for k, n in place.status(run)["pieces"].items() if n} == {"total": 1, "waiting": 1}
    cluster.come_back()
    assert place.ended(run).phase == "COMPLETED", place.explain(run)


def test_check_runs_the_no_ops_there_whole_and_in_slices(place: WatchedPlace, cluster: ToyCluster) -> None:
    done = place("check", "toy", "--json")
    assert done.code == 0, done
    rows = {(row["engine"], row["way"]): row["ok"] for row in done.json["checks"]}
    assert rows["snakemake", "whole"] is rows["snakemake", "slices"] is True
    assert rows["cwl", "whole"] is None, "it isn't there, and nobody says so"
    assert [*(place.root / "cache/check").iterdir()] == []
    assert sum(cluster.executions().values()) == 1 + 3


def test_check_says_that_a_place_is_away(place: WatchedPlace, cluster: ToyCluster) -> None:
    cluster.go_away()
    done = place("check", "toy", "--json")
    assert (done.code, done.json["error"]["code"]) == (4, "outage")


def test_check_does_not_wait_for_ever(place: WatchedPlace, cluster: ToyCluster) -> None:
    place.ok("backends", "check", "toy")
    cluster.fault("hold")
    done = place("check", "toy", "--wait", "3", "--json")
    assert done.code == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_attend_resumes_runs_whose_pieces_work_elsewhere(
    place: WatchedPlace, cluster: ToyCluster, number: int
) -> None:
    """A machine that is shut down asks supervisors to end; their pieces work on."""
    run = place.start("--units", "2", "--seconds", "3", "--backend", "toy")
    until(
        lambda: place.status(run)["pieces"]["running"],
        what="a piece at work",
        detail=lambda: place.explain(run),
    )
    supervisor = place.supervisor(run)
    assert supervisor
    kill([supervisor], number)
    assert place.ended(run).phase == "UNKNOWN"
    assert [row["run"] for row in place.ok("attend", "--once")["attended"]] == [run]
    assert place.ended(run).phase == "COMPLETED", place.explain(run)
    assert place.status(run)["pieces"]["second_executions"] == 0
    assert set(cluster.executions().values()) == {1}


def test_what_print_script_prints_is_what_is_sent(place: WatchedPlace, cluster: ToyCluster) -> None:
    words = ("noop", "--units", "2", "--backend", "toy")
    script = place.ok("plan", *words, "--print-script")["script"]
    (cluster.folder / "hold").touch()
    run = place.start(*words[1:])
    sent = place.run(run).dir / "pieces/whole/1/sent/run/piece.sh"
    text = until(lambda: sent.read_text() if sent.exists() else None, what="a script")
    assert text == script.replace("RUN.1.whole.1", f"{run}.1.whole.1").replace("run RUN", f"run {run}")
    cluster.come_back()
    assert place.ended(run).phase == "COMPLETED", place.explain(run)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_attend_resumes_what_waits_for_a_person_without_anybody(
    place: WatchedPlace, cluster: ToyCluster, number: int
) -> None:
    place.ok("backends", "check", "toy")
    (cluster.folder / "locked-out").touch()
    run = place.start("--units", "1", "--backend", "toy")
    until(lambda: place.status(run)["phase"] == "HELD", what="a person", detail=lambda: place.explain(run))
    assert place.ok("attend", "--once")["attended"] == [], "its supervisor waits"
    supervisor = place.supervisor(run)
    assert supervisor
    kill([supervisor], number)
    until(lambda: lease.alive(place.run(run)) is False, what="the end of the supervisor")
    assert [row["run"] for row in place.ok("attend", "--once")["attended"]] == [run]
    cluster.come_back()
    assert place.ended(run).phase == "COMPLETED", place.explain(run)
