"""An engine that ended before any job is told with its own words, not with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.cwl.toil import Toil
from esap_wf.engines.nextflow import reasons
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.models.run import Reason


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("engine", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "logs" / "engine.log").write_text(
        "usage: snakemake\nsnakemake: error: unrecognized arguments: --nope\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'CyclicGraphException in rule a in file "{run}/project/Snakefile", line 3:\nCyclic dependency on rule a.',
            'CyclicGraphException in rule a in file "project/Snakefile", line 3: Cyclic dependency on rule a.',
        ),
        (
            'SyntaxError in file "{run}/project/Snakefile", line 2:\nExpected name:\nNone',
            'SyntaxError in file "project/Snakefile", line 2: Expected name',
        ),
    ],
)
def test_what_the_plug_in_heard_is_the_reason(run: Path, message: str, expected: str) -> None:
    entry = {"t": 1.0, "event": "error", "message": message.replace("{run}", str(run))}
    (run / "engine" / "2.snakemake.jsonl").write_text(json.dumps(entry) + "\n")
    assert [(f.reason, f.exit_code, f.detail) for f in Snakemake().explain(run, 2, 1)] == [
        (Reason.ENGINE, 1, expected)
    ]


def test_options_that_it_does_not_know_are_the_reason(run: Path) -> None:
    assert [f.detail for f in Snakemake().explain(run, 1, 2)] == [
        "snakemake: error: unrecognized arguments: --nope"
    ]


def test_a_killed_engine_has_no_reason_of_its_own(run: Path) -> None:
    assert Snakemake().explain(run, 1, -9) == []


@pytest.mark.integration
def test_a_resumed_run_tells_its_own_reason(place: Place) -> None:
    flag = place.root / "flag"
    text = f"import os\nraise ValueError('the second time' if os.path.exists({str(flag)!r}) else 'the first time')\n"
    run = place.inside("run", write_workflow(place.root / "toy", files={"Snakefile": text}), "--json").json[
        "run"
    ]
    assert "the first time" in place.inside("status", run, "--json").json["reason"]
    flag.touch()
    place.inside("resume", run, "--json")
    assert "the second time" in place.inside("status", run, "--json").json["reason"]


def test_the_cause_of_a_task_that_nextflow_could_not_start_is_reported(run: Path) -> None:
    cause = "Caused by:\n  Failed to pull singularity image\n    status : 255\n    message:\n      FATAL:   no such host\n"
    printed = f"ERROR ~ Error executing process > 'A'\n\n{cause}"
    (run / "logs" / "engine.log").write_text(
        f"N E X T F L O W  ~  version 24.10.0\n{printed}\n -- Check 'logs/nextflow.log' file for details\n"
    )
    (run / "logs" / "nextflow.log").write_text("")
    found = reasons.explain(run, 1, "logs/nextflow.log", "Nextflow")
    assert [f.detail for f in found] == [
        "Error executing process > 'A': Failed to pull singularity image: FATAL:   no such host"
    ]


def test_what_nextflow_printed_last_is_reported_if_it_calls_nothing_an_error(run: Path) -> None:
    printed = "Nextflow DSL1 is no longer supported"
    (run / "logs" / "engine.log").write_text(f"N E X T F L O W  ~  version 24.10.0\n{printed}\n")
    (run / "logs" / "nextflow.log").write_text("")
    assert [f.detail for f in reasons.explain(run, 1, "logs/nextflow.log", "Nextflow")] == [printed]
    assert reasons.explain(run, 143, "logs/nextflow.log", "Nextflow") == []


def cwl_printed(run: Path, *printed: dict[str, str]) -> None:
    (run / "engine" / "1.cwl.jsonl").write_text(
        "".join(json.dumps({"t": 1.0, "level": "ERROR", **one}) + "\n" for one in printed)
    )


def cwl_order(run: Path, path: Path) -> None:
    given = {"class": "File", "location": path.as_uri()}
    (run / "job.json").write_text(json.dumps({"texts": [given, "x"], "n": 3}))


def test_cwltool_prefers_the_text_of_an_exception(run: Path) -> None:
    cwl_printed(
        run,
        {"log": "Unexpected exception", "raised": "job.json:5:4: the cause"},
        {"log": "Cannot make scatter job: what follows"},
    )
    assert [(f.reason, f.detail) for f in Cwltool().explain(run, 1, 1)] == [
        (Reason.ENGINE, "job.json:5:4: the cause")
    ]
    cwl_printed(run, {"log": "Unexpected exception"}, {"log": "Cannot make job: why"})
    assert [f.detail for f in Cwltool().explain(run, 1, 1)] == ["Cannot make job: why"]


@pytest.mark.parametrize("name", ["gone.fq", "gone for ever 100%.fq"])
def test_an_input_that_vanished_is_no_fault_of_cwl_engines(run: Path, name: str) -> None:
    gone = run / name
    printed = f"job.json:5:4: [Errno 2] No such file or directory: '{gone}'"
    cwl_printed(run, {"log": "Unexpected exception", "raised": printed})
    cwl_order(run, gone)
    (found,) = Cwltool().explain(run, 1, 1)
    assert found.reason == Reason.STAGE_IN and found.detail.startswith(
        f"input texts: there is no {gone} any more (job.json:5:4:"
    )
    gone.touch()
    assert [f.reason for f in Cwltool().explain(run, 1, 1)] == [Reason.ENGINE]

    gone.unlink()
    (run / "engine" / "1.cwl.jsonl").unlink()
    (run / "logs" / "engine.log").write_text(
        f"[2026-01-01T00:00:00+0000] [MainThread] [E] [root] Could not find {gone.as_uri()}\n"
    )
    (found,) = Toil().explain(run, 1, 1)
    assert found.reason == Reason.STAGE_IN and f"there is no {gone} any more (Could not find" in found.detail


def test_what_has_nothing_to_do_with_a_vanished_input_stays_the_reason(run: Path) -> None:
    cwl_order(run, run / "gone.fq")
    cwl_printed(run, {"log": "Expression evaluation error"})
    assert [(f.reason, f.detail) for f in Cwltool().explain(run, 1, 1)] == [
        (Reason.ENGINE, "Expression evaluation error")
    ]
    cwl_printed(run)
    assert [f.reason for f in Cwltool().explain(run, 1, 1)] == [Reason.STAGE_IN]
    assert Cwltool().explain(run, 1, -9) == [], "killed"


def test_cwl_messages_name_each_place_once_and_relative_to_the_run(run: Path) -> None:
    place = "code/0123456789abcdef/workflows/x/sort.cwl:7:51:"
    lines = [
        f"{place} Missing required secondary file 'a.bai' from file object: {{",
        f'{place}   "class": "File",',
        f"{place} }}",
    ]
    cwl_printed(run, {"log": "[step one] Cannot make job: " + "\n".join(lines)})
    expected = f"[step one] Cannot make job: {place} Missing required secondary file 'a.bai'"
    assert [f.detail for f in Cwltool().explain(run, 1, 1)] == [expected]
    cwl_printed(run, {"log": f"{place} first\n{place}   second"})
    assert [f.detail for f in Cwltool().explain(run, 1, 1)] == [f"{place} first second"]

    circle = f"The following steps have circular dependency:\n['{run.as_uri()}/code/main.cwl#b', '{run.as_uri()}/code/main.cwl#a']"
    reported = ["The following steps have circular dependency: ['code/main.cwl#b', 'code/main.cwl#a']"]
    cwl_printed(run, {"log": circle})
    assert [f.detail for f in Cwltool().explain(run, 1, 1)] == reported
    (run / "engine" / "1.cwl.jsonl").unlink()
    (run / "logs" / "engine.log").write_text(
        f"Traceback (most recent call last):\nschema_salad.exceptions.ValidationException: {circle}\n"
    )
    assert [f.detail for f in Toil().explain(run, 1, 1)] == reported
