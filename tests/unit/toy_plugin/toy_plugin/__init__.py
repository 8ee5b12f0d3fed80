"""A package with an engine and a backend, and some that are broken: tests put this folder on the path, nothing is installed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esap_wf.backends import Capacity, Profile
from esap_wf.engines import Job, Rendered, Told, settings
from esap_wf.errors import Problem
from esap_wf.models.plan import Allocation, EngineChoice
from esap_wf.models.run import Failure


class Silent:
    """Tells nothing of what happens."""

    def read(self) -> list[Any]:
        return []


class Engine:
    """Runs a workflow that is one Python file, which gets the configuration's path."""

    name = "toy"
    title = "Toy"
    runtimes = ""

    def candidates(self, config: Any) -> list[EngineChoice]:
        return [EngineChoice(name="toy", path=sys.executable, version="1.0", found="always there")]

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        return ""

    def install(self, config: Any) -> Path:
        return Path(sys.executable)

    def interface(self, path: Path, item: str | None) -> None:
        return None

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        return []

    def how_to_get(self) -> str:
        return "it is always there"

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        return Rendered([choice.path, job.entry, "config.json", *job.options], {"config.json": settings.as_json(settings.house(job))})

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        return [], {}

    def events(self, run: Path, epoch: int, told: Told = None) -> Silent:
        return Silent()

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        return signal.SIGTERM, True

    def survivors(self, run: Path) -> list[int]:
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        return []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        return []


class Unfinished:
    name = "unfinished"
    title = "Unfinished"


class Outdated(Engine):
    """Of another version of the contract."""

    name = "outdated"
    how_to_get = "by post"  # type: ignore[assignment]

    def events(self, run: Path) -> Silent:  # type: ignore[override]
        return Silent()


class Raising:
    def __init__(self) -> None:
        raise RuntimeError("its licence server is away")


class Cupboard:
    """A backend with one core."""

    name = "cupboard"
    title = "a cupboard"

    def capacity(self, profile: Profile, store: Path) -> Capacity:
        return Capacity(cores=1, memory_bytes=10**9, disk_bytes=10**9)

    def reasons_against(self, capacity: Capacity, wanted: Allocation) -> list[str]:
        return ["the door is closed"] if wanted.cores > 1 else []
