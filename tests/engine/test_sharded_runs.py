"""Workflows in shards, with each engine that has them: the same bytes as without, and everything told by unit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from services import engines

pytestmark = pytest.mark.integration

ENGINES = ["snakemake", "nextflow", "cwl", "toil"]
UNITS = 12


def ok(place: Place, *words: object) -> dict[str, Any]:
    """The answer of a command that succeeds."""
    done = place.inside(*words, "--json")
    assert done.code == 0, (words, done)
    return done.json


def outputs(place: Place, answer: dict[str, Any]) -> dict[str, str]:
    """Checksums of all results, as they lie there."""
    results = ok(place, "results", answer["run"])["outputs"]
    folder = Path(answer["dir"])
    for output in results:
        assert hashlib.sha256((folder / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    return {output["path"]: output["sha256"] for output in results}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("shards")
    (root / "config.toml").write_text(engines.configuration(*ENGINES))
    yield Place(root)


@pytest.fixture(scope="module")
def whole(place: Place) -> dict[str, str]:
    """Results without shards."""
    return outputs(
        place, ok(place, "run", "noop", "--units", str(UNITS), "--group-size", "5", "--output-bytes", "5000")
    )


@pytest.mark.parametrize(
    ("engine", "size"), [("snakemake", 1), ("snakemake", 100), *((name, 5) for name in ENGINES)]
)
def test_results_do_not_depend_on_the_size_of_the_shards(place, whole, engine, size):
    options = ["--units", str(UNITS), "--group-size", "5", "--output-bytes", "5000", "--engine", engine]
    answer = ok(place, "run", "noop", *options, "--shard-size", str(size), "--if-exists", "rerun")
    assert outputs(place, answer) == whole
    status = ok(place, "status", answer["run"])
    assert status["progress"]["units_done"] == status["progress"]["units_total"] == UNITS
    steps = {step["name"]: step for step in status["steps"]}
    assert steps["unit"]["done"] == UNITS and steps["unit_shard"]["done"] == -(-UNITS // size)
    assert not status["warnings"] and steps["unit"]["seconds"] > 0 and steps["unit"]["cpu_seconds"] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_failures_progress_and_logs_are_by_unit(place, engine):
    failed = place(
        "run", "noop", "--units", "11", "--fail-unit", "7", "--shard-size", "4", "--engine", engine, "--json"
    )
    assert failed.code == 1
    status = ok(place, "status", failed.json["run"])
    assert (status["progress"]["units_done"], status["progress"]["units_failed"]) == (10, 1)
    (failure,) = status["failures"]
    assert (failure["step"], failure["unit"], failure["exit_code"]) == ("unit", "u00007", 3)
    assert failure["tail"] == ["unit u00007: fails as asked for, with exit status 3"]
    (log,) = ok(place, "logs", failed.json["run"], "--unit", "u00007")["logs"]
    assert Path(status["dir"], log["path"]).is_file()
    (done,) = ok(place, "logs", failed.json["run"], "--unit", "u00003")["logs"]
    assert done["step"] == "unit"
