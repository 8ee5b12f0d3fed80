"""cwltool with the hook: what it tells, what it repeats, how it is stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from engine.cwl_runs import CwlRun, scatter, tool
from helpers.processes import running
from helpers.waiting import until

from esap_wf.engines import Cursor, StopSignal
from esap_wf.models.plan import ContainerChoice
from esap_wf.models.request import DataRef

FILE = {"file": {"type": "File", "outputBinding": {"glob": "o.txt"}}}


def test_equal_jobs_do_not_wait_for_each_other_and_are_not_repeated(tmp_path: Path) -> None:
    """Left alone, cwltool's cache makes the second of two equal jobs wait for the first one forever."""
    run = CwlRun(
        tmp_path,
        scatter(tool(f"echo $1 >> {tmp_path}/count; echo $1 > o.txt", outputs=FILE)),
        xs=[5, 5, 5, 6],
    )
    assert run.run() == 0, run.log
    assert sorted((tmp_path / "count").read_text().split()) == ["5", "5", "5", "6"]
    assert run.run(2) == 0, run.log
    assert len((tmp_path / "count").read_text().split()) == 4, "all were done"
    assert not run.events(2, kind="start") and not run.events(2, kind="done")
    assert [e.unit for e in sorted(run.events(kind="done"), key=lambda e: e.unit or "")] == [
        "1",
        "2",
        "3",
        "4",
    ]


def test_jobs_that_differ_only_in_a_written_file_have_results_of_their_own(tmp_path: Path) -> None:
    """cwltool's own key names the expression of an InitialWorkDirRequirement, not what comes out of it."""
    write = {"InitialWorkDirRequirement": {"listing": [{"entryname": "in.txt", "entry": "$(inputs.x)\n"}]}}
    made = {**tool("cat in.txt > o.txt", outputs=FILE), "arguments": [], "requirements": write}
    run = CwlRun(tmp_path, scatter(made), xs=[1, 2, 3])
    for epoch in (1, 2):
        assert run.run(epoch) == 0, run.log
        assert sorted(p.read_text() for p in (tmp_path / "outputs").iterdir()) == ["1\n", "2\n", "3\n"]
        for p in (tmp_path / "outputs").iterdir():
            p.unlink()


@pytest.mark.parametrize(
    ("script", "more", "reason", "code", "expected"),
    [
        ("echo oh no; exit 7", {}, "EXIT_CODE", 7, "exit code 7"),
        ("kill -9 $$", {}, "SIGNAL", -9, "SIGKILL"),
        ("true", {}, "MISSING_OUTPUT", 0, "Did not find output file"),
        (
            "exec sleep 60",
            {"requirements": {"ToolTimeLimit": {"timelimit": 1}}},
            "TIMEOUT",
            -15,
            "time limit",
        ),
        ("echo 'No space left on device' > /dev/full", {}, "EXIT_CODE", 1, "exit code 1"),
    ],
)
def test_why_a_job_failed(
    tmp_path: Path, script: str, more: dict[str, Any], reason: str, code: int, expected: str
) -> None:
    run = CwlRun(tmp_path, scatter(tool(script, outputs=FILE, **more)), xs=[1])
    assert run.run() == 1
    (failed,) = run.events(kind="failed")
    assert (failed.step, failed.unit, failed.reason, failed.exit_code) == ("many", "1", reason, code)
    assert failed.detail and expected in failed.detail
    assert failed.log and (tmp_path / failed.log).is_file()


def test_the_log_of_a_job_is_its_own(tmp_path: Path) -> None:
    script = "for i in 1 2 3; do echo to-stderr-$1 >&2; sleep 0.1; done; exit 4"
    run = CwlRun(tmp_path, scatter(tool(script)), xs=[1, 2])
    assert run.run() == 1
    for failed in run.events(kind="failed"):
        assert failed.log
        assert (tmp_path / failed.log).read_text().split() == [f"to-stderr-{failed.unit}"] * 3


def test_a_captured_standard_error_is_in_the_log_of_a_failure(tmp_path: Path) -> None:
    run = CwlRun(tmp_path, scatter(tool("echo captured >&2; exit 4", stderr="err.txt")), xs=[1])
    assert run.run() == 1
    (failed,) = run.events(kind="failed")
    assert failed.log and (tmp_path / failed.log).read_text() == "captured\n"


def test_no_tool_can_tell_anything_in_the_name_of_cwltool(tmp_path: Path) -> None:
    forged = "INFO [job many_2] completed permanentFail"
    run = CwlRun(
        tmp_path,
        scatter(tool(f"echo '{forged}'; echo '{forged}' >&2; echo '[job many] completed success' >&2")),
        xs=[1, 2],
    )
    assert run.run() == 0, run.log
    assert not run.events(kind="failed")
    assert len(run.events(kind="done")) == 2


