"""A failure is told by its cause, not by what stands beside it; one that a pipeline ignores is named when its run ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Done, Place
from hypothesis import given
from hypothesis import strategies as st
from services import engines

from esap_wf.engines.cwl import events, reasons
from esap_wf.engines.snakemake import reasons as snakemake_reasons
from esap_wf.models.run import Failure, Reason
from esap_wf.running import failures

# --- Snakemake: what 9.27 prints

RUN_BLOCK = """\
localrule a:
    output: a.txt
    resources: tmpdir=/tmp
about to
RuleException:
KeyError in file "{run}/project/Snakefile", line 8:
'the real cause'
  File "{run}/project/Snakefile", line 8, in __rule_a
Exiting because a job execution failed. Look above for error messages
WorkflowError:
At least one job did not complete successfully.
[Thu Nov 26 04:00:36 2026]
Error in rule a:
    message: None
"""
SCRIPT = """\
localrule b:
    resources: tmpdir=/tmp
working
Traceback (most recent call last):
  File "{run}/.snakemake/scripts/tmp0kq78nhn.s.py", line 5, in <module>
    raise ValueError("bad value 7")
ValueError: bad value 7
RuleException:
CalledProcessError in file "{run}/project/Snakefile", line 3:
Command 'set -euo pipefail;  python s.py' returned non-zero exit status 1.
[Thu Nov 26 04:01:11 2026]
Error in rule b:
"""
SHELL = """\
localrule c:
    resources: tmpdir=/tmp
fatal: cannot open thing
RuleException:
CalledProcessError in file "{run}/project/Snakefile", line 3:
Command 'set -euo pipefail;  x' returned non-zero exit status 3.
[Thu Nov 26 04:01:11 2026]
"""
R = SHELL.replace("fatal: cannot open thing", "Error in f(2) : no such column\nCalls: f\nExecution halted")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("log", "rule", "code", "expected"),
    [
        (RUN_BLOCK, "a", None, "KeyError: 'the real cause' (project/Snakefile:8)"),
        (RUN_BLOCK, "other", None, None),
        (SCRIPT, "b", 1, "ValueError: bad value 7"),
        (SHELL, "c", 3, "fatal: cannot open thing"),
        (SHELL, "c", 4, None),
        (SHELL.replace("fatal: cannot open thing\n", ""), "c", 3, None),
        (R, "c", 3, "no such column"),
        (SCRIPT + SHELL, "c", 3, "fatal: cannot open thing"),
        ("", "c", 3, None),
    ],
)
def test_what_a_job_of_snakemake_said_is_its_reason(
    run: Path, log: str, rule: str, code: int | None, expected: str | None
) -> None:
    (run / "logs/engine.log").write_text(log.replace("{run}", str(run)))
    assert snakemake_reasons.cause(run, rule, code, alone=True) == expected


def test_of_jobs_that_print_at_the_same_time_no_line_is_taken_for_one_s_own(run: Path) -> None:
    (run / "logs/engine.log").write_text(SCRIPT.replace("{run}", str(run)))
    assert snakemake_reasons.cause(run, "b", 1, alone=False) is None
    (run / "logs/engine.log").write_text(RUN_BLOCK.replace("{run}", str(run)))
    assert snakemake_reasons.cause(run, "a", None, alone=False) is not None, (
        "a run: block's error names its rule"
    )


# --- cwltool: what 3.3 logs

PROGRAM = 'script was:\n01 "use strict";\n02 var inputs = {\n03     "x": 3\n04 };\n'
THROWN = (
    f"[step s] Cannot make job: Expression evaluation error:\nExpecting value: line 1 column 1 (char 0)\n{PROGRAM}"
    + ("10 (function(){ throw 'broken on purpose'; })()\nstdout was: ''\nstderr was: 'broken on purpose'\n")
)
COLLECTED = (
    "Error collecting output for parameter 'out': t.cwl:6:79: Expression evaluation error:\n"
    + "".join(
        f"t.cwl:6:79: {line}\n"
        for line in (
            "Expecting value: line 1 column 1 (char 0)",
            "script was:",
            '01 "use strict";',
            "27 (function(){return ((JSON.parse(self[0].contents)));})()",
            "stdout was: ''",
            "stderr was: '<anonymous_script>:2",
            "",
            "",
            "SyntaxError: Unexpected end of JSON input",
            "    at JSON.parse (<anonymous>)",
        )
    )
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (THROWN, "[step s] Cannot make job: ${ throw 'broken on purpose'; } fails: broken on purpose"),
        (
            COLLECTED,
            "Error collecting output for parameter 'out': t.cwl:6:79: $(JSON.parse(self[0].contents)) fails: "
            "SyntaxError: Unexpected end of JSON input",
        ),
        ("t.cwl:1:1: something else", "t.cwl:1:1: something else"),
    ],
)
def test_an_expression_that_fails_is_reported_with_its_error(
    tmp_path: Path, message: str, expected: str
) -> None:
    assert events.in_one_line(message, tmp_path) == expected
    if message is COLLECTED:
        assert events.reason_of(0, None, False, message) == (Reason.ENGINE, expected), (
            "no output is missing: its expression fails"
        )


@given(st.text(), st.text())
def test_any_message_about_an_expression_can_be_reported(before: str, behind: str) -> None:
    assert isinstance(reasons.expression(f"{before}{reasons.FAILED}{behind}"), str)


# --- what can be done


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.CANCELLED])
def test_every_reason_says_what_can_be_done(reason: Reason) -> None:
    assert failures.way_out(Failure(step="a", reason=reason))


def test_what_was_too_little_is_reported_with_how_much_is_needed() -> None:
    printed = "Error executing process > 'A': Process requirement exceeds available memory -- req: 100 GB; avail: 23.5 GB"
    assert '--memory "100 GiB"' in failures.way_out(
        Failure(step="engine", reason=Reason.ENGINE, detail=printed)
    )
    printed = "Process requirement exceeds available CPUs -- req: 8; avail: 2"
    assert "--cores 8" in failures.way_out(Failure(step="engine", reason=Reason.ENGINE, detail=printed))


# --- with the engines: one failing run each

SNAKEFILE = """
rule all:
    input: "a.txt", "b.txt"
