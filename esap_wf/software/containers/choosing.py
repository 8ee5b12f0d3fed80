"""
Which runtime starts an image here, with the reasons, and making the image ready for it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.models.plan import ContainerChoice
from esap_wf.software import environments
from esap_wf.software.containers import folder, programs
from esap_wf.software.containers.image import FOLDER, NAME, ROOTFS, SIF, parse
from esap_wf.software.containers.resolving import resolve
from esap_wf.software.containers.runtime import Command, Found, Source, Task, label_of
from esap_wf.software.containers.runtimes import RUNTIMES, Settings

logger = logging.getLogger(__name__)


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
        tried = _try(name, source, allowed, cache, network)
        if isinstance(tried, str):
            logger.debug("image %s: %s refuses: %s", text, name, tried)
            reasons.append(f"{name}: {tried}")
            continue
        choice, found = tried
        ready = RUNTIMES[name].is_ready(choice)
        detail = _described(text, choice, found, remark + _still_to_do(source, ready))
        chosen = Chosen(choice, detail, ready, tuple(reasons))
        if ready or source.form != NAME:
            return _logged(text, chosen)
        pulled = pulled or chosen
    if pulled:
        return _logged(text, pulled)
    if not allowed.runtimes:
        reasons.append("the configuration and the backend's profile allow no runtime in common")
    return _logged(text, Chosen(None, reasons=tuple(reasons)))


def choose_unseen(
    text: str, there: str, place: str, allowed: Settings, cache: Path, network: bool = True
) -> Chosen:
    """
    An image that only the nodes of a place see: a SIF or a root file system, taken as it is.

    Parameters
    ----------
    text : str
        The image as the workflow names it.
    there : str
        Its absolute path on the nodes.
    place : str
    allowed : Settings
        The runtime is tried here: nodes have the same one, or none is known.
    cache : Path
    network : bool
    """
    image = parse(there)
    source = Source(text, SIF if image.form == SIF else ROOTFS, str(image.path), key="")
    if image.form not in (SIF, ROOTFS, FOLDER):
        return Chosen(None, reasons=(f"{there} is neither a SIF nor a folder",))
    reasons = list[str]()
    for name in allowed.runtimes:
        tried = _try(name, source, allowed, cache, network)
        if not isinstance(tried, str):
            choice, found = tried
            doubt = ", whose checksum is not compared there" if image.digest else ""
            detail = _described(text, choice, found, f", {image.path} at {place}{doubt}")
            unseen = msgspec.structs.replace(choice, unseen=True)
            return _logged(text, Chosen(unseen, detail, ready=True, reasons=tuple(reasons)))
        reasons.append(f"{name}: {tried}")
    return _logged(text, Chosen(None, reasons=tuple(reasons)))


def _try(
    name: str, source: Source, allowed: Settings, cache: Path, network: bool
) -> tuple[ContainerChoice, Found] | str:
    """How a runtime would start an image, or why it can't."""
    found = _detect(name, allowed, cache)
    if isinstance(found, str):
        return found
    choice = RUNTIMES[name].choice(source, found, cache, network)
    return choice if isinstance(choice, str) else (choice, found)


def _detect(name: str, allowed: Settings, cache: Path) -> Found | str:
    """A runtime as it works here, or why it doesn't."""
    runtime = RUNTIMES[name]
    program = programs.locate(runtime, allowed.programs.get(name))
    return runtime.detect(program, cache) if program else f"is not on PATH: {runtime.how_to_get}"


def _still_to_do(source: Source, ready: bool) -> str:
    if ready:
        return ""
    if source.form == NAME:
        return f", will be pulled from {parse(source.location).registry}"
    return ", will be made ready"


def _described(text: str, choice: ContainerChoice, found: Found, remarks: str) -> str:
    digest = f" ({choice.digest[:19]}…)" if choice.digest else ""
    return f"{text}{digest} by {choice.runtime} {found.version}{remarks}"


def _logged(text: str, chosen: Chosen) -> Chosen:
    logger.info("image %s: %s", text, chosen.detail or "no runtime can start it here")
    return chosen


def survey(allowed: Settings, cache: Path) -> dict[str, Found | str]:
    """Each allowed runtime: as it works here, or why it doesn't."""
    return {name: _detect(name, allowed, cache) for name in allowed.runtimes}


def is_ready(choice: ContainerChoice) -> bool:
    """Whether `prepare` has nothing to do."""
    return choice.unseen or RUNTIMES[choice.runtime].is_ready(choice)


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
    if is_ready(choice):
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
            logger.debug("building the image %s", choice.image)
            folder.build(made, cache, log, stopped)
        logger.debug("making the image %s ready for %s", choice.image, choice.runtime)
        chosen.prepare(choice, cache, log, stopped)


def _folders(choice: ContainerChoice) -> list[folder.Folder]:
    found = list(folder.own())
    try:
        image = parse(choice.image)
        if image.form == FOLDER and image.path:
            found.append(folder.read_folder(image.path))
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
        logger.debug("containers of %s are ended: %s", label_of(run, epoch), choice.runtime)
        RUNTIMES[choice.runtime].end(choice, label_of(run, epoch))


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
            code, out, err = programs.ask(asked.argv, asked.environment, 60)
            if code:
                missing[name] = programs.last(err or out)
    return missing
