"""Toil with the hook in its workers: what it tells, what it goes on with, how it is stopped."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
from cwl_runs import CwlRun, scatter, tool

from esap_wf.engines import LOST


def until(true: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def worker_of(run: CwlRun, engine: int) -> int:
    """A worker of Toil that runs a tool."""
    found = [p for p in psutil.Process(engine).children(recursive=True) if "_toil_worker" in " ".join(p.cmdline())]
    return next(p.pid for p in found if p.name() != "sh" and "CWLJob" in " ".join(p.cmdline()))


def test_a_failed_unit_is_told_and_alone_is_repeated(tmp_path: Path) -> None:
    script = f"echo $1 >> {tmp_path}/count; echo said-$1 >&2; [ $1 != 12 ] || [ -f {tmp_path}/mended ] || exit 7"
    run = CwlRun(tmp_path, scatter(tool(script, id="counting")), engine="toil", xs=[11, 12, 13])
    assert run.run() == 1
    told = [e for e in run.events() if e.kind != "plan"]
    (failed,) = (e for e in told if e.kind == "failed")
    assert (failed.step, failed.unit, failed.reason, failed.exit_code) == ("many", "2", "EXIT_CODE", 7)
    assert failed.log and (tmp_path / failed.log).read_text() == "said-12\n"
    assert sorted(e.unit or "" for e in told if e.kind == "done") == ["1", "3"]
    assert (run.events(kind="plan")[-1].totals or {})["many"] == 3
    for i, event in enumerate(told):
        assert [e for e in run.events(told=event.source) if e.kind != "plan"] == told[i + 1 :]
    assert run.events(told=LOST) == []

    (tmp_path / "mended").touch()
    assert run.run(2) == 0, run.log
    assert sorted((tmp_path / "count").read_text().split()) == ["11", "12", "12", "13"]
    assert [e.unit for e in run.events(2, kind="done")] == ["2"]
    assert not (tmp_path / "work" / "toil-jobstore").exists(), "it is kept only for who goes on"


def test_a_worker_that_dies_is_told_by_the_leader(tmp_path: Path) -> None:
    run = CwlRun(tmp_path, scatter(tool(f"touch {tmp_path}/started; sleep 30", id="sleeping")), engine="toil", xs=[1])
    engine = run.start()
    until((tmp_path / "started").exists)
    os.kill(worker_of(run, engine.pid), signal.SIGKILL)
    assert engine.wait(120) == 1
    (failed,) = run.events(kind="failed")
    assert (failed.step, failed.unit) == ("many", "1")
    assert failed.reason in ("SIGNAL", "ENGINE") and "worker" in (failed.detail or "")


def test_cancelled_it_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    wait = f"touch {tmp_path}/started; [ -f {tmp_path}/mended ] || sleep 62.5"
    run = CwlRun(tmp_path, scatter(tool(wait, id="sleeping")), engine="toil", xs=[1, 2])
    engine = run.start()
    until((tmp_path / "started").exists)
    os.kill(engine.pid, run.engine.stop_signal(False)[0])
    assert engine.wait(40) != 0
    until(lambda: os.system("pgrep -f 'sleep 62[.]5' > /dev/null") != 0, 10)
    (tmp_path / "mended").touch()
    assert run.run(2) == 0, run.log


def test_a_job_store_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    run = CwlRun(tmp_path, tool("true", cwlVersion="v1.2"), engine="toil", x=1)
    (tmp_path / "work/toil-jobstore/shared").mkdir(parents=True)
    arguments, _ = run.engine.supervised(tmp_path, 2, True)
    assert "--restart" not in arguments and not (tmp_path / "work/toil-jobstore").exists()


def test_what_it_refuses_is_explained(tmp_path: Path) -> None:
    asks = {"ResourceRequirement": {"ramMin": 9_000_000}}
    run = CwlRun(tmp_path, tool("true", cwlVersion="v1.2", requirements=asks), engine="toil", x=1)
    code = run.run()
    assert code == 1
    (failure,) = run.engine.explain(tmp_path, 1, code)
    assert "memory" in failure.detail, failure


def test_a_job_that_its_worker_can_not_begin_says_why(tmp_path: Path) -> None:
    asks = {"type": "File", "secondaryFiles": [{"pattern": ".bai", "required": True}]}
    made = tool("echo > o.txt", id="making", outputs={"o": {"type": "File", "outputBinding": {"glob": "o.txt"}}})
    used = {**tool("true", id="using", inputs={"x": asks}), "arguments": []}
    steps = {"make": {"run": made, "in": {"x": "x"}, "out": ["o"]}, "use": {"run": used, "in": {"x": "make/o"}, "out": []}}
    document = {"cwlVersion": "v1.2", "class": "Workflow", "inputs": {"x": "int"}, "outputs": {}, "steps": steps}
    run = CwlRun(tmp_path, document, engine="toil", x=1)
    assert run.run() == 1
    failed = next(e for e in run.events(kind="failed") if e.step == "use")
    assert failed.detail and failed.detail.endswith("Missing required secondary file 'o.txt.bai'"), failed
    assert [e.step for e in run.events(kind="done")] == ["make"]
