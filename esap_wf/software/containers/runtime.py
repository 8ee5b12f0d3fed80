"""The contract of a container runtime. One module a runtime stands beside this one; `programs` has what they
share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import ENGINE_VARIABLE, RUN_VARIABLE, engine_key

#: Labels by which the containers of a run, and of one engine of it, are found, and the variables that say
#: whose they are.
LABELS = {"esap-wf.run": RUN_VARIABLE, "esap-wf.engine": ENGINE_VARIABLE}


@dataclass(frozen=True, slots=True)
class Found:
    """
    A runtime that works here.

    Parameters
    ----------
    program, version : str
    environment : dict
        What the program needs, copied from where it was found: a detached run has it, too.
    options : tuple of str
        What makes it work here.
    """

    program: str
    version: str
    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """
    What an image really is, here.

    Parameters
    ----------
    text : str
        As it was named.
    form : str
        ``archive``, ``sif``, ``rootfs`` or ``name``.
    location : str
        Path, or name.
    key : str
        Content, as a name for what is made of it.
    digest : str, optional
        ``sha256:…``, where known.
    pinned : bool
        The name itself says the digest.
    environment : tuple of str
        ``NAME=value`` of the image, where known.
    """

    text: str
    form: str
    location: str
    key: str
    digest: str | None = None
    pinned: bool = False
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """
    One command in a container. Paths are the same inside and outside.

    Parameters
    ----------
    command : sequence of str
    workdir : Path
        Mounted, writable, the working directory and ``HOME``.
    read_only, writable : sequence of Path
        Mounted beside it.
    environment : mapping
        Passed as it is: no shell looks at a value.
    run, engine : str, optional
        Keys of the run and of its engine, by which processes and containers are found.
    uid, gid : int
        Owner of what is written.
    scratch : Path, optional
        Mounted at /tmp; the runtime's own otherwise (64 MB in Apptainer by default).
    start : Path, optional
        Where the command begins, if not in `workdir`: below what is mounted.
    """

    command: Sequence[str]
    workdir: Path
    read_only: Sequence[Path] = ()
    writable: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    engine: str | None = None
    uid: int = field(default_factory=os.getuid)
    gid: int = field(default_factory=os.getgid)
    scratch: Path | None = None
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed: arguments, and what is added to the environment."""

    argv: list[str]
    environment: dict[str, str]


class Runtime(Protocol):
    """Everything that esap-wf asks of a container runtime."""

    name: str
    #: Commands by which it may be there, and how to get one.
    programs: tuple[str, ...]
    how_to_get: str

    def detect(self, program: str, cache: Path) -> Found | str:
        """The runtime as it works here, or why it doesn't."""

    def choice(self, source: Source, found: Found, cache: Path, network: bool) -> ContainerChoice | str:
        """How it would start the image, or why it can't. Touches nothing."""

    def is_ready(self, choice: ContainerChoice) -> bool:
        """Whether nothing has to be loaded, built or pulled before a start."""

    def prepare(self, choice: ContainerChoice, cache: Path, log: Path, stopped: Callable[[], bool]) -> None:
        """Load, build or pull; another one does not do it at the same time."""

    def command(self, choice: ContainerChoice, task: Task) -> Command:
        """The command that runs a task."""

    def end(self, choice: ContainerChoice, label: str) -> None:
        """End containers with a label (`label_of`) that processes can't be asked for."""


def labels(keys: Mapping[str, str]) -> list[str]:
    """
    Options of Docker and Podman that mark a container.

    Parameters
    ----------
    keys : mapping
        Variable → value, or the shell's text for it.
    """
    return [f"--label={label}={keys[variable]}" for label, variable in LABELS.items() if variable in keys]


#: The same for a shell's text, unquoted: keys hold letters, digits, dots and dashes. Without esap-wf there
#: are none.
SHELL_LABELS = labels({variable: f"${{{variable}:-none}}" for variable in LABELS.values()})


def label_of(run: str, epoch: int | None = None) -> str:
    """The label of all containers of a run, or of the one engine that an epoch started."""
    name, value = ("esap-wf.run", run) if epoch is None else ("esap-wf.engine", engine_key(run, epoch))
    return f"{name}={value}"
