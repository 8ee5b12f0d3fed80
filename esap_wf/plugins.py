"""Plug-ins by entry points; their contract is checked when they load, and a broken one doesn't hurt the rest.

Imported by plan, launch, doctor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.schemas import closest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Entry point group → attributes that a plug-in must have.
CONTRACTS: dict[str, tuple[str, ...]] = {
    "esap_wf.engines": ("name", "title", "find", "how_to_get", "command", "supervised", "events", "stop_signal", "before_resume"),
    "esap_wf.backends": ("name", "title", "capacity", "reasons_against"),
}


@dataclass(frozen=True)
class Broken:
    """A plug-in that can't be used, and why."""

    name: str
    why: str


def _points(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points  # reads the metadata of everything that is installed: once a call

    return sorted(entry_points(group=group), key=lambda point: point.name)


def _checked(group: str, point: EntryPoint) -> Any:
    """The plug-in of an entry point, or a `Broken`."""
    try:
        plugin = point.load()()
    except Exception as error:  # a plug-in may raise anything
        return Broken(point.name, f"{point.value} can't be loaded: {type(error).__name__}: {error}")
    absent = [a for a in CONTRACTS[group] if not hasattr(plugin, a)]
    if absent:
        return Broken(point.name, f"{point.value} lacks {', '.join(absent)}; a plug-in of {group} has {', '.join(CONTRACTS[group])}")
    if plugin.name != point.name:
        return Broken(point.name, f"{point.value} calls itself {plugin.name!r}, its entry point {point.name!r}")
    return plugin


def load(group: str) -> tuple[dict[str, Any], list[Broken]]:
    """
    All plug-ins of a group.

    Returns
    -------
    usable : dict
        Name → instance.
    broken : list of Broken
        What was found and what was expected.
    """
    found = [_checked(group, point) for point in _points(group)]
    return {p.name: p for p in found if not isinstance(p, Broken)}, [p for p in found if isinstance(p, Broken)]


def one(group: str, name: str) -> Any:
    """
    The plug-in of a name; the others are not loaded.

    Raises
    ------
    UsageError
        There is none.
    UnavailableError
        It is installed, but broken.
    """
    kind = group.rsplit(".", 1)[1].removesuffix("s")
    points = {point.name: point for point in _points(group)}
    if name not in points:
        raise UsageError(
            f"there is no {kind} {name!r}",
            [Problem(f"--{kind}", f"unknown {kind} {name!r}", closest(name, points) or f"there are: {', '.join(points)}")],
        )
    plugin = _checked(group, points[name])
    if isinstance(plugin, Broken):
        raise UnavailableError(f"the {kind} {name!r} is broken", [Problem(name, plugin.why)])
    return plugin
