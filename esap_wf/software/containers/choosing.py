"""
Which image really, and by which runtime: the settings, the choice with its reasons, and making it ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.config import Config
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import digests, reading
from esap_wf.models.plan import ContainerChoice
from esap_wf.software import environments
from esap_wf.software.containers import archive, folder, runtime
from esap_wf.software.containers.apptainer import Apptainer
from esap_wf.software.containers.docker import Docker, Podman
from esap_wf.software.containers.image import ARCHIVE, FOLDER, NAME, ROOTFS, SIF, Image, parse
from esap_wf.software.containers.runtime import Command, Found, Runtime, Source, Task
from esap_wf.software.containers.udocker import Udocker

#: In the order in which they are tried, unless the configuration says another: no daemon and no root first,
#: the weakest last.
RUNTIMES: dict[str, Runtime] = {r.name: r for r in (Apptainer(), Podman(), Docker(), Udocker())}


@dataclass(frozen=True)
class Settings:
    """
    What a place allows.

    Parameters
    ----------
    runtimes : tuple of str
        Allowed ones, the preferred first.
    map : dict
        Name of an image → archive, SIF, folder or mirror.
    programs : dict
        Runtime → its program, where PATH doesn't have it.
    base : Path
        Folder of relative paths in `map`.
    """

    runtimes: tuple[str, ...] = tuple(RUNTIMES)
    map: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    base: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    The answer of `choose`.

    Parameters
    ----------
    choice : ContainerChoice, optional
        None if no runtime can start the image here.
    detail : str
        Image, digest, runtime and its version.
    ready : bool
        Nothing has to be loaded, built or pulled.
    reasons : tuple of str
        Why each runtime that was tried refuses.
    """

    choice: ContainerChoice | None
    detail: str = ""
    ready: bool = False
    reasons: tuple[str, ...] = ()


def settings(config: Config, runtimes: Sequence[str] = (), mapping: dict[str, str] | None = None) -> Settings:
    """
    Settings of the configuration, narrowed by those of a backend's profile.

    Parameters
    ----------
    config : Config
    runtimes : sequence of str
        Of the profile: none says nothing.
    mapping : dict, optional
        Of the profile: wins over the configuration's.
    """
    table = config.containers
    allowed = tuple(table.get("runtimes", RUNTIMES))
    if runtimes:
        allowed = tuple(r for r in runtimes if r in allowed)
    return Settings(
        allowed, {**table.get("map", {}), **(mapping or {})}, table.get("programs", {}), config.source.parent
    )


def resolve(image: Image, allowed: Settings, cache: Path) -> tuple[Source, str]:
    """
    What stands for an image here, and a remark on it.

    Raises
    ------
    UsageError
        A file that is named is missing, broken, or not the one whose digest is asked for.
    """
    asked, remark = image, ""
    if image.form == NAME:
        keys = (
            image.text,
            f"docker://{image.text}",
            image.full_name,
            f"{image.name}:{image.tag or 'latest'}",
            image.name,
        )
        mapped = next((allowed.map[k] for k in keys if k in allowed.map), None)
        if mapped is not None:
            image = parse(mapped, allowed.base)
            remark = f", mapped to {mapped}"
            if image.form == NAME and image.digest is None and asked.digest:
                image = parse(f"{image.name}@{asked.digest}")
    if image.form == NAME:
        ours = next((f for f in folder.own() if f.image.full_name == image.full_name), None)
        if ours is None:
            key = hashlib.sha256(image.full_name.encode()).hexdigest()
            return Source(
                asked.text, NAME, image.full_name, key, image.digest, pinned=image.digest is not None
            ), remark
        return _of_folder(asked, ours, cache), remark
    assert image.path is not None
    wanted = image.digest or asked.digest
    if image.form == FOLDER:
        return _of_folder(asked, folder.read(image.path), cache), remark
    if not image.path.exists():
        raise UsageError(
            "a container image is missing", [Problem(image.text, f"{image.path} does not exist")]
        )
    if image.form == ROOTFS:
        if not any((image.path / d).is_dir() for d in ("bin", "usr/bin")):
            raise UsageError(
                "a container image is not usable",
                [Problem(image.text, f"{image.path} is not a root file system: it has no bin")],
            )
        return Source(
            asked.text, ROOTFS, str(image.path), hashlib.sha256(str(image.path).encode()).hexdigest()
        ), remark
    if image.form == SIF:
        digest = _of_sif(image, cache)
        _same(image, wanted, [digest] if digest else [])
        return Source(
            asked.text, SIF, str(image.path), (digest or "")[7:], digest, pinned=wanted is not None
        ), remark
    contents = archive.read(image.path)
    known = [contents.digest, *([contents.manifest_digest] if contents.manifest_digest else [])]
    # a Docker archive has lost the digest that a registry gave it: a pin of a mapped name can't be compared
    # with it
    if contents.kind == "oci" or image.digest:
        _same(image, wanted, known)
    elif wanted and wanted not in known:
        remark += ", whose digest in a registry can't be known"
    return Source(
        asked.text,
        ARCHIVE,
        str(image.path),
        contents.digest[7:],
        contents.digest,
        environment=contents.environment,
    ), remark


