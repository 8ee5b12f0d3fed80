"""Finding an engine's program and its version, without starting it where that can be avoided.

Imported by the engine modules.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from esap_wf import environments
from esap_wf.config import Config
from esap_wf.engines import Engine
from esap_wf.errors import Problem, UsageError
from esap_wf.models.plan import EngineChoice

REQUIREMENTS = Path(__file__).parent / "requirements"


def candidates(program: str, engine: str, config: Config) -> Iterator[tuple[Path, str]]:
    """
    Places of a program in order: configured, own environment, PATH, installed by `engines install`.

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
                "a configured engine is missing", [Problem(f"{config.source}: engines.{engine}.path", f"there is no file {path}")]
            )
        yield path, "configured"
        return
    own = Path(sys.prefix) / "bin" / program
    if own.is_file():
        yield own, "own environment"
    on_path = shutil.which(program)
    if on_path and Path(on_path).absolute() != own:
        yield Path(on_path).absolute(), "PATH"
    requirements = REQUIREMENTS / f"{engine}.txt"
    if requirements.is_file():
        environment = environments.location(requirements, config.cache)
        if environments.is_ready(environment):
            yield environment / "bin" / program, "engines install"


def version(program: Path, distribution: str) -> str | None:
    """Version from the metadata beside the program; else what ``--version`` prints."""
    found = environments.distributions(program).get(distribution)
    if found:
        return found
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=True)
        return done.stdout.strip().split()[-1]
    return None


def choices(program: str, engine: str, distribution: str, config: Config) -> Iterator[EngineChoice]:
    """
    Every candidate that says its version.

    Parameters
    ----------
    program, engine, distribution : str
        Name of the executable, of the engine, of its package.
    config : Config
    """
    for path, how in candidates(program, engine, config):
        there = version(path, distribution)
        if there is not None:
            yield EngineChoice(name=engine, path=str(path), version=there, found=how)


def misfit(version: str, *requires: str | None) -> str:
    """Why a version doesn't keep the specifiers (PEP 440) of a workflow and a plug-in; empty if it does."""
    wanted = ",".join(filter(None, requires))
    if wanted:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        from packaging.version import InvalidVersion

        with contextlib.suppress(InvalidSpecifier, InvalidVersion):
            if not SpecifierSet(wanted).contains(version, prereleases=True):
                return f"{wanted} is needed"
    return ""


def install(engine: str, config: Config) -> Path:
    """Build the environment of an engine that is a Python package, from the pins that come with esap-wf."""
    return environments.build(REQUIREMENTS / f"{engine}.txt", config.cache)


def first(engine: Engine, config: Config, requires: str | None) -> tuple[EngineChoice | None, list[str]]:
    """
    The first candidate of an engine that fits.

    Returns
    -------
    choice : EngineChoice or None
    refused : list of str
        Which others are there, and why they don't fit.
    """
    refused: list[str] = []
    for choice in engine.candidates(config):
        against = engine.misfit(choice, requires)
        if not against:
            return choice, refused
        refused.append(f"{engine.title} {choice.version} at {choice.path} ({choice.found}): {against}")
    return None, refused
