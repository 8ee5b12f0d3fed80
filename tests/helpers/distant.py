"""A kind of place that says what a file holds: what it is asked and answers can be set, and it may be away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf import plugins
from esap_wf.backends import BackendBase, Launcher, NeedsPersonError, OutageError, Profile, Survey
from esap_wf.errors import Problem
from esap_wf.models import Model

#: A survey of a place with one GPU.
ANSWER: dict[str, Any] = {
    "asked": "2026-11-26T20:00:00Z",
    "cores": 64,
    "free_cores": 12,
    "memory_bytes": 256 * 10**9,
    "disk_bytes": 10**13,
    "wall_seconds": 86400,
    "gpus": 1,
    "nodes": 4,
    "engines": {"snakemake": {"path": "/opt/snakemake/bin/snakemake", "version": "9.3.0"}},
    "runtimes": {"apptainer": {"path": "/usr/bin/apptainer", "version": "1.4.5"}},
    "programs": {"bash": "/bin/bash"},
    "system": "Linux 6.1, x86_64",
}


class Settings(Model, frozen=True, kw_only=True):
    answer: str


class Distant(BackendBase):
    """Its profile names the file; ``asked`` beside it has a line for each time it was asked."""

    contract = 1
    name = "distant"
    title = "a distant place"
    settings = Settings

    def survey(self, profile: Profile, cache: Path) -> Survey:
        file = Path(profile.settings["answer"])
        with file.with_name("asked").open("a") as asked:
            asked.write("asked\n")
        try:
            answer = json.loads(file.read_text())
        except FileNotFoundError:
            raise OutageError(
                f"{profile.name} can't be reached", [Problem(profile.name, "no route")]
            ) from None
        if "person" in answer:
            raise NeedsPersonError(
                "a person is needed", [Problem(profile.name, "its key is not known", answer["person"])]
            )
        if "bug" in answer:
            raise KeyError(answer["bug"])
        return msgspec.convert(answer, Survey)

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        raise OutageError("it starts nothing")


class Setting:
    """A distant place that is configured."""

    def __init__(self, root: Path, name: str = "far", more: str = "") -> None:
        self.name, self.file = name, root / f"{name}.json"
        self.file.write_text(json.dumps(ANSWER))
        with (root / "config.toml").open("a") as config:
            config.write(
                f"[backends.{name}]\nkind = 'distant'\ntitle = 'far away'\nanswer = '{self.file}'\n{more}\n"
            )

    def answers(self, **answer: object) -> None:
        self.file.write_text(json.dumps(answer))

    def times_asked(self) -> int:
        try:
            return len(self.file.with_name("asked").read_text().splitlines())
        except FileNotFoundError:
            return 0


def known(patch: pytest.MonkeyPatch) -> None:
    """Places of kind ``distant`` are known to this process."""
    patch.setitem(plugins.BUILT_IN["esap_wf.backends"], "distant", "helpers.distant:Distant")
