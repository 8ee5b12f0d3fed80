"""Plug-ins: those that come with esap-wf, and others by entry points. Their contract is checked when they
load, and a broken one doesn't hurt the rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.formats.quantities import human_count
from esap_wf.formats.schemas import closest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Entry point group → the class that says what a plug-in has: attributes without a value, and methods. A
#: module that has a version of its contract calls it ``CONTRACT``.
CONTRACTS = {
    "esap_wf.engines": "esap_wf.engines.base:EngineBase",
    "esap_wf.backends": "esap_wf.backends.base:BackendBase",
    "esap_wf.datalakes": "esap_wf.datalakes.base:LakeBase",
    "esap_wf.tasks": "esap_wf.tasks:Task",
}
#: Group → what comes with esap-wf. Known without entry points: these are read from the metadata of everything
#: that is installed, which would take each command and each supervisor a tenth of its time.
BUILT_IN: dict[str, dict[str, str]] = {
    "esap_wf.engines": {
        "snakemake": "esap_wf.engines.snakemake.engine:Snakemake",
        "nextflow": "esap_wf.engines.nextflow.engine:Nextflow",
        "cwl": "esap_wf.engines.cwl.engine:Cwltool",
        "toil": "esap_wf.engines.cwl.toil:Toil",
        "command": "esap_wf.engines.command.engine:Command",
        "notebook": "esap_wf.engines.command.notebook:Notebook",
    },
    "esap_wf.backends": {
        "local": "esap_wf.backends.local:Local",
        "slurm": "esap_wf.backends.slurm:Slurm",
        "ssh": "esap_wf.backends.ssh:Ssh",
    },
    "esap_wf.datalakes": {"directory": "esap_wf.datalakes.directory:Directory"},
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

    return sorted(
        (p for p in entry_points(group=group) if p.name not in BUILT_IN[group]), key=lambda p: p.name
    )


def _built_in(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _checked(group: str, name: str, target: str, load: Callable[[], Any], foreign: bool) -> Any:
    """
    A plug-in, or a `Broken`. What comes with esap-wf is checked by its tests, which spares each start the
    reading of signatures.
    """
    try:
        kind = load()
        wrong = _against_class(group, kind) if foreign else []
        plugin = None if wrong else kind()
        wrong = wrong or (check(group, plugin) if foreign else [])
    except Exception as error:  # a plug-in may raise anything
        return Broken(name, f"{target} can't be loaded: {type(error).__name__}: {error}")
    if plugin is None or wrong:
        return Broken(name, f"{target} does not keep the contract of {group}: {'; '.join(wrong)}")
    if plugin.name != name:
        return Broken(name, f"{target} calls itself {plugin.name!r}, its entry point {name!r}")
    return plugin


def check(group: str, plugin: Any) -> list[str]:
    """What of the contract of its group a plug-in doesn't keep; empty if it keeps all."""
    if wrong := _against_class(group, type(plugin)):
        return wrong
    texts, methods = _asked(_built_in(CONTRACTS[group]))
    wrong = (
        [f"it lacks {', '.join(absent)}"]
        if (absent := [a for a in (*texts, *methods) if not hasattr(plugin, a)])
        else []
    )
    wrong += [
        f"{a} is not a string" for a in texts if a not in absent and not isinstance(getattr(plugin, a), str)
    ]
    return wrong + [
        why
        for a, count in methods.items()
        if a not in absent and (why := _uncallable(a, getattr(plugin, a), count))
    ]


def _against_class(group: str, kind: Any) -> list[str]:
    """
    What can be told before there is an instance; the version first, because with another one the rest means
    nothing.
    """
    base = _built_in(CONTRACTS[group])
    version = getattr(importlib.import_module(base.__module__), "CONTRACT", None)
    if version is not None and (why := _other_version(base, version, kind)):
        return [why]
    unwritten = sorted(getattr(kind, "__abstractmethods__", ()))
    return [f"it lacks {', '.join(unwritten)}"] if unwritten else []


def _other_version(base: type, version: int, kind: Any) -> str:
    """Why a plug-in is written for another version of a contract; empty if it isn't."""
    from esap_wf import __version__

    what, named = f"contract {version} of esap-wf {__version__}", getattr(kind, "contract", None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        older = (
            f"it is written for an older contract than {version}: its class is to derive from "
            f"{base.__module__.removesuffix('.base')}"
        )
        return (
            f"{older}.{base.__name__} and to say `contract = {version}`; docs/engines.md says what has "
            "changed"
        )
    if not isinstance(named, int):
        return (
            f"it doesn't say which contract it is written for; `contract = {version}` in its class "
            f"means {what}"
        )
    if named > version:
        return (
            f"it is written for contract {named}, newer than {what}: take a newer esap-wf, or an older "
            "release of the plug-in"
        )
    if named < version:
        return f"it is written for contract {named}, older than {what}: take a newer release of the plug-in"
    return ""


def _asked(base: type) -> tuple[list[str], dict[str, int]]:
    """
    Texts that a plug-in must have, and its methods with the number of arguments that they are called with.
    """
    import inspect

    texts = [name for name, kind in inspect.get_annotations(base).items() if kind in ("str", str)]
    methods = {n: m for n, m in vars(base).items() if inspect.isfunction(m) and not n.startswith("_")}
    return texts, {n: len(inspect.signature(m).parameters) - 1 for n, m in methods.items()}


def _uncallable(name: str, value: Any, count: int) -> str:
    """Why a method can't be called as esap-wf calls it; empty if it can."""
    import inspect

    if not callable(value):
        return f"{name} is not a method"
    try:
        inspect.signature(value).bind(*range(count))
    except TypeError:
        return f"{name} does not take {human_count(count, 'argument')}"
    except ValueError:  # of a compiled one nothing is known
        pass
    return ""


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
    found = [
        _checked(group, n, target, partial(_built_in, target), False)
        for n, target in own.items()
        if wanted is None or n in wanted
    ]
    if wanted is None or not own.keys() >= set(wanted):
        found += [
            _checked(group, p.name, p.value, p.load, True)
            for p in _installed(group)
            if wanted is None or p.name in wanted
        ]
    return {p.name: p for p in found if not isinstance(p, Broken)}, [
        p for p in found if isinstance(p, Broken)
    ]


def names(group: str) -> list[str]:
    """What a group has, whether it can be used or not."""
    return sorted({*BUILT_IN[group], *(p.name for p in _installed(group))})


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
    known = names(group)
    raise UsageError(
        f"there is no {kind} {name!r}",
        [
            Problem(
                f"--{kind}", f"unknown {kind} {name!r}", closest(name, known) or f"known: {', '.join(known)}"
            )
        ],
    )
