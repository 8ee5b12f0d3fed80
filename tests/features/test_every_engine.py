"""The same of every engine: results, progress, the first line of a failure, resume, stopping, what events tell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from services import engines

ENGINES = ["snakemake", "nextflow", "cwl", "toil"]
UNITS = 4
#: Fields of an event that an engine may know.
FIELDS = ("unit", "attempt", "job", "exit_code", "log", "host", "cpu_seconds", "memory_bytes")

pytestmark = pytest.mark.parametrize("engine", ENGINES)
Record = Callable[[str, object], None]


@pytest.fixture
def at(place: Any, engine: str) -> Any:
    """A place in which the engine is configured."""
    (place.root / "config.toml").write_text(engines.configuration(engine))
    return place


def started(at: Any, engine: str, *words: object) -> Path:
    done = at("run", "noop", "--engine", engine, "--detach", "--json", *words)
    assert done.code == 0, done.err
    return Path(done.json["dir"])


def until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def events(run: Path, **where: object) -> list[dict[str, Any]]:
    log = run / "events.jsonl"
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [e for e in found if all(e.get(k) == v for k, v in where.items())]


def of_run(run: Path) -> list[int]:
    """Processes that carry the run's key."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ESAP_WF_RUN") == run.name:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.feature("same results as the other engines, byte for byte")
def test_results_are_the_same_with_every_engine(at: Any, engine: str, tmp_path: Path) -> None:
    done = at("run", "hello", "--engine", engine, "--name", "x", "--param", 'name=O\'Hara $(touch pwned) "é"', "--json")
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    assert json.loads((run / "outputs/greeting.json").read_text()) == {
        "greeting": "Hello, O'Hara $(touch pwned) \"é\"!", "language": "english", "name": "O'Hara $(touch pwned) \"é\"",
    }  # fmt: skip
    assert not list(run.rglob("pwned"))
    assert (run / "outputs/greeting.txt").read_text() == 'Hello, O\'Hara $(touch pwned) "é"!\n'


@pytest.mark.feature("progress by unit")
def test_units_are_counted(at: Any, engine: str) -> None:
    run = started(at, engine, "--units", UNITS, "--group-size", 2)
    until(lambda: at("status", run.name, "--json").json["phase"] in ("COMPLETED", "ERROR"))
    state = at("status", run.name, "--json").json
    assert state["phase"] == "COMPLETED", state
    progress = state["progress"]
    assert (progress["units_total"], progress["units_done"], progress["units_failed"], progress["units_running"]) == (UNITS, UNITS, 0, 0)
    assert {s["name"] for s in state["steps"]} >= {"unit", "fan_in", "summary", "verdict"}
    assert len({e["unit"] for e in events(run, kind="done", step="unit")}) == UNITS, "each unit has a name of its own"


@pytest.mark.feature("first line of a failure: step, unit, exit code, log")
def test_a_failed_unit_is_told_in_one_way(at: Any, engine: str) -> None:
    done = at("run", "noop", "--engine", engine, "--units", UNITS, "--fail-unit", 2, "--exit-code", 3, "--json")
    assert (done.code, done.json["phase"]) == (1, "ERROR"), done
    state = at("status", done.json["run"], "--json").json
    failure = state["failures"][0]
    assert (failure["step"], failure["reason"], failure["exit_code"]) == ("unit", "EXIT_CODE", 3), state["failures"]
    assert failure["unit"] is not None
    assert state["reason"].startswith(f"unit {failure['unit']}: exit code 3"), state["reason"]
    assert failure["log"] and (Path(done.json["dir"]) / failure["log"]).is_file(), failure
    assert any("exit" in line or "fail" in line.lower() for line in failure["tail"]), failure


@pytest.mark.feature("resume repeats only what is missing")
def test_a_resumed_run_does_not_repeat_what_is_done(at: Any, engine: str) -> None:
    done = at("run", "noop", "--engine", engine, "--units", UNITS, "--fail-unit", 2, "--exit-code", 3, "--json")
    assert done.code == 1
    run = Path(done.json["dir"])
    first = {e["unit"] for e in events(run, kind="done", step="unit", epoch=1)}
    assert len(first) == UNITS - 1, "the others were not stopped by the failure"
    again = at("resume", run.name, "--json")
    assert again.code == 1
    second = {e["unit"] for e in events(run, kind="start", step="unit", epoch=2)}
    failed = {e["unit"] for e in events(run, kind="failed", step="unit", epoch=2)}
    assert len(failed) == 1
    assert second <= failed, "only the failed unit was started again"


