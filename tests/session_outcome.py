"""What decides whether a session of tests is a success: failed tests, and what no second round may forgive (second_round.py)."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

_UNFORGIVEN = pytest.StashKey[list[str]]()


def blame(config: pytest.Config, reason: str) -> None:
    """Fail the session for a reason that is no failed test: trying tests once more doesn't help."""
    config.stash.setdefault(_UNFORGIVEN, []).append(reason)


def without_group(nodeid: str) -> str:
    """The name of a test as pytest takes it: xdist appends the group that keeps tests on one worker (``test[a]@group``)."""
    name, at, group = nodeid.rpartition("@")
    return name if at and "]" not in group else nodeid


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--outcome", type=Path, metavar="FILE", help="Write there what failed, for tests/second_round.py."
    )


def pytest_configure(config: pytest.Config) -> None:
    """A session that is killed leaves no outcome, not that of an earlier one."""
    if config.option.outcome and not hasattr(config, "workerinput"):
        config.option.outcome.unlink(missing_ok=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """With xdist: nobody knows what a worker that crashed would have found."""
    if error:
        blame(node.config, f"worker {node.gateway.id} crashed")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that the tests need is there: a skip is a failure."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if hasattr(config, "workerinput") or reporter is None:
        return
    skipped = len(reporter.stats.get("skipped", []))
    if skipped and os.environ.get("CI"):
        blame(config, f"skipped in CI, where all that tests need must be there: {skipped}")
    reports = [r for kind in ("failed", "error") for r in reporter.stats.get(kind, [])]
    for report in reports:
        if not isinstance(report, pytest.TestReport):
            blame(config, f"can't be collected: {report.nodeid}")
    if session.shouldfail or session.shouldstop:
        blame(config, "stopped before all tests were called")
    unforgiven = config.stash.get(_UNFORGIVEN, [])
    if unforgiven and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if config.option.outcome:
        outcome = {
            "exit": int(session.exitstatus),
            "marks": config.option.markexpr,
            "failed": list(dict.fromkeys(without_group(r.nodeid) for r in reports)),
            "unforgiven": unforgiven,
        }
        config.option.outcome.parent.mkdir(parents=True, exist_ok=True)
        config.option.outcome.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count what was skipped, by reason: a component that is not there must not look like a success."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(
        str(r.longrepr[2] if isinstance(r.longrepr, tuple) else r.longrepr).removeprefix("Skipped: ")
        for r in skipped
    )
    terminalreporter.section(f"skipped: {len(skipped)}")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} x {reason}")
    if unforgiven := config.stash.get(_UNFORGIVEN, []):
        terminalreporter.section("failed for other reasons than a test")
        for reason in unforgiven:
            terminalreporter.line(reason)
