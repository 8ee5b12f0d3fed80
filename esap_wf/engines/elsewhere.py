"""
Where an engine is at a place elsewhere: what the place's profile names, else what the place has said.

Nothing of this machine is looked at, but for an environment that is packed here to be sent there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from esap_wf import files
from esap_wf.backends.places import Place
from esap_wf.config import Config
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError, Problem, RefusedError
from esap_wf.models.place import EngineThere
from esap_wf.models.plan import EngineChoice
from esap_wf.software.environments import canonical
from esap_wf.software.packed import ELSEWHERE, short_digest

#: Commands beside the engine itself that engines ask for.
TELLING = frozenset(
    {"bash", "python", "python3", "node", "nodejs", "java", "jupyter-nbconvert", "jupyter", "git"}
)
_METADATA = re.compile(r"(?:\./)?lib/python3[^/]*/site-packages/([^/]+)-([^/-]+)\.dist-info/")
_PROGRAM = re.compile(r"(?:\./)?bin/([^/]+)")


@dataclass(frozen=True)
class Packed:
    """
    A packed environment.

    Parameters
    ----------
    archive : Path
        On this machine.
    digest : str
        The beginning of the archive's SHA-256.
    packages : dict
        Distributions in it.
    programs : frozenset of str
        What is in its ``bin``.
    """

    archive: Path
    digest: str
    packages: dict[str, str]
    programs: frozenset[str]

    @property
    def folder(self) -> str:
        """Where it is unpacked, in a command that is sent to a place."""
        return f"{ELSEWHERE}/{self.digest}"


def choices(engine: EngineBase, config: Config, place: Place) -> Iterator[EngineChoice]:
    """
    Where an engine is at a place: one that the profile names is never replaced by another.

    Raises
    ------
    RefusedError
        What the profile names can't be used.
    """
    named = place.profile.engines.get(engine.name)
    if named is not None:
        yield _named(engine, named, config, place)
        return
    found = place.survey.engines.get(engine.name) if place.survey else None
    if found is not None:
        yield EngineChoice(
            name=engine.name,
            path=found.path,
            version=found.version,
            found=place.name,
            place=place.name,
            programs=_programs(place),
            packages=_packages(place, found.path),
        )


def _named(engine: EngineBase, named: EngineThere, config: Config, place: Place) -> EngineChoice:
    where = f"profile of {place.name}: engines.{engine.name}"
    if named.image is not None:
        from esap_wf.engines import imaged

        return imaged.choice(engine, named.image, named.version, place)
    said = place.survey.engines.get(engine.name) if place.survey else None
    if named.path is not None:
        version = named.version or (said.version if said and said.path == named.path else "")
        packages, programs, path = _packages(place, named.path), _programs(place), named.path
    else:
        packed = read(archive_of(named, config), config.cache, f"{where}.environment")
        if engine.program and engine.program not in packed.programs:
            what = f"{packed.archive} has no bin/{engine.program}"
            raise RefusedError(f"{engine.title} can't be used there", [Problem(f"{where}.environment", what)])
        packages = packed.packages
        version = named.version or packages.get(canonical(engine.package), "") if engine.package else ""
        version = version or named.version
        path = f"{packed.folder}/bin/{engine.program or engine.name}"
        programs = sorted({*_programs(place), *(packed.programs & TELLING)})
    if not version:
        hint = f"say it in the profile: engines.{engine.name}.version, or esap-wf backends check {place.name}"
        raise RefusedError(
            f"{engine.title} can't be used there", [Problem(where, "its version is not known", hint)]
        )
    return EngineChoice(
        name=engine.name,
        path=path,
        version=version,
        found=f"profile of {place.name}",
        place=place.name,
        programs=programs,
        packages=packages,
    )


def packed(engine: EngineBase, choice: EngineChoice, config: Config, place: Place) -> Packed | None:
    """The packed environment that an engine is chosen from; None if it isn't."""
    named = place.profile.engines.get(engine.name)
    if named is None or named.environment is None or not choice.path.startswith(f"{ELSEWHERE}/"):
        return None
    where = f"profile of {place.name}: engines.{engine.name}.environment"
    return read(archive_of(named, config), config.cache, where)


def archive_of(named: EngineThere, config: Config) -> Path:
    """The archive of a packed environment; a relative path is taken from the configuration's folder."""
    path = Path(named.environment or "")
    with contextlib.suppress(RuntimeError):  # ~nobody
        path = path.expanduser()
    return (config.source.parent / path).absolute()


def read(archive: Path, cache: Path, where: str) -> Packed:
    """
    What is in a packed environment; remembered by its checksum.

    Raises
    ------
    RefusedError
        It isn't there, or is none.
    """
    try:
        digest = short_digest(archive, cache)
    except EsapError as error:
        problems = [Problem(where, f"{p.where}: {p.what}", p.hint) for p in error.problems]
        raise RefusedError(error.message, problems or [Problem(where, error.message)]) from None
    memory = cache / "places" / "environments" / f"{digest}.json"
    try:
        kept = json.loads(memory.read_bytes())
        return Packed(archive, digest, dict(kept["packages"]), frozenset(kept["programs"]))
    except (OSError, ValueError, TypeError, KeyError):
        pass
    packages: dict[str, str] = {}
    programs: set[str] = set()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if found := _METADATA.match(member.name + ("/" if member.isdir() else "")):
                    packages[canonical(found[1])] = found[2]
                elif found := _PROGRAM.fullmatch(member.name):
                    programs.add(found[1])
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        what = f"{archive} is no archive that can be read: {error}"
        raise RefusedError("an environment can't be read", [Problem(where, what)]) from None
    data = json.dumps({"packages": packages, "programs": sorted(programs)}).encode()
    with contextlib.suppress(OSError, EsapError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(memory, data, sync=False)
    return Packed(archive, digest, packages, frozenset(programs))


def _programs(place: Place) -> list[str]:
    return sorted(TELLING & place.survey.programs.keys()) if place.survey else []


def _packages(place: Place, program: str) -> dict[str, str]:
    """Distributions of the Python beside a program, if the place has told of that one."""
    if place.survey is None:
        return {}
    first = place.survey.programs.get("python") or place.survey.programs.get("python3")
    if first is None or PurePosixPath(first).parent != PurePosixPath(os.path.normpath(program)).parent:
        return {}
    return {canonical(name): version for name, version in sorted(place.survey.python.items())}