def _of_folder(asked: Image, made: folder.Folder, cache: Path) -> Source:
    place = made.location(cache)
    digest = archive.read(place).digest if place.is_file() else None
    return Source(asked.text, ARCHIVE, str(place), place.stem, digest)


def _of_sif(image: Image, cache: Path) -> str | None:
    assert image.path is not None
    try:
        with reading.opened(image.path) as f:
            head = f.read(64)
    except OSError as error:
        raise UsageError(
            "a container image is not usable", [Problem(image.text, error.strerror or str(error))]
        ) from None
    if b"SIF_MAGIC" not in head and image.path.suffix != ".simg":
        raise UsageError(
            "a container image is not usable", [Problem(image.text, f"{image.path} is not a SIF file")]
        )
    identity, strength = digests.of_input(image.path, cache)
    return identity if strength == "checksum" else None


def _same(image: Image, wanted: str | None, known: list[str]) -> None:
    if wanted and wanted not in known:
        found = known[-1] if known else "a file too large to be hashed for a plan"
        raise UsageError(
            "a container image is not the one that was asked for",
            [Problem(image.text, f"{wanted} was asked for, but {image.path} is {found}")],
        )


def choose(
    text: str, allowed: Settings, cache: Path, base: Path | None = None, network: bool = True
) -> Chosen:
    """
    The first allowed runtime that can start an image here; for a name, one that has it already is preferred.

    Nothing is loaded, built or pulled.

    Parameters
    ----------
    text : str
        The image as it is named (docs/containers.md).
    allowed : Settings
    cache : Path
    base : Path, optional
        Folder of a relative path.
    network : bool
        False: the steps may reach no network.

    Raises
    ------
    UsageError
        The text names no image, or the file that it names is missing or broken.
    """
    source, remark = resolve(parse(text, base), allowed, cache)
    reasons: list[str] = []
    pulled: Chosen | None = None
    for name in allowed.runtimes:
        one = RUNTIMES[name]
        program = runtime.locate(one, allowed.programs.get(name))
        found = one.detect(program, cache) if program else f"is not on PATH: {one.how_to_get}"
        if isinstance(found, str):
            reasons.append(f"{name}: {found}")
            continue
        choice = one.choice(source, found, cache, network)
        if isinstance(choice, str):
            reasons.append(f"{name}: {choice}")
            continue
        ready = one.is_ready(choice)
        digest = f" ({choice.digest[:19]}…)" if choice.digest else ""
        todo = ""
        if not ready:
            todo = (
                f", will be pulled from {parse(source.place).registry}"
                if source.form == NAME
                else ", will be made ready"
            )
        chosen = Chosen(
            choice, f"{text}{digest} by {name} {found.version}{remark}{todo}", ready, tuple(reasons)
        )
        if ready or source.form != NAME:
            return chosen
        pulled = pulled or chosen
    if pulled:
        return pulled
    if not allowed.runtimes:
        reasons.append("the configuration and the backend's profile allow no runtime in common")
    return Chosen(None, reasons=tuple(reasons))


