from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.processes import kill, of_run

from .place import SMALL, WatchedPlace

#: How many tests marked `together` are at work at a time: they wait more than they compute.
AT_ONCE = 4


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "together: mostly waits, runs beside the others of its module")


class Together:
    """The tests of a module that are marked `together`, all submitted when the first of them is called."""

    def __init__(self, session: pytest.Session, module: object, factory: pytest.TempPathFactory) -> None:
        self.pool = ThreadPoolExecutor(AT_ONCE)
        items = [
            i
            for i in session.items
            if isinstance(i, pytest.Function)
            and i.module is module
            and i.get_closest_marker("together")
            and not i.get_closest_marker("skip")
        ]
        self.futures = {
            item.nodeid: self.pool.submit(self.call, item, WatchedPlace(factory.mktemp("place")))
            for item in items
        }

    @staticmethod
    def call(item: pytest.Function, place: WatchedPlace) -> None:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        try:
            item.obj(place, **values)
        finally:
            end(place)


_together: dict[object, Together] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if pyfuncitem.get_closest_marker("together") is None:
        return None
    module = pyfuncitem.module
    if module not in _together:
        _together[module] = Together(
            pyfuncitem.session, module, pyfuncitem._request.getfixturevalue("tmp_path_factory")
        )
    _together[module].futures[pyfuncitem.nodeid].result()
    return True


def pytest_unconfigure() -> None:
    for module in _together.values():
        module.pool.shutdown(cancel_futures=True)


def end(place: WatchedPlace) -> None:
    """End what a failed test has left, by the runs' keys."""
    with suppress(Exception):
        for run in place.opened.ids():
            left = of_run(run)
            kill(list(left), signal.SIGCONT)
            kill(list(left))
            place.nothing_runs(run)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[WatchedPlace]:
    made = WatchedPlace(tmp_path)
    yield made
    end(made)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Outputs of an undisturbed run of `SMALL`."""
    undisturbed = WatchedPlace(tmp_path_factory.mktemp("undisturbed"))
    run = undisturbed.ok("run", "noop", *SMALL)["run"]
    return undisturbed.results(run)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own: 110 MB, what a run asks for and a little more, and 1500 files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=110m,nr_inodes=1500", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    end(WatchedPlace(tmp_path, store_at=folder / "store"))
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