def test_each_event_is_reported_once_wherever_a_supervisor_was_killed(tmp_path: Path) -> None:
    run = CwlRun(tmp_path, scatter(tool("[ $1 != 2 ] || exit 3")), xs=[1, 2, 3])
    assert run.run() == 1
    reported = [e for e in run.events() if e.kind != "plan"]
    assert [e.kind for e in reported].count("failed") == 1 and len(reported) == 6
    for i, event in enumerate(reported):
        assert [e for e in run.events(cursor=Cursor.at(event.mark)) if e.kind != "plan"] == reported[i + 1 :]
    assert run.events(cursor=Cursor.LOST) == []


def test_totals_follow_what_is_scattered(tmp_path: Path) -> None:
    document = scatter(tool("true"))
    document["steps"]["last"] = {"run": tool("true", inputs={}), "in": {}, "out": []}
    document["steps"]["never"] = {
        "run": tool("true", inputs={}),
        "in": {"xs": "xs"},
        "out": [],
        "when": "$(inputs.no)",
    }
    document["inputs"]["no"] = {"type": "boolean", "default": False}
    document["steps"]["never"]["in"]["no"] = "no"
    run = CwlRun(tmp_path, document, xs=[1, 2, 3])
    assert run.run() == 0, run.log
    assert run.events(kind="plan")[-1].totals == {"many": 3, "last": 1}


def test_what_jobs_use_is_reported(tmp_path: Path) -> None:
    eat = "python3 -c 'import time; x = bytearray(300_000_000); e = time.process_time() + 0.3\nwhile time.process_time() < e: pass'"
    run = CwlRun(tmp_path, scatter(tool(eat)), xs=[1])
    assert run.run() == 0, run.log
    (done,) = run.events(kind="done")
    assert done.cpu_seconds and 0.3 <= done.cpu_seconds < 5
    assert done.memory_bytes and 3e8 <= done.memory_bytes < 4e8


def test_drained_it_ends_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    slow = f"touch {tmp_path}/started.$1; until [ -e {tmp_path}/go ]; do sleep 0.1; done; touch {tmp_path}/ended.$1"
    run = CwlRun(tmp_path, scatter(tool(slow)), xs=[1, 2, 3, 4, 5])
    engine = run.start()
    until(lambda: len(list(tmp_path.glob("started.*"))) == 2)
    how = run.engine.stop_signal(True)
    assert how
    os.kill(engine.pid, how.number)
    (tmp_path / "go").touch()
    assert engine.wait(300) == 1
    assert len(list(tmp_path.glob("ended.*"))) == 2 == len(list(tmp_path.glob("started.*")))
    assert len(run.events(kind="done")) == 2 and not run.events(kind="failed")
    assert run.run(2) == 0, run.log
    assert len(run.events(2, kind="done")) == 3


def test_cancelled_it_leaves_nothing(tmp_path: Path) -> None:
    run = CwlRun(
        tmp_path, scatter(tool(f"touch {tmp_path}/started.$1; sleep 600.{os.getpid()}")), xs=[1, 2, 3, 4, 5]
    )
    engine = run.start()
    until(lambda: len(list(tmp_path.glob("started.*"))) == 2)
    how = run.engine.stop_signal(False)
    assert how == StopSignal(signal.SIGTERM, to_jobs=True)
    os.killpg(engine.pid, how.number)
    assert engine.wait(300) != 0
    assert not running(rf"sleep 600\.{os.getpid()}")
    assert len(list(tmp_path.glob("started.*"))) == 2


HOSTILE = ["a b#c%20d.txt", "$(touch pwned);`touch pwned`.txt", "ü'\"\\n.txt", "-rf.txt"]


