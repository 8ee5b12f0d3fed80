"""An engine that ended before any job is told with its own words, not with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from adapter import Place, write_workflow

from esap_wf.engines import nextflow_reasons
from esap_wf.engines.snakemake import Snakemake
from esap_wf.models.run import Reason


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("engine", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "logs" / "engine.log").write_text("usage: snakemake\nsnakemake: error: unrecognized arguments: --nope\n")
    return tmp_path


@pytest.mark.parametrize(
    ("message", "told"),
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
def test_what_the_plug_in_heard_is_the_reason(run: Path, message: str, told: str) -> None:
    said = {"t": 1.0, "event": "error", "message": message.replace("{run}", str(run))}
    (run / "engine" / "2.snakemake.jsonl").write_text(json.dumps(said) + "\n")
    assert [(f.reason, f.exit_code, f.detail) for f in Snakemake().explain(run, 2, 1)] == [(Reason.ENGINE, 1, told)]


def test_options_that_it_does_not_know_are_the_reason(run: Path) -> None:
    assert [f.detail for f in Snakemake().explain(run, 1, 2)] == ["snakemake: error: unrecognized arguments: --nope"]


def test_a_killed_engine_has_no_reason_of_its_own(run: Path) -> None:
    assert Snakemake().explain(run, 1, -9) == []


@pytest.mark.integration
def test_a_resumed_run_tells_its_own_reason(place: Place) -> None:
    flag = place.root / "flag"
    text = f"import os\nraise ValueError('the second time' if os.path.exists({str(flag)!r}) else 'the first time')\n"
    run = place("run", write_workflow(place.root / "toy", Snakefile=text), "--json").json["run"]
    assert "the first time" in place("status", run, "--json").json["reason"]
    flag.touch()
    place("resume", run, "--json")
    assert "the second time" in place("status", run, "--json").json["reason"]


def test_the_cause_of_a_task_that_nextflow_could_not_start_is_told(run: Path) -> None:
    cause = "Caused by:\n  Failed to pull singularity image\n    status : 255\n    message:\n      FATAL:   no such host\n"
    said = f"ERROR ~ Error executing process > 'A'\n\n{cause}"
    (run / "logs" / "engine.log").write_text(
        f"N E X T F L O W  ~  version 24.10.0\n{said}\n -- Check 'logs/nextflow.log' file for details\n"
    )
    (run / "logs" / "nextflow.log").write_text("")
    found = nextflow_reasons.explain(run, 1, "logs/nextflow.log", "Nextflow")
    assert [f.detail for f in found] == ["Error executing process > 'A': Failed to pull singularity image: FATAL:   no such host"]


def test_what_nextflow_printed_last_is_told_if_it_calls_nothing_an_error(run: Path) -> None:
    said = "Nextflow DSL1 is no longer supported"
    (run / "logs" / "engine.log").write_text(f"N E X T F L O W  ~  version 24.10.0\n{said}\n")
    (run / "logs" / "nextflow.log").write_text("")
    assert [f.detail for f in nextflow_reasons.explain(run, 1, "logs/nextflow.log", "Nextflow")] == [said]
    assert nextflow_reasons.explain(run, 143, "logs/nextflow.log", "Nextflow") == []
