"""A kind of place that is elsewhere and answers as a test says: for plans, which start nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from esap_wf.backends import BackendBase, Found, Launcher, NeedsPersonError, Profile, Survey
from esap_wf.models import Model
from esap_wf.models.run import now


class Settings(Model, frozen=True, kw_only=True):
    """Keys of its profiles."""

    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 22


def survey(**what: Any) -> Survey:
    """A machine of four cores with a Snakemake, unless a test says otherwise."""
    usual: dict[str, Any] = {
        "asked": now(),
        "cores": 4,
        "memory_bytes": 16 * 10**9,
        "disk_bytes": 10**12,
        "programs": {"bash": "/usr/bin/bash", "python3": "/opt/there/bin/python3"},
        "engines": {"snakemake": Found(path="/opt/there/bin/snakemake", version="9.5.1")},
        "python": {"snakemake": "9.5.1", "snakemake-interface-logger-plugins": "1.2.4"},
    }
    return Survey(**{**usual, **what})


class Shed(BackendBase):
    """Says what `answer` gives."""

    contract = 1
    name = "shed"
    title = "a shed"
    settings = Settings
    answer: ClassVar[Callable[[], Any]] = survey
    asked: ClassVar[list[str]] = []

    def survey(self, profile: Profile, cache: Path) -> Survey:
        self.asked.append(profile.name)
        found: Survey = type(self).answer()
        return found

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        raise NeedsPersonError("nothing is started in a shed")


class Collapsed(BackendBase):
    """Raises whatever it is asked."""

    contract = 1
    name = "collapsed"
    title = "a ruin"
    shares_store = True

    @property
    def settings(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no roof")

    def survey(self, profile: Profile, cache: Path) -> Survey:
        raise RuntimeError("no walls")

    def capacity(self, profile: Profile, store: Path, survey: Survey | None) -> Any:
        raise RuntimeError("no floor")

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        raise RuntimeError("no door")
