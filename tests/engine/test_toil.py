"""Toil with the hook in its workers: what it tells, what it goes on with, how it is stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from engine.cwl_runs import CwlRun, scatter, tool
from helpers.command_line import Place
from helpers.processes import running
from helpers.waiting import until
from services import engines

from esap_wf.engines import Cursor


def worker_of(run: CwlRun, engine: int) -> int:
    """A worker of Toil that runs a tool."""
    return running(r"^\S*python\S* .*_toil_worker .*\bCWLJob\b", below=engine)[0]


@pytest.mark.soak  # in short: tests/features, and of its records tests/unit/engines
def test_a_failed_unit_is_reported_and_alone_is_repeated(tmp_path: Path) -> None:
    script = (
        f"echo $1 >> {tmp_path}/count; echo said-$1 >&2; [ $1 != 12 ] || [ -f {tmp_path}/mended ] || exit 7"
    )
    run = CwlRun(tmp_path, scatter(tool(script, id="counting")), engine="toil", xs=[11, 12, 13])
    assert run.run() == 1
    reported = [e for e in run.events() if e.kind != "plan"]
    (failed,) = (e for e in reported if e.kind == "failed")
    assert (failed.step, failed.unit, failed.reason, failed.exit_code) == ("many", "2", "EXIT_CODE", 7)
    assert failed.log and (tmp_path / failed.log).read_text() == "said-12\n"
    assert sorted(e.unit or "" for e in reported if e.kind == "done") == ["1", "3"]
    assert (run.events(kind="plan")[-1].totals or {})["many"] == 3
    for i, event in enumerate(reported):
        assert [e for e in run.events(cursor=Cursor.at(event.mark)) if e.kind != "plan"] == reported[i + 1 :]
    assert run.events(cursor=Cursor.LOST) == []

    assert not run.engine.ended_well(tmp_path, 1)
    (tmp_path / "mended").touch()
    assert run.run(2) == 0, run.log
    assert run.engine.ended_well(tmp_path, 2), "its answer says so to who didn't see it end"
    assert sorted((tmp_path / "count").read_text().split()) == ["11", "12", "12", "13"]
    assert [e.unit for e in run.events(2, kind="done")] == ["2"]
    assert not (tmp_path / "work" / "toil-jobstore").exists(), "it is kept only for who goes on"


def test_a_worker_that_dies_is_reported_by_the_leader(tmp_path: Path) -> None:
    run = CwlRun(
        tmp_path, scatter(tool(f"touch {tmp_path}/started; sleep 30", id="sleeping")), engine="toil", xs=[1]
    )
    engine = run.start()
    until((tmp_path / "started").exists)
    os.kill(worker_of(run, engine.pid), signal.SIGKILL)
    assert engine.wait(300) == 1
    (failed,) = run.events(kind="failed")
    assert (failed.step, failed.unit) == ("many", "1")
    assert failed.reason in ("SIGNAL", "ENGINE") and "worker" in (failed.detail or "")


@pytest.mark.soak  # in short: tests/features, "cancel leaves nothing behind" and "a killed engine is resumed"
def test_cancelled_it_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    wait = f"touch {tmp_path}/started; [ -f {tmp_path}/mended ] || sleep 601.{os.getpid()}"
    run = CwlRun(tmp_path, scatter(tool(wait, id="sleeping")), engine="toil", xs=[1, 2])
    engine = run.start()
    until((tmp_path / "started").exists)
    how = run.engine.stop_signal(False)
    assert how
    os.kill(engine.pid, how.number)
    assert engine.wait(300) != 0
    until(lambda: not running(rf"sleep 601\.{os.getpid()}"))
    (tmp_path / "mended").touch()
    assert run.run(2) == 0, run.log


def test_a_job_store_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    run = CwlRun(tmp_path, tool("true", cwlVersion="v1.2"), engine="toil", x=1)
    (tmp_path / "work/toil-jobstore/shared").mkdir(parents=True)
    added = run.engine.launch_additions(tmp_path, 2, True)
    assert "--restart" not in added.arguments and not (tmp_path / "work/toil-jobstore").exists()


def test_what_it_refuses_is_explained(tmp_path: Path) -> None:
    asks = {"ResourceRequirement": {"ramMin": 9_000_000}}
    run = CwlRun(tmp_path, tool("true", cwlVersion="v1.2", requirements=asks), engine="toil", x=1)
    code = run.run()
    assert code == 1
    (failure,) = run.engine.explain(tmp_path, 1, code)
    assert "memory" in failure.detail, failure


def test_a_job_that_its_worker_can_not_begin_says_why(tmp_path: Path) -> None:
    asks = {"type": "File", "secondaryFiles": [{"pattern": ".bai", "required": True}]}
    made = tool(
        "echo > o.txt", id="making", outputs={"o": {"type": "File", "outputBinding": {"glob": "o.txt"}}}
    )
    used = {**tool("true", id="using", inputs={"x": asks}), "arguments": []}
    steps = {
        "make": {"run": made, "in": {"x": "x"}, "out": ["o"]},
        "use": {"run": used, "in": {"x": "make/o"}, "out": []},
    }
    document = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "inputs": {"x": "int"},
        "outputs": {},
        "steps": steps,
    }
    run = CwlRun(tmp_path, document, engine="toil", x=1)
    assert run.run() == 1
    failed = next(e for e in run.events(kind="failed") if e.step == "use")
    assert failed.detail and failed.detail.endswith("Missing required secondary file 'o.txt.bai'"), failed
    assert [e.step for e in run.events(kind="done")] == ["make"]


def test_a_store_whose_path_toil_can_not_bear_is_refused_with_the_plan(place: Place) -> None:
    (place.root / "config.toml").write_text(engines.configuration("toil"))
    done = place.inside("--store", place.root / "my store", "plan", "hello", "--engine", "toil", "--json")
    assert done.code == 3 and "my store" in done.problems, done
    assert (
        place.inside("--store", place.root / "mystore", "plan", "hello", "--engine", "toil", "--json").code
        == 0
    )
