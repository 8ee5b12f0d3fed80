"""Backends: where a run can go. One module a kind, found by the entry point group ``esap_wf.backends``.

A profile (``profiles/<name>/backend.yaml``, or ``[backends.NAME]`` in the configuration)
names a kind and its limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models import Model
from esap_wf.models.plan import Allocation


class Containers(Model, frozen=True, kw_only=True):
    """
    Runtimes that a place allows (none says: all), and what stands there for which image (docs/containers.md).
    """

    runtimes: list[Literal["apptainer", "podman", "docker", "udocker"]] = []
    map: dict[str, str] = {}


class Profile(Model, frozen=True, kw_only=True):
    """One place and its limits; None is what the place itself says."""

    schema_version: int = 1
    name: str = ""
    kind: str = "local"
    title: str = ""
    cores: int | None = None
    memory: int | float | str | None = None
    disk: int | float | str | None = None
    wall: int | float | str | None = None
    gpus: int = 0
    containers: Containers | None = None


class Capacity(Model, frozen=True, kw_only=True):
    """What a place has."""

    cores: int
    memory_bytes: int
    disk_bytes: int
    wall_seconds: int | None = None
    gpus: int = 0


class Backend(Protocol):
    """Everything that the plan asks of a kind of backend."""

    name: str
    title: str

    def capacity(self, profile: Profile, store: Path) -> Capacity:
        """What the place has, within the limits of its profile."""

    def reasons_against(self, capacity: Capacity, wanted: Allocation) -> list[str]:
        """Why a run of this size doesn't fit; empty if it does."""


def profiles(config: Config) -> dict[str, Profile]:
    """
    All profiles by name; the configuration's win.

    Raises
    ------
    UsageError
        A profile is broken.
    """
    from esap_wf.formats import schemas

    found = {"local": Profile(name="local", kind="local", title="this machine")}
    package = Path(__file__).parent.parent
    for root in (package.parent / "profiles", package / "bundled" / "profiles"):
        for file in sorted(root.glob("*/backend.yaml")) if root.is_dir() else ():
            found[file.parent.name] = _named(
                schemas.convert(documents.load(file), Profile, "backend profile"), file.parent.name
            )
    for name, table in config.backends.items():
        document = documents.Document(table, f"{config.source}: backends.{name}")
        found[name] = _named(schemas.convert(document, Profile, "backend profile"), name)
    return found


def _named(profile: Profile, name: str) -> Profile:
    import msgspec

    problems = []
    for key, read in (("memory", to_bytes), ("disk", to_bytes), ("wall", to_seconds)):
        value: Any = getattr(profile, key)
        try:
            if value is not None:
                read(value)
        except ValueError as error:
            problems.append(Problem(f"backend {name}: {key}", str(error)))
    if problems:
        raise UsageError("a backend profile is not valid", problems)
    return msgspec.structs.replace(profile, name=name)
