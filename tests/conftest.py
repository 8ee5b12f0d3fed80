"""Fixtures that the tests of several folders share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter import Done, Place, word, write_workflow
from hypothesis import HealthCheck, settings

from esap_wf import config as configuration
from esap_wf.catalog import Workflow, read
from esap_wf.config import Config

# other work runs beside the tests: no example may fail because it was slow
# in CI the examples are the same each time, so that a change is judged by itself; elsewhere they are new ones
settings.register_profile(
    "project",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An isolated place; this process sees it too."""
    made = Place(tmp_path)
    (tmp_path / "home").mkdir()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def config(place: Place) -> Config:
    return configuration.load()


@pytest.fixture
def inside(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command line in this process: no start of an interpreter."""
    from esap_wf.cli import main

    def call(*args: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([os.fspath(word(a)) for a in args])  # type: ignore[misc]
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped, by reason: a component that is not there must not look like a success."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(r.longrepr[2] if isinstance(r.longrepr, tuple) else r.longrepr).removeprefix("Skipped: ") for r in skipped)
    terminalreporter.section(f"skipped: {len(skipped)}")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} x {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that the tests need is there: a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


Toy = Callable[..., Workflow]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Makes a workflow ``toy`` from properties and changes of its manifest, and reads it."""

    def make(properties: dict[str, Any] | None = None, manifest: dict[str, Any] | None = None, **more: Any) -> Workflow:
        folder = write_workflow(tmp_path / more.pop("at", "toy"), properties, manifest, **more)
        return read(folder / "workflow.yaml")

    return make
