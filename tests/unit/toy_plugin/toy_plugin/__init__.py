"""The engine of docs/engine-tutorial.md under other names, a backend, and plug-ins that are broken: the tests install it into a folder."""

from __future__ import annotations

from pathlib import Path

from miniflow.plugin import Miniflow

from esap_wf.backends import BackendBase, Capacity, Launcher, OutageError, Profile, Survey
from esap_wf.engines import Cursor, EngineBase, EventSource, Job, Rendered, Results
from esap_wf.models.plan import EngineChoice


class Engine(Miniflow):
    """With a name of its own, and the default way of stopping."""

    name = "toy"
    title = "Toy"
    stop_signal = EngineBase.stop_signal


class Telling(Engine):
    """Names its results itself."""

    name = "telling"

    def results(self, run: Path, epoch: int) -> Results:
        return Results(
            {"tree": "work/tree", "pair": ["outputs/result.txt", None]}, {"answer": 42, "none": None}
        )


class Unfinished(EngineBase):
    """Has nothing but its names."""

    contract = 1
    name = "unfinished"
    title = "Unfinished"


class Unversioned(EngineBase):
    """Doesn't say which contract it keeps."""

    name = "unversioned"
    title = "Unversioned"

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        return Rendered(["true"])

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        raise NotImplementedError


class Newer(Unversioned):
    """Of a contract that is still to come."""

    contract = 99
    name = "newer"


class Outdated(Engine):
    """Says that it keeps the contract, and doesn't."""

    name = "outdated"
    runtimes = None  # type: ignore[assignment]
    how_to_install = "by post"  # type: ignore[assignment]

    def events(self, run: Path) -> None:  # type: ignore[override]
        pass

    def results(self, run: Path) -> None:  # type: ignore[override]
        pass


class Early:
    """As plug-ins were before there was a base class."""

    name = "early"
    title = "Early"
    runtimes = ""

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], dict[str, str]]:
        return [], {}

    def survivors(self, run: Path) -> list[int]:
        return []


class Raising(Engine):
    """Can't be made."""

    def __init__(self) -> None:
        raise RuntimeError("its licence server is away")


class Cupboard(BackendBase):
    """A backend with one core, whose door is closed."""

    contract = 1
    name = "cupboard"
    title = "a cupboard"

    def survey(self, profile: Profile, cache: Path) -> Survey:
        raise OutageError("the door is closed")

    def capacity(self, profile: Profile, store: Path, survey: Survey | None) -> Capacity:
        return Capacity(cores=1, memory_bytes=10**9, disk_bytes=10**9)

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        raise OutageError("the door is closed")
