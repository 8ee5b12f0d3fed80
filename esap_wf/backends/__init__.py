"""Places: where a run can go. One module a kind, found by the entry point group ``esap_wf.backends``; the
contract is docs/backends.md.

A profile (``profiles/<name>/backend.yaml``, or ``[backends.NAME]`` in the configuration) names a kind and its
limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esap_wf.backends.base import CONTRACT, BackendBase, NoSettings
from esap_wf.backends.launcher import (
    LONGEST_HANDLE,
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Signal,
    Usage,
)
from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.place import Capacity, Containers, Found, Profile, Survey

__all__ = [
    "CONTRACT",
    "LONGEST_HANDLE",
    "BackendBase",
    "Capacity",
    "Condition",
    "Containers",
    "Found",
    "Launcher",
    "NeedsPersonError",
    "NoSettings",
    "OutageError",
    "Part",
    "Piece",
    "Profile",
    "Refusal",
    "Seen",
    "Signal",
    "Survey",
    "Usage",
    "profiles",
]


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
    for key, read in (
        ("memory", to_bytes),
        ("disk", to_bytes),
        ("wall", to_seconds),
        ("bundle", to_bytes),
    ):
        value: Any = getattr(profile, key)
        try:
            if value is not None:
                read(value)
        except ValueError as error:
            problems.append(Problem(f"backend {name}: {key}", str(error)))
    if problems:
        raise UsageError("a backend profile is not valid", problems)
    return msgspec.structs.replace(profile, name=name)
