"""Fixtures that the tests of several folders share."""

from __future__ import annotations

import os
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
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
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


Toy = Callable[..., Workflow]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Makes a workflow ``toy`` from properties and changes of its manifest, and reads it."""

    def make(properties: dict[str, Any] | None = None, manifest: dict[str, Any] | None = None, **more: Any) -> Workflow:
        folder = write_workflow(tmp_path / more.pop("at", "toy"), properties, manifest, **more)
        return read(folder / "workflow.yaml")

    return make
