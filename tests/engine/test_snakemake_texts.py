"""What is read out of Snakemake's sentences, without starting it."""

from __future__ import annotations

import pytest
from snakemake_logger_plugin_esap import texts

HEAD = 'RuleException:\nCalledProcessError in file "/x/Snakefile", line 12:\n'


@pytest.mark.parametrize(
    ("end", "kind", "code", "signal"),
    [
        ("returned non-zero exit status 3.", "exit", 3, None),
        ("returned non-zero exit status 137.", "exit", 137, None),
        ("died with <Signals.SIGKILL: 9>.", "signal", 137, "SIGKILL"),
        ("died with unknown signal 40.", "signal", 168, "signal 40"),
    ],
)
def test_exit_codes(end: str, kind: str, code: int, signal: str | None) -> None:
    failure = texts.command_failure(f"{HEAD}Command 'set -euo pipefail;  exit' {end}\n  File x")
    assert failure
    assert (failure.kind, failure.exit_code, failure.signal) == (kind, code, signal)


def test_a_command_that_contains_the_sentence() -> None:
    command = "echo 'Command 'x' returned non-zero exit status 1.'\nsecret"
    text = f"{HEAD}Command '{command}' returned non-zero exit status 7."
    failure = texts.command_failure(text)
    assert failure and failure.exit_code == 7
    assert "secret" not in texts.without_commands(text, [])
    assert "status 7" in texts.without_commands(text, [])


def test_other_errors_have_no_exit_code() -> None:
    assert texts.command_failure("WorkflowError:\nAt least one job did not complete successfully.") is None
    assert texts.command_failure(f"{HEAD}Command 'cut off") is None


def test_commands_are_taken_out() -> None:
    assert (
        texts.without_commands("cannot run echo secret here", ["echo secret"]) == "cannot run <command> here"
    )
    assert "secret" not in texts.without_commands(
        "NameError: x, when formatting the following:\necho {x} secret", []
    )


@pytest.mark.parametrize(("number", "expected"), [("4 ", 4), ("", 0)])
def test_missing_output(number: str, expected: int) -> None:
    text = f'MissingOutputException in rule f in file "/x", line 1:\nJob {number} completed successfully, but some'
    assert texts.missing_output(text) == (expected, "f")


def test_long_texts_keep_their_end() -> None:
    text = texts.cut("a" * 10_000 + "the cause")
    assert len(text) < 4100
    assert text.endswith("the cause")


@pytest.mark.parametrize(
    ("text", "event", "jobid", "external"),
    [
        ("Job 5 has been submitted with SLURM jobid 195 (log: /w/195.log).", "job_submitted", 5, "195"),
        ("Submitted job 3 with external jobid '77.host'.", "job_submitted", 3, "77.host"),
        ("Trying to restart job 9.", "job_retry", 9, None),
    ],
)
def test_notices(text: str, event: str, jobid: int, external: str | None) -> None:
    printed = texts.notice(text)
    assert printed
    assert (printed["event"], printed["jobid"], printed.get("external_id")) == (event, jobid, external)


def test_other_notices_are_dropped() -> None:
    assert texts.notice("Job stats:\njob count") is None
