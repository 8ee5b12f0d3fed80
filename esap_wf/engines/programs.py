"""Finding an engine's program and its version, without starting it where that can be avoided."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf.config import Config
from esap_wf.engines import EngineBase, Installable
from esap_wf.errors import Problem, UsageError
from esap_wf.models.plan import EngineChoice
from esap_wf.software import environments

if TYPE_CHECKING:
    from esap_wf.backends.places import Place

REQUIREMENTS = Path(__file__).parent / "requirements"


def candidates(
    program: str, engine: str, config: Config, pins: Path | None = None
) -> Iterator[tuple[Path, str]]:
    """
    Places of a program in order: configured, own environment, PATH, installed from its pins by `engines
    install`.

    Raises
    ------
    UsageError
        The configured path is not there: never replaced silently by another.
    """
    configured = config.engines.get(engine, {}).get("path")
    if configured:
        path = Path(str(configured)).expanduser()
        if not path.is_file():
            raise UsageError(
                "a configured engine is missing",
                [Problem(f"{config.source}: engines.{engine}.path", f"there is no file {path}")],
            )
        yield path, "configured"
        return
    own = Path(sys.prefix) / "bin" / program
    if own.is_file():
        yield own, "own environment"
    seen = {own}
    for folder in os.get_exec_path():  # the first may not fit
        on_path = shutil.which(program, path=folder) if folder else None
        if on_path and (path := Path(on_path).absolute()) not in seen:
            seen.add(path)
            yield path, "PATH"
    if pins is not None:
        environment = environments.location(pins, config.cache)
        if environments.is_ready(environment):
            yield environment / "bin" / program, "engines install"


def version(program: Path, distribution: str) -> str | None:
    """Version from the metadata beside the program; else what ``--version`` prints."""
    found = environments.distributions(program).get(distribution)
    if found:
        return found
    with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        return done.stdout.strip().split()[-1]
    return None


def choices(engine: EngineBase, config: Config) -> Iterator[EngineChoice]:
    """Every candidate that says its version, see `EngineBase.installations`."""
    for path, how in candidates(engine.program, engine.name, config, engine.pins):
        there = version(path, engine.package)
        if there is not None:
            yield EngineChoice(name=engine.name, path=str(path), version=there, found=how)


def incompatibility(version: str, *requires: str | None) -> str:
    """Why a version doesn't keep the specifiers (PEP 440) of a workflow and a plug-in; empty if it does."""
    wanted = ",".join(filter(None, requires))
    if wanted:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        from packaging.version import InvalidVersion

        with contextlib.suppress(InvalidSpecifier, InvalidVersion):
            if not SpecifierSet(wanted).contains(version, prereleases=True):
                return f"{wanted} is needed"
    return ""


@dataclass(frozen=True)
class Found:
    """
    What looking for an engine has found.

    Parameters
    ----------
    choice : EngineChoice or None
        The first candidate that fits.
    refused : list of str
        Which others are there, and why they don't.
    objections : list of Problem
        Of the first that was refused for what the pipeline needs.
    objector : EngineChoice or None
        That one.
    """

    choice: EngineChoice | None
    refused: list[str]
    objections: list[Problem] = field(default_factory=list)
    objector: EngineChoice | None = None


def first_suitable(
    engine: EngineBase,
    config: Config,
    requires: str | None,
    against: Callable[[EngineChoice], Sequence[Problem]] = lambda _: (),
    place: Place | None = None,
) -> Found:
    """
    The first candidate of an engine that fits.

    Parameters
    ----------
    engine : EngineBase
    config : Config
    requires : str or None
        Its version, in its own words.
    against : callable, optional
        What a pipeline needs and one candidate can't do: another one may.
    place : Place, optional
        Where it is to be, if that is elsewhere.

    Raises
    ------
    RefusedError
        What the place's profile names can't be used.
    """
    found = Found(None, [])
    for choice in _there(engine, config, place) if place else engine.installations(config):
        who = f"{engine.title} {choice.version} at {choice.path} ({choice.found})"
        if why := engine.why_unsuitable(choice, requires):
            found.refused.append(f"{who}: {why}")
            continue
        problems = list(against(choice))
        if not problems:
            return replace(found, choice=choice)
        found.refused.append(f"{who}: {problems[0].what}")
        found = found if found.objector else replace(found, objections=problems, objector=choice)
    return found


def _there(engine: EngineBase, config: Config, place: Place) -> Iterator[EngineChoice]:
    from esap_wf.engines import elsewhere

    return elsewhere.choices(engine, config, place)


def advice(engine: EngineBase, requires: str | None) -> str:
    """How to get an engine that fits: `engines install` is only named if what it gives does."""
    given = engine.installable(requires)
    if given is None or given.fits:
        return engine.how_to_install()
    return (
        f"put one that fits on PATH, or name it in the configuration: [engines.{engine.name}] path "
        f"(esap-wf engines install {engine.name} gives {given.version}, which does not fit)"
    )


def pinned(engine: EngineBase, requires: str | None) -> Installable | None:
    """What the pins of an engine that is a Python package give, see `EngineBase.installable`."""
    version = environments.pins(engine.pins).get(engine.package) if engine.pins else None
    return Installable(version, not incompatibility(version, requires, engine.needs)) if version else None
