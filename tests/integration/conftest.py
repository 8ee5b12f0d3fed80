"""One store with a few real runs that all tests look at; starting Snakemake costs seconds."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, Done, Place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.integration)


@dataclass
class World:
    """A place with a completed `hello`, a completed `noop` of three units, and a `noop` whose second unit failed."""

    cli: Place
    hello: str
    noop: str
    failed: str
    ends: dict[str, Done]

    def dir(self, run: str) -> Path:
        return self.cli.store / "runs" / run[:2] / run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = Place(tmp_path_factory.mktemp("world"))
    (place.root / "home").mkdir()
    (place.root / "config.toml").write_text("workflows = ['workflows']\n")
    starts = {
        "hello": [
            "run",
            "hello",
            "--param",
            "who=Ada $(x) {y}",
            "--name",
            "first",
            "--tag",
            "kept",
            "--json",
        ],
        "noop": ["run", "noop", "--units", "3", "--group-size", "2", "--json"],
        "failed": [
            "--json",
            "run",
            "noop",
            "--units",
            "3",
            "--fail-unit",
            "2",
            "--exit-code",
            "7",
            "--name",
            "broken",
        ],
    }
    running = {
        name: subprocess.Popen(
            [COMMAND, *words],
            env={**os.environ, **place.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, words in starts.items()
    }
    ends = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=300)
        ends[name] = Done(process.returncode, out, err)
    ids = {name: str(json.loads(end.out)["run"]) for name, end in ends.items()}
    return World(place, ends=ends, **ids)


class Terminal:
    """A command on a terminal of its own: stdin and stderr are the terminal, stdout is kept apart."""

    def __init__(self, place: Place, *args: object, term: str = "dumb", **more: Any) -> None:
        self._master, slave = pty.openpty()
        self.seen = ""
        self._process = subprocess.Popen(
            [COMMAND, *map(str, args)],
            env={**os.environ, **place.environment, "TERM": term},
            stdin=slave,
            stderr=slave,
            stdout=subprocess.PIPE,
            text=True,
            cwd=place.root,
            **more,
        )
        os.close(slave)

    def expect(self, text: str, timeout: float = 60) -> None:
        until = time.monotonic() + timeout
        while text not in self.seen:
            assert time.monotonic() < until, f"{text!r} was not shown: {self.seen!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self._master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        assert text in self.seen, self.seen

    def type(self, text: str) -> None:
        os.write(self._master, (text + "\n").encode())

    def end(self) -> Done:
        until = time.monotonic() + 120
        while time.monotonic() < until:  # the terminal is read until the command has closed it
            try:
                if select.select([self._master], [], [], 0.2)[0]:
                    self.seen += os.read(self._master, 65536).decode("utf-8", "replace")
                elif self._process.poll() is not None:
                    break
            except OSError:
                break
        out, _ = self._process.communicate(timeout=300)
        os.close(self._master)
        return Done(self._process.returncode, out, self.seen)


@pytest.fixture(scope="session")
def terminal() -> type[Terminal]:
    return Terminal
