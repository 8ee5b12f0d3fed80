"""The event stream of the logger plug-in, from real runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from engine.engine_runs import SECRET, Run, finish, snakemake, start
from helpers.waiting import until

MANY = f"""
rule all:
    input: "good.txt", "exit.txt", "killed.txt", "lost.txt"
rule good:
    output: "{{x,good}}.txt"
    log: "logs/{{x}}.log"
    threads: 2
    resources: mem_mb=100, account="esap"
    shell: "echo {SECRET} > {{output}}"
rule exits:
    output: "{{x,exit}}.txt"
    log: "logs/{{x}}.log"
    retries: 1
    shell: "echo 'it''s {SECRET}' > {{log}}; exit 3"
rule killed:
    output: "{{x,killed}}.txt"
    shell: "echo {SECRET} > /dev/null; kill -9 $$"
rule lost:
    output: "lost.txt"
    shell: "true {SECRET}"
"""
SLOW = """
rule all:
    input: "a.txt", "b.txt"
rule slow:
    output: "{x}.txt"
    threads: 2
    shell: "sleep 1.5; echo done > {output}"
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run with all kinds of failures."""
    directory = tmp_path_factory.mktemp("many")
    (directory / "Snakefile").write_text(MANY)
    return snakemake(directory, "--keep-going")


def test_the_stream_begins_and_ends(many: Run) -> None:
    assert many.code == 1
    assert many.events[0]["event"] == "workflow_started"
    assert many.events[0]["snakemake"].count(".") >= 1
    assert many.events[0]["host"]
    assert many.events[-1]["event"] == "closed"
    assert many.of("run_info")[0]["stats"] == {"all": 1, "exits": 1, "good": 1, "killed": 1, "lost": 1}
    assert many.of("run_info")[0]["total"] == 5
    assert all(isinstance(e["t"], float) for e in many.events)
    assert [e["t"] for e in many.events if e["event"] == "progress"] == sorted(
        e["t"] for e in many.of("progress")
    )


def test_success(many: Run) -> None:
    (info,) = many.of("job_info", rule="good")
    assert info["wildcards"] == {"x": "good"}
    assert info["log"] == ["logs/good.log"]
    assert info["output"] == ["good.txt"]
    assert info["threads"] == 2
    assert info["resources"]["mem_mb"] == 100
    assert info["resources"]["account"] == "esap"
    assert "tmpdir" not in info["resources"]
    assert info["reason"].startswith("Missing output files")
    assert info["jobid"] in [e["jobid"] for e in many.of("job_finished")]
    assert any(info["jobid"] in e["jobids"] for e in many.of("job_started"))
    assert many.of("progress")[-1]["done"] == 1


def test_exit_code_attempts_and_log(many: Run) -> None:
    first, second = many.of("job_error", rule="exits")
    assert [first["attempt"], second["attempt"]] == [1, 2]
    assert first["exit_code"] == second["exit_code"] == 3
    assert first["kind"] == "exit"
    assert first["wildcards"] == {"x": "exit"}
    assert first["log"] == ["logs/exit.log"]
    assert [e["jobid"] for e in many.of("job_retry")] == [first["jobid"]]


def test_killed_job(many: Run) -> None:
    (error,) = many.of("job_error", rule="killed")
    assert (error["kind"], error["exit_code"], error["signal"]) == ("signal", 137, "SIGKILL")


def test_missing_output_is_a_job_error(many: Run) -> None:
    (error,) = many.of("job_error", rule="lost")
    assert (error["kind"], error["exit_code"]) == ("missing_output", None)
    assert "lost.txt" in error["reason"]


def test_no_command_line_in_the_events(many: Run) -> None:
    assert (
        SECRET in many.stderr
    )  # Snakemake itself prints it: the test would notice if there were nothing to hide
    assert SECRET not in many.text


@pytest.mark.parametrize(
    ("code", "exception", "expected"),
    [
        (f"rule all:\n    output: 'a'\n    shell 'echo {SECRET}'\n", "SyntaxError", "Colon expected"),
        ("rule all:\n    input: 'a.txt'\n", "MissingInputException", "a.txt"),
        (
            f"rule all:\n    output: 'a'\n    shell: 'echo {{nope}} {SECRET}'\n",
            "RuleException",
            "'nope' is unknown",
        ),
    ],
    ids=["syntax", "missing-input", "bad-shell"],
)
def test_runs_that_do_not_begin(tmp_path: Path, code: str, exception: str, expected: str) -> None:
    (tmp_path / "Snakefile").write_text(code)
    run = snakemake(tmp_path)
    assert run.code == 1
    errors = run.of("error", exception=exception)
    assert len(errors) == 1
    assert expected in errors[0]["message"]
    assert SECRET not in run.text


def test_drain_kill_and_lock(tmp_path: Path) -> None:
    """SIGTERM drains; after SIGKILL the stream just stops, its torn line is closed, and the lock is told."""
    (tmp_path / "Snakefile").write_text(SLOW)
    engine = start(tmp_path)
    wait_for(tmp_path, "job_info")
    engine.send_signal(signal.SIGTERM)
    run = finish(tmp_path, engine)
    assert run.code == 1
    assert [e["how"] for e in run.of("stopping")] == ["drain"]
    assert len(run.of("job_finished")) == 1

    events = tmp_path / "events.jsonl"
    events.unlink()
    engine = start(tmp_path)
    wait_for(tmp_path, "job_info")
    os.killpg(engine.pid, signal.SIGKILL)
    engine.communicate()
    with events.open("a") as stream:
        stream.write('{"t": 1, "event": "tor')  # what a full disk may leave
    repeated = snakemake(tmp_path)
    assert repeated.code == 1
    assert [e["event"] for e in repeated.events].count("closed") == 1
    assert [e["exception"] for e in repeated.of("error")] == ["LockException"]
    assert len(repeated.text.splitlines()) == len(repeated.events) + 1


def wait_for(directory: Path, event: str) -> None:
    """Wait until the events have one of this kind."""
    path = directory / "events.jsonl"
    until(lambda: path.exists() and f'"event":"{event}"' in path.read_text(), what=event)