rule a:
    output: "a.txt"
    run:
        raise KeyError("the real cause")
rule b:
    output: "b.txt"
    shell: "echo 'fatal: no b' >&2; exit 3"
"""
EXPRESSION = """cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
expression: "${ return {'o': nothing.x}; }"
inputs: {x: {type: "string[]", default: [%s]}}
outputs: {o: int}
"""
IGNORES = """
process A {
    errorStrategy 'ignore'
    tag "$x"
    input: val x
    output: path 'o*.txt'
    publishDir 'results'
    script: "test $x != 2; echo $x > o${x}.txt"
}
workflow { A(channel.of(1, 2)) }
"""


@pytest.fixture
def at(place: Place, inside: Callable[..., Done]) -> Callable[..., Done]:
    (place.root / "config.toml").write_text(engines.configuration("nextflow", "cwl"))
    return inside


@pytest.mark.integration
def test_snakemake_blocks_and_commands_are_reported_by_what_they_said(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    done = at("run", tmp_path, "--json", "--", "--keep-going")
    assert done.code == 1 and "what can be done" in done.err
    failures = {f["step"]: f for f in at("status", done.json["run"], "--json").json["failures"]}
    assert "KeyError: 'the real cause'" in failures["a"]["detail"], "--keep-going: all of them are named"
    assert failures["b"]["detail"] == "fatal: no b" and failures["b"]["exit_code"] == 3


@pytest.mark.integration
def test_an_expression_of_cwl_is_reported_however_much_stands_before_its_error(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "e.cwl").write_text(EXPRESSION % ", ".join(["a long text that fills the program"] * 300))
    done = at("run", tmp_path / "e.cwl", "--json")
    assert done.code == 1
    state = at("status", done.json["run"], "--json").json
    assert "ReferenceError: nothing is not defined" in json.dumps(state["failures"])


@pytest.mark.integration
def test_a_failure_that_is_ignored_is_named_when_the_run_ends(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "main.nf").write_text(IGNORES)
    done = at("run", tmp_path / "main.nf")
    assert done.code == 0 and "COMPLETED" in done.out
    assert "warning: the pipeline continued despite a failure: A 2: exit code 1" in done.out
    assert "o1.txt" in done.out