@pytest.mark.feature("a killed engine is resumed")
def test_a_killed_engine_leaves_a_run_that_is_resumed(at: Any, engine: str) -> None:
    run = started(at, engine, "--units", UNITS, "--seconds", 2)
    until(lambda: events(run, kind="start", step="unit"))
    process = json.loads((run / "engine/1.json").read_text())["engine"]["pid"]
    os.kill(process, signal.SIGKILL)
    until(lambda: at("status", run.name, "--json").json["phase"] == "ERROR")
    until(lambda: not of_run(run))
    assert "killed" in at("status", run.name, "--json").json["reason"]
    done = at("resume", run.name, "--json")
    assert (done.code, done.json["phase"]) == (0, "COMPLETED"), at("status", run.name).out
    assert len(list((run / "outputs/units").iterdir())) == UNITS


@pytest.mark.feature("a killed supervisor's engine is adopted")
def test_an_engine_is_adopted(at: Any, engine: str) -> None:
    run = started(at, engine, "--units", UNITS, "--seconds", 2)
    until(lambda: events(run, kind="start", step="unit"))
    os.kill(json.loads((run / "lease.json").read_text())["holder"]["pid"], signal.SIGKILL)
    done = at("resume", run.name, "--json")
    assert (done.code, done.json["phase"]) == (0, "COMPLETED"), at("status", run.name).out
    assert any("adopted" in (e.get("detail") or "") for e in events(run, kind="note"))
    ends = [e["unit"] for e in events(run, kind="done", step="unit")]
    assert sorted(ends) == sorted(set(ends)) and len(ends) == UNITS, "each is told once"


@pytest.mark.feature("cancel leaves nothing behind")
def test_a_cancelled_run_leaves_no_process(at: Any, engine: str) -> None:
    run = started(at, engine, "--units", UNITS, "--seconds", 60)
    until(lambda: events(run, kind="start", step="unit"))
    before = time.monotonic()
    at("cancel", run.name, "--json")
    until(lambda: at("status", run.name, "--json").json["phase"] == "ABORTED", 60)
    assert time.monotonic() - before < 50, "the unit was not waited for"
    until(lambda: not of_run(run), 10)


@pytest.mark.feature("bare `bash command.sh`")
def test_what_is_rendered_runs_without_esap_wf(at: Any, engine: str, tmp_path: Path) -> None:
    done = at("run", "noop", "--engine", engine, "--units", 2, "--json")
    assert done.code == 0, done.err
    run, bare = Path(done.json["dir"]), tmp_path / "bare"
    for name in json.loads((run / "plan.json").read_text())["files"]:
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(run / name, bare / name)
    for name in ("outputs", "logs", "engine"):
        (bare / name).mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NXF_", "SNAKEMAKE_", "TOIL_", "CWL_", "ESAP_"))}
    subprocess.run(["bash", "command.sh"], cwd=bare, env=kept, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300)
    ours = {p.relative_to(run): p.read_bytes() for p in (run / "outputs").rglob("*") if p.is_file()}
    assert ours and ours == {p.relative_to(bare): p.read_bytes() for p in (bare / "outputs").rglob("*") if p.is_file()}


@pytest.mark.feature("events")
def test_what_events_tell(at: Any, engine: str, record_property: Record) -> None:
    done = at("run", "noop", "--engine", engine, "--units", 2, "--fail-unit", 2, "--exit-code", 3, "--seconds", 2, "--json")
    assert done.code == 1
    run = Path(done.json["dir"])
    ended = [e for e in events(run, step="unit") if e["kind"] in ("done", "failed")]
    assert {e["kind"] for e in ended} == {"done", "failed"}
    told = {f"event: {name}": "yes" if any(e.get(name) is not None for e in ended) else "–" for name in FIELDS}
    told["event: start"] = "yes" if events(run, kind="start", step="unit") else "–"
    record_property("features", told)
