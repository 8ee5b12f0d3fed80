"""Standard streams that are closed or full ended in tracebacks, in exit codes that mean something else, or lost a run's follower."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, Place

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def shell(place: Place, words: str) -> Any:
    return subprocess.run(
        ["sh", "-c", f"exec {COMMAND} {words}"],
        env={**os.environ, **place.environment},
        capture_output=True,
        text=True,
        cwd=place.root,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    ["list >&-", "list --json >&-", "list <&-", "list 2>&-", "list <&- >&- 2>&-", "plan hello <&- 2>&-"],
)
def test_a_closed_stream_ends_no_command(place: Place, words: str) -> None:
    done = shell(place, words)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr


def test_a_run_needs_no_stream(place: Place) -> None:
    done = shell(place, "run hello <&- >&- 2>&-")
    assert done.returncode == 0
    assert [r for r in place.runs() if (r / "outputs/greeting.txt").is_file()]


@pytest.mark.parametrize(
    "words",
    ["list --json", "workflows", "workflows --json", "--help", "--json status nothing", "plan hello --json"],
)
def test_an_answer_that_can_not_be_written_is_refused(place: Place, words: str) -> None:
    done = shell(place, f"{words} >/dev/full")
    assert done.returncode == (2 if "nothing" in words else 3), done
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert "esap-wf: error:" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"), [("plan hello", 0), ("plan hello -o p.json", 0), ("status nothing", 2)]
)
def test_talk_that_can_not_be_written_changes_no_exit_code(place: Place, words: str, code: int) -> None:
    assert shell(place, f"{words} 2>/dev/full").returncode == code
