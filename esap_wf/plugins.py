"""Plug-ins: those that come with esap-wf, and others by entry points. Their contract is checked when they load, and a broken one doesn't
hurt the rest.

Imported by plan, launch, doctor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.schemas import closest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Entry point group → attributes that a plug-in must have; of a method the number of arguments that it is called with, None for a text.
CONTRACTS: dict[str, dict[str, int | None]] = {
    "esap_wf.engines": {
        "name": None, "title": None, "runtimes": None, "candidates": 1, "misfit": 2, "how_to_get": 0, "install": 1, "interface": 2,
        "objections": 3, "render": 2, "supervised": 3, "events": 3, "stop_signal": 1, "survivors": 1, "before_resume": 1, "explain": 3,
    },
    "esap_wf.backends": {"name": None, "title": None, "capacity": 2, "reasons_against": 2},
    "esap_wf.tasks": {"name": None, "title": None, "engine": None, "knows": 1, "interface": 2, "steps": 2},
}  # fmt: skip
#: Group → what comes with esap-wf. Known without entry points: these are read from the metadata of everything that is installed, which
#: would take each command and each supervisor a tenth of its time.
BUILT_IN: dict[str, dict[str, str]] = {
    "esap_wf.engines": {
        "snakemake": "esap_wf.engines.snakemake:Snakemake",
        "nextflow": "esap_wf.engines.nextflow:Nextflow",
        "cwl": "esap_wf.engines.cwl:Cwltool",
        "toil": "esap_wf.engines.toil:Toil",
        "command": "esap_wf.engines.command:Command",
        "notebook": "esap_wf.engines.notebook:Notebook",
    },
    "esap_wf.backends": {"local": "esap_wf.backends.local:Local"},
    "esap_wf.tasks": {
        "urn:esap-wf:task:pipeline-1.0": "esap_wf.tasks.pipeline:Pipeline",
        "https://www.purl.org/ivoa.net/EB/schema/v1.0/types/executable/jupyter-notebook-1.0": "esap_wf.tasks.notebook:Notebook",
        "https://www.purl.org/ivoa.net/EB/schema/v1.0/types/executable/docker-container-1.0": "esap_wf.tasks.container:Container",
        "urn:esap-wf:task:reana-serial-1.0": "esap_wf.tasks.serial:Serial",
    },
}


@dataclass(frozen=True)
class Broken:
    """A plug-in that can't be used, and why."""

    name: str
    why: str


def _installed(group: str) -> list[EntryPoint]:
    """Entry points of other packages; a name of `BUILT_IN` can't be taken by one."""
    from importlib.metadata import entry_points

    return sorted((p for p in entry_points(group=group) if p.name not in BUILT_IN[group]), key=lambda p: p.name)


def _built_in(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _checked(group: str, name: str, place: str, load: Callable[[], Any]) -> Any:
    """A plug-in, or a `Broken`."""
    try:
        plugin = load()()
    except Exception as error:  # a plug-in may raise anything
        return Broken(name, f"{place} can't be loaded: {type(error).__name__}: {error}")
    absent = [a for a in CONTRACTS[group] if not hasattr(plugin, a)]
    if absent:
        return Broken(name, f"{place} lacks {', '.join(absent)}; a plug-in of {group} has {', '.join(CONTRACTS[group])}")
    if place != BUILT_IN[group].get(name) and (wrong := _misfits(plugin, CONTRACTS[group])):
        return Broken(name, f"{place} does not keep the contract of {group}: {'; '.join(wrong)}")
    if plugin.name != name:
        return Broken(name, f"{place} calls itself {plugin.name!r}, its entry point {name!r}")
    return plugin


def _misfits(plugin: Any, contract: dict[str, int | None]) -> list[str]:
    """What is there, but can't be called as esap-wf calls it."""
    import inspect

    found = []
    for attribute, count in contract.items():
        value = getattr(plugin, attribute)
        if count is None:
            if not isinstance(value, str):
                found.append(f"{attribute} is no text")
        elif not callable(value):
            found.append(f"{attribute} is no method")
        else:
            try:
                inspect.signature(value).bind(*range(count))
            except TypeError:
                found.append(f"{attribute} takes no {count} arguments")
            except ValueError:  # of a compiled one nothing is known
                continue
    return found


def load(group: str, wanted: Collection[str] | None = None) -> tuple[dict[str, Any], list[Broken]]:
    """
    Plug-ins of a group.

    Parameters
    ----------
    group : str
    wanted : collection of str, optional
        Only these; the others are not loaded.

    Returns
    -------
    usable : dict
        Name → instance.
    broken : list of Broken
        What was found and what was expected.
    """
    own = BUILT_IN[group]
    found = [_checked(group, n, place, partial(_built_in, place)) for n, place in own.items() if wanted is None or n in wanted]
    if wanted is None or not own.keys() >= set(wanted):
        found += [_checked(group, p.name, p.value, p.load) for p in _installed(group) if wanted is None or p.name in wanted]
    return {p.name: p for p in found if not isinstance(p, Broken)}, [p for p in found if isinstance(p, Broken)]


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
    kind = group.rsplit(".", 1)[1].removesuffix("s")
    usable, broken = load(group, {name})
    if name in usable:
        return usable[name]
    if broken:
        raise UnavailableError(f"the {kind} {name!r} is broken", [Problem(name, broken[0].why)])
    known = sorted({*BUILT_IN[group], *(p.name for p in _installed(group))})
    raise UsageError(
        f"there is no {kind} {name!r}",
        [Problem(f"--{kind}", f"unknown {kind} {name!r}", closest(name, known) or f"there are: {', '.join(known)}")],
    )