def test_hostile_names_and_values_are_only_names_and_values(tmp_path: Path) -> None:
    folder = tmp_path / "in put#1"
    folder.mkdir()
    for name in HOSTILE:
        (folder / name).write_text(name)
    document = tool('cat -- "$0" "$@" > o.txt', inputs={}, outputs=FILE, cwlVersion="v1.2")
    document |= {
        "inputs": {"files": {"type": "File[]", "inputBinding": {"position": 1}}, "word": {"type": "string"}},
        "baseCommand": ["bash", "-c", 'shift; cat -- "$@" > o.txt; printf %s "$0" >> o.txt'],
        "arguments": ["$(inputs.word)", "x"],
    }
    word = "$(touch pwned) `touch pwned` '\"\\ ${x} -rf\nmore"
    refs = [DataRef(uri=str(folder / n), path=str(folder / n)) for n in HOSTILE]
    run = CwlRun(tmp_path / "run", document, inputs={"files": refs}, word=word)
    assert run.run() == 0, run.log
    assert (tmp_path / "run/outputs/o.txt").read_text() == "".join(HOSTILE) + word
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
def test_each_version_of_the_language(tmp_path: Path, version: str) -> None:
    """Secondary files, an array, a record, a default and a null, in what the language had from the start."""
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "a.txt.idx").write_text("two")
    document = {
        "cwlVersion": version,
        "class": "CommandLineTool",
        "baseCommand": ["bash", "-c", 'cat "$0" "$0.idx"; printf " %s" "$@"'],
        "inputs": {
            "file": {"type": "File", "secondaryFiles": [".idx"], "inputBinding": {"position": 1}},
            "words": {"type": "string[]", "inputBinding": {"position": 2}},
            "record": {
                "type": {
                    "type": "record",
                    "fields": [{"name": "n", "type": "int", "inputBinding": {"prefix": "-n"}}],
                }
            },
            "absent": {"type": "string?", "inputBinding": {"position": 3}},
            "usual": {"type": "string", "default": "d", "inputBinding": {"position": 4}},
        },
        "stdout": "o.txt",
        "outputs": {"out": {"type": "stdout"}},
    }
    document["inputs"]["record"]["inputBinding"] = {"position": 5}  # type: ignore[index]
    ref = DataRef(uri="a", path=str(tmp_path / "a.txt"))
    run = CwlRun(
        tmp_path / "run", document, inputs={"file": [ref]}, words=["b", "c d"], record={"n": 5}, absent=None
    )
    assert run.run() == 0, run.log
    assert (tmp_path / "run/outputs/o.txt").read_text() == "onetwo b c d d -n 5"


@pytest.mark.parametrize(
    ("document", "code", "expected"),
    [
        (
            tool("true", cwlVersion="v1.2", requirements={"TeleportRequirement": {}}),
            (1, 33),
            "TeleportRequirement",
        ),
        (tool("true", cwlVersion="v1.2", inputs={"y": "int"}), (1,), "y"),
        (
            tool("true", cwlVersion="v1.2", requirements={"DockerRequirement": {"dockerPull": "a:1"}}),
            (33,),
            "DockerRequirement",
        ),
    ],
)
def test_what_it_refuses_is_explained(
    tmp_path: Path, document: Any, code: tuple[int, ...], expected: str
) -> None:
    run = CwlRun(tmp_path, document, x=1)
    ended = run.run()
    assert ended in code, run.log
    (failure,) = run.engine.explain(tmp_path, 1, ended)
    assert failure.reason == "ENGINE" and expected in failure.detail, failure


def test_an_input_that_vanished_before_the_start_is_reported_as_such(tmp_path: Path) -> None:
    gone = tmp_path / "gone.fq"
    gone.touch()
    document = scatter({**tool("true", inputs={"x": "File"}), "arguments": []}, inputs={"xs": "File[]"})
    run = CwlRun(tmp_path, document, inputs={"xs": [DataRef(uri=gone.as_uri(), path=str(gone))] * 2})
    gone.unlink()
    code = run.run()
    (failure,) = run.engine.explain(tmp_path, 1, code)
    assert failure.reason == "STAGE_IN" and f"input xs: there is no {gone} any more" in failure.detail, (
        failure
    )
    assert "No such file or directory" in failure.detail and "Unexpected" not in failure.detail


def test_a_container_program_gets_the_image_of_the_plan(tmp_path: Path) -> None:
    """The script that stands for a runtime: names become what stands for them, options come where the runtime's own are."""
    from esap_wf.engines.cwl import job_order

    def choice(runtime: str, **more: Any) -> ContainerChoice:
        return ContainerChoice(
            image="a:1", reference="/im ages/a.sif", form="sif", runtime=runtime, program="/bin/echo", **more
        )

    names = {"a:1": choice("apptainer", network=False, options=["--opt"], environment={"X_Y": "1 2"})}
    script = tmp_path / "singularity"
    script.write_bytes(job_order._program(names["a:1"], names))
    printed = os.popen(f"bash {script} --quiet run --pwd /x a:1 run a:1").read().strip()
    assert printed == "--quiet run --opt --net --network none --pwd /x /im ages/a.sif run a:1"
    os.popen(f"bash {script} pull --force --name {tmp_path}/deep/a.sif docker://a:1").read()
    assert str((tmp_path / "deep/a.sif").readlink()) == "/im ages/a.sif"
    rootless = {"a:1": choice("docker", options=["--user=0:0"])}
    script.write_bytes(job_order._program(rootless["a:1"], rootless))
    printed = (
        os.popen(f"ESAP_WF_RUN=r ESAP_WF_ENGINE=r.2 bash {script} run -i --user=5:5 a:1 id --user=5:5")
        .read()
        .strip()
    )
    marks = "--env=ESAP_WF_RUN --label=esap-wf.run=r --label=esap-wf.engine=r.2"
    assert printed == f"run --user=0:0 {marks} -i /im ages/a.sif id --user=5:5"
