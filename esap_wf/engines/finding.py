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


def find(program: str, engine: str, distribution: str, config: Config, requires: str | None) -> EngineChoice | None:
    """
    The first candidate whose version fits.

    Parameters
    ----------
    program, engine, distribution : str
        Name of the executable, of the engine, of its package.
    config : Config
    requires : str, optional
        Version specifier (PEP 440) of the workflow.
    """
    for path, how in candidates(program, engine, config):
        there = version(path, distribution)
        if there is None:
            continue
        if requires:
            from packaging.specifiers import InvalidSpecifier, SpecifierSet
            from packaging.version import InvalidVersion

            with contextlib.suppress(InvalidSpecifier, InvalidVersion):
                if not SpecifierSet(requires).contains(there, prereleases=True):
                    continue
        return EngineChoice(name=engine, path=str(path), version=there, found=how)
    return None