def survey(allowed: Settings, cache: Path) -> dict[str, Found | str]:
    """Each allowed runtime: as it works here, or why it doesn't."""
    found: dict[str, Found | str] = {}
    for name in allowed.runtimes:
        program = runtime.locate(RUNTIMES[name], allowed.programs.get(name))
        found[name] = (
            RUNTIMES[name].detect(program, cache)
            if program
            else f"is not on PATH: {RUNTIMES[name].how_to_get}"
        )
    return found


def is_ready(choice: ContainerChoice) -> bool:
    """Whether `prepare` has nothing to do."""
    return RUNTIMES[choice.runtime].is_ready(choice)


def prepare(
    choice: ContainerChoice, cache: Path, log: Path | None = None, stopped: Callable[[], bool] = lambda: False
) -> None:
    """
    Build, load or pull what a choice needs; a second call finds it ready.

    Raises
    ------
    UnavailableError
        It can't be done; the last lines of what failed are shown.
    StoppedError
        `stopped` said so.
    """
    chosen = RUNTIMES[choice.runtime]
    if chosen.is_ready(choice):
        return
    key = hashlib.sha256(f"{choice.runtime}\n{choice.reference}".encode()).hexdigest()[:40]
    lock = cache / "containers" / "locks" / f"{key}.lock"
    log = log or lock.with_suffix(".log")
    with environments.locked(lock, stopped):
        if chosen.is_ready(choice):
            return
        if (
            choice.archive
            and not choice.archive.startswith("docker://")
            and not Path(choice.archive).exists()
        ):
            made = next((f for f in _folders(choice) if f.location(cache) == Path(choice.archive)), None)
            if made is None:
                raise UsageError(
                    "a container image is missing",
                    [Problem(choice.image, f"{choice.archive} no longer exists")],
                )
            folder.build(made, cache, log, stopped)
        chosen.prepare(choice, cache, log, stopped)


def _folders(choice: ContainerChoice) -> list[folder.Folder]:
    found = list(folder.own())
    try:
        image = parse(choice.image)
        if image.form == FOLDER and image.path:
            found.append(folder.read(image.path))
    except EsapError:
        pass
    return found


def command(choice: ContainerChoice, task: Task) -> Command:
    """The command that runs a task in the chosen container, and what it needs in its environment."""
    return RUNTIMES[choice.runtime].command(choice, task)


def end(choices: Iterable[ContainerChoice], run: str, epoch: int | None = None) -> None:
    """
    End what is left in containers and `esap_wf.runs.processes` can't see.

    Parameters
    ----------
    choices : iterable of ContainerChoice
        Of the run's plan; each runtime is asked once.
    run : str
    epoch : int, optional
        Of one of its engines only: those of a later owner's go on.
    """
    for choice in {(c.runtime, c.program): c for c in choices}.values():
        RUNTIMES[choice.runtime].end(choice, runtime.label_of(run, epoch))


def lacks(choice: ContainerChoice, wanted: Sequence[str], cache: Path) -> dict[str, str]:
    """
    Commands that an image lacks, with what the runtime says; the image must be ready.

    Parameters
    ----------
    choice : ContainerChoice
    wanted : sequence of str
        Such as ``bash``, which Snakemake and Nextflow start each step with.
    cache : Path
    """
    import tempfile

    missing = {}
    with tempfile.TemporaryDirectory(dir=cache / "containers", prefix=".look-") as work:
        for name in wanted:
            asked = command(choice, Task([name, "--version"], Path(work)))
            code, out, err = runtime.ask(asked.argv, asked.environment, 60)
            if code:
                missing[name] = runtime.last(err or out)
    return missing
