"""Plug-ins by entry points; their contract is checked when they load, and a broken one doesn't hurt the rest.

Imported by plan, launch, doctor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.schemas import closest

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
    from importlib.metadata import entry_points

    usable: dict[str, Any] = {}
    broken: list[Broken] = []
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        try:
            plugin = point.load()()
        except Exception as error:  # a plug-in may raise anything
            broken.append(Broken(point.name, f"{point.value} can't be loaded: {type(error).__name__}: {error}"))
            continue
        absent = [a for a in CONTRACTS[group] if not hasattr(plugin, a)]
        if absent:
            broken.append(
                Broken(point.name, f"{point.value} lacks {', '.join(absent)}; a plug-in of {group} has {', '.join(CONTRACTS[group])}")
            )
        elif plugin.name != point.name:
            broken.append(Broken(point.name, f"{point.value} calls itself {plugin.name!r}, its entry point {point.name!r}"))
        else:
            usable[point.name] = plugin
    return usable, broken


def one(group: str, name: str) -> Any:
    """
    The plug-in of a name.

    Raises
    ------
    UsageError
        There is none.
    UnavailableError
        It is installed, but broken.
    """
    from importlib.metadata import entry_points

    kind = group.rsplit(".", 1)[1].removesuffix("s")
    if not any(p.name == name for p in entry_points(group=group)):
        known = sorted(p.name for p in entry_points(group=group))
        raise UsageError(
            f"there is no {kind} {name!r}",
            [Problem(f"--{kind}", f"unknown {kind} {name!r}", closest(name, known) or f"there are: {', '.join(known)}")],
        )
    usable, broken = load(group)
    if name not in usable:
        why = next(b.why for b in broken if b.name == name)
        raise UnavailableError(f"the {kind} {name!r} is broken", [Problem(name, why)])
    return usable[name]
