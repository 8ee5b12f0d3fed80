"""Fixtures that the tests of several folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.command_line import inside as run_inside
from helpers.workflows import write_workflow
from hypothesis import HealthCheck, settings

from esap_wf import config as configuration
from esap_wf import plugins
from esap_wf.catalogue.manifests import read_manifest
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config

pytest_plugins = ["session_outcome"]

# other work runs beside the tests: no example may fail because it was slow
# in CI the examples are the same each time, so that a change is judged by itself; elsewhere they are new ones
settings.register_profile(
    "project",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")


def pytest_configure() -> None:
    """Ctrl-C is heard by what the tests start: a shell's job in the background ignores SIGINT, and so would all its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
def sheds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kinds of place of `helpers.shed` are installed."""
    from helpers.shed import Shed

    monkeypatch.setitem(
        plugins.BUILT_IN,
        "esap_wf.backends",
        {
            **plugins.BUILT_IN["esap_wf.backends"],
            "shed": "helpers.shed:Shed",
            "collapsed": "helpers.shed:Collapsed",
        },
    )
    monkeypatch.setattr(Shed, "asked", [])


@pytest.fixture
def inside(place: Place) -> Callable[..., Done]:
    """The command line in this process and folder: no start of an interpreter."""

    def call(*args: object) -> Done:
        return run_inside(*args, environment={})

    return call


#: What takes longest is begun first, so that all workers end at about the same time.
LONGEST_FIRST = (
    "features",
    "science",
    "faults",
    "places",
    "slurm",
    "data",
    "engine",
    "foreign",
    "containers",
    "integration",
    "regression",
    "runs",
    "unit",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long folders first; a test marked `apart` need not run where the others of its file run; long series only if asked for."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    here = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(here).parts[0], len(order)))
    for number, item in enumerate(items):
        if item.get_closest_marker("soak") and "soak" not in config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="a long series: make soak"))
        if mark := item.get_closest_marker("apart"):
            together = (
                "-".join(str(item.callspec.params[name]) for name in mark.args)
                if hasattr(item, "callspec")
                else ""
            )
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{together or number}"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A file to a worker, because its tests share what they have started; those that are `apart` by themselves."""
    from session_outcome import without_group
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = without_group(nodeid)
            return nodeid.partition("::")[0] if name == nodeid else nodeid.removeprefix(f"{name}@")

    return ByFile(config, log)


Toy = Callable[..., Workflow]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Makes a workflow ``toy`` from properties and changes of its manifest, and reads it."""

    def make(
        properties: dict[str, Any] | None = None,
        manifest: dict[str, Any] | None = None,
        at: str = "toy",
        **more: Any,
    ) -> Workflow:
        return read_manifest(write_workflow(tmp_path / at, properties, manifest, **more) / "workflow.yaml")

    return make
