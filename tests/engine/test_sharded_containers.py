"""Shards whose jobs are containers: what units have done is outside of these, and is seen while they work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.place import WatchedPlace
from helpers.processes import kill, of_run
from helpers.waiting import until
from services import engines
from services.containers import Runtimes, container_runtimes  # noqa: F401

from esap_wf.models.run import Phase
from esap_wf.runs import states

pytestmark = pytest.mark.integration

UNITS, SLOTS = 10, 2


@pytest.fixture
def place(tmp_path: Path, container_runtimes: Runtimes) -> Iterator[WatchedPlace]:  # noqa: F811
    container_runtimes.need("podman")
    text = engines.configuration("cwl", "toil")
    (tmp_path / "config.toml").write_text(
        f'cache = "{container_runtimes.cache}"\n{text}[containers]\nruntimes = ["podman"]\n'
    )
    made = WatchedPlace(tmp_path)
    made.extra |= {**container_runtimes.environment, "ESAP_WF_CACHE": str(container_runtimes.cache)}
    yield made


def started(run: Path) -> Counter[str]:
    """How often each unit was begun, by the journals."""
    lines = [
        json.loads(line)
        for journal in (run / "work/shards/unit").glob("*-*.jsonl")
        for line in journal.read_text("utf-8").splitlines()
    ]
    return Counter(line["unit"] for line in lines if line["kind"] == "start")


@pytest.mark.parametrize("engine", ["cwl", pytest.param("toil", marks=pytest.mark.soak)])
def test_a_container_that_is_lost_costs_only_the_units_at_work(place: WatchedPlace, engine: str) -> None:
    given = ["--units", str(UNITS), "--seconds", "0.7", "--shard-size", str(UNITS // SLOTS)]
    asked = ["--software", "container", "--cores", str(SLOTS), "--engine", engine]
    run = str(place.ok("run", "noop", *given, *asked, "--detach")["run"])
    folder = place.run(run).dir
    done = until(
        lambda: n if (n := place.run(run).observe().progress.units_done) >= 3 else 0,
        120,
        what="units that are done while their shards work",
        detail=lambda: place.explain(run),
    )
    assert done < UNITS
    # what watches over others first: else a runner would see its unit die, and begin another one
    lines = of_run(run)
    kill(sorted(lines, key=lambda pid: "--step" not in lines[pid]))
    place.ok("resume", run)
    until(lambda: place.run(run).observe().phase not in states.ACTIVE, what="the end")
    state = place.run(run).observe()
    assert state.phase is Phase.COMPLETED, place.explain(run)
    assert (state.progress.units_total, state.progress.units_done) == (UNITS, UNITS)
    again = {unit for unit, times in started(folder).items() if times > 1}
    assert len(again) <= SLOTS
    assert state.progress.second_executions == len(again)


def test_a_unit_that_fails_in_a_container_is_told_with_its_log(place: WatchedPlace) -> None:
    asked = ["--software", "container", "--engine", "cwl", "--shard-size", "3"]
    failed = place("run", "noop", "--units", "6", "--fail-unit", "5", *asked, "--json")
    assert failed.code == 1, failed
    status = place.status(failed.json["run"])
    (failure,) = status["failures"]
    assert (failure["step"], failure["unit"], failure["exit_code"]) == ("unit", "u00005", 3)
    assert failure["tail"] == ["unit u00005: fails as asked for, with exit status 3"]
    progress = status["progress"]
    assert (progress["units_done"], progress["units_failed"]) == (5, 1)
