"""The verb check: what an operator does at a new site."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, Place
from helpers.processes import of_run
from helpers.waiting import PATIENCE, until

pytestmark = pytest.mark.integration


def by_way(answer: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["engine"], row["way"]): row for row in answer["checks"]}


def only_snakemake(place: Place, more: str = "") -> None:
    """Containers would be built first; other engines that may be here take their time."""
    (place.root / "config.toml").write_text(f"[containers]\nruntimes = []\n{more}")


def left(place: Place) -> list[Path]:
    return [*(place.root / "cache/check").iterdir(), *place.runs()]


def test_what_works_here_is_run_and_nothing_is_left(place: Place) -> None:
    only_snakemake(place)
    done = place("check", "local", "--json")
    assert done.code == 0, done
    rows = by_way(done.json)
    whole = rows["snakemake", "whole"]
    assert set(whole) == {"engine", "task", "way", "ok", "reason", "wall_seconds"}
    assert (whole["task"], whole["ok"], whole["reason"]) == ("noop", True, "")
    assert 0 < whole["wall_seconds"] < 300
    assert ("snakemake", "slices") not in rows, "this machine takes a run in one piece"
    assert all(row["reason"] for row in done.json["checks"] if not row["ok"])
    assert left(place) == []
    assert done.json["store"] is None


def test_an_engine_that_a_profile_names_must_be_there(place: Place) -> None:
    only_snakemake(place, "[backends.site]\nkind = 'local'\nengines = {toil = {path = '/opt/no/toil'}}\n")
    found = {name: place("check", name, "--json") for name in ("local", "site")}
    assert [by_way(done.json)["toil", "whole"]["ok"] for done in found.values()] == [None, False]
    assert [done.code for done in found.values()] == [0, 1]
    assert "Toil" in by_way(found["site"].json)["toil", "whole"]["reason"]
    assert left(place) == [], "no run has failed"


def test_an_engine_that_is_configured_must_be_there_and_hides_no_other(place: Place) -> None:
    only_snakemake(place, "[engines.toil]\npath = '/opt/no/toil'\n")
    done = place("check", "local", "--json")
    rows = by_way(done.json)
    assert (done.code, rows["toil", "whole"]["ok"]) == (1, False)
    assert "/opt/no/toil" in rows["toil", "whole"]["reason"]
    assert rows["snakemake", "whole"]["ok"] is True
    listed = place.inside("backends", "--json")
    assert listed.code == 0
    assert "toil" not in {way["engine"] for way in listed.json["backends"][0]["ways"]}


def test_a_run_that_fails_is_kept_and_told(place: Place) -> None:
    only_snakemake(place)
    spoilt = place.root / "bin"
    spoilt.mkdir()
    (spoilt / "python3").write_text("#!/bin/sh\necho 'no Python for you' >&2\nexit 7\n")
    (spoilt / "python3").chmod(0o755)
    done = place("check", "local", "--json", env={"PATH": f"{spoilt}:{os.environ['PATH']}"})
    assert done.code == 1, done
    row = by_way(done.json)["snakemake", "whole"]
    assert row["ok"] is False and row["reason"]
    kept = place("--store", done.json["store"], "list", "--phase", "ERROR", "--tag", "check", "--json")
    assert kept.json["runs"]


def test_a_place_that_is_not_known_is_a_mistake(place: Place) -> None:
    done = place.inside("check", "locla", "--json")
    assert done.code == 2 and "did you mean local?" in done.problems


def test_an_interrupt_ends_the_run_and_leaves_nothing(place: Place) -> None:
    only_snakemake(place)
    environment = {**os.environ, **place.environment}
    process = subprocess.Popen([COMMAND, "check", "local"], env=environment, stderr=subprocess.PIPE)
    (run,) = until(lambda: [*place.root.glob("cache/check/*/store/runs/*/*/lease.json")], what="a run")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    until(lambda: not of_run(run.parent), what="the run to leave no process")
    assert left(place) == []
