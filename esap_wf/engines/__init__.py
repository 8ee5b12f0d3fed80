"""Engines: subprocesses that do the work. One module an engine, found by the entry point group ``esap_wf.engines``.

Imported by discovery, plan, render, launch, supervisor. The contract is `Engine`; `esap_wf.plugins` checks it at load. How to write one:
docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from esap_wf.config import Config
from esap_wf.errors import Problem
from esap_wf.models.manifest import Input, Output, Software
from esap_wf.models.plan import Allocation, EngineChoice, SoftwareChoice
from esap_wf.models.request import DataRef
from esap_wf.models.run import Event, Failure

#: Up to where an engine's record was told: in the plug-in's own words (`Event.source`), None for nothing.
Told = int | str | None
#: What `Engine.events` is given if nobody knows what was told: only what the record doesn't hold yet is.
LOST = "lost"


@dataclass(frozen=True)
class Interface:
    """
    What a pipeline that has no manifest says of itself.

    Parameters
    ----------
    root : Path
        The folder that is snapshotted: the pipeline and everything that it refers to.
    file : str
        The engine's file, relative to `root`.
    schema : dict
        JSON Schema of the parameters. What the pipeline itself sets is told as ``engine_default`` and never filled in as ``default``: it
        keeps the meaning that it has under the bare engine.
    inputs : dict of str to Input
        Files and folders, by the pipeline's own names.
    outputs : list of Output
        Where results are, as patterns below the run directory.
    unit_steps : tuple of str
        Steps that run once a unit, if that can be told.
    requires : str, optional
        The engine's version, in the pipeline's own words.
    name : str
        Its own name; empty: that of the folder.
    files : tuple of str, optional
        All that is snapshotted, relative to `root`; None: everything in the folder, because anything may be used.
    title, version, description : str
    authors, licence, citation, keywords
        As far as the pipeline says.
    images : tuple of str
        Container images that its steps name.
    contained : bool
        The bare engine runs the steps in these images unless told otherwise.
    software : tuple of Software
        Where its steps find their software; empty: on PATH.
    origins : dict of str to str
        ``parameters.NAME``, ``inputs.NAME``, ``outputs.NAME`` … → ``file:line`` that says so.
    warnings : tuple of str
        What could not be told.
    """

    root: Path
    file: str
    schema: dict[str, Any]
    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    unit_steps: tuple[str, ...] = ()
    requires: str | None = None
    name: str = ""
    files: tuple[str, ...] | None = None
    title: str = ""
    version: str = ""
    description: str = ""
    authors: tuple[str, ...] = ()
    license: str | None = None
    citation: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    contained: bool = False
    software: tuple[Software, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobInput:
    """
    One named input: its references (paths relative to the run directory for what comes with the workflow), whether it is a list, and the
    URI of the format that the pipeline expects.
    """

    refs: tuple[DataRef, ...]
    many: bool = False
    format: str = ""


@dataclass(frozen=True)
class Job:
    """
    What an engine is to run, in terms of the run directory.

    Parameters
    ----------
    workflow : str
        Name of the workflow.
    entry : str
        The engine's file inside the snapshot, relative to the run directory.
    parameters : mapping
        Every parameter that has a value.
    inputs : mapping of str to JobInput
    selected : mapping
        Columns that were looked up (`Manifest.select`).
    allocation : Allocation
        Cores, memory and time the run may use.
    software : SoftwareChoice
        Folders for PATH are `render`'s business; a container is the engine's.
    plain : bool
        Only the pipeline's own names (`Implementation.config`). Names with dots stand for nested values.
    item : str, optional
        Part of the file that is meant.
    options : tuple of str
        The user's own options for the engine.
    source : Path, optional
        The engine's file where it is now: for what must be read of it to render. It may be gone when the run starts.
    folder : str
        The folder of the snapshot in which the pipeline stands, relative to the run directory.
    """

    workflow: str
    entry: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, JobInput]
    selected: Mapping[str, Any]
    allocation: Allocation
    software: SoftwareChoice
    plain: bool = False
    item: str | None = None
    options: tuple[str, ...] = ()
    source: Path | None = None
    folder: str = ""


@dataclass(frozen=True)
class Rendered:
    """
    What the bare engine needs in a run directory.

    Parameters
    ----------
    command : list of str
        The bare command, started in the run directory: nothing of esap-wf in it. What is added (`Engine.supervised`) comes at its end.
    files : mapping of str to bytes
        Path relative to the run directory → content; a script (``#!``) is executable.
    environment : mapping
        Exported by ``command.sh``.
    bin_dirs : tuple of str
        Put before the PATH, after those of the software; relative ones are the run directory's.
    working_copy : str
        A folder of the run directory that gets a writable copy of the pipeline's folder: its working directory, as a clone would be. Empty:
        none.
    links : mapping of str to str
        Symbolic links in the run directory → absolute paths of what is too large to be copied (images).
    """

    command: list[str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    bin_dirs: tuple[str, ...] = ()
    working_copy: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


class EventSource(Protocol):
    """Reads what an engine tells, from where the last call ended."""

    def read(self) -> list[Event]:
        """Events since the last call; empty only if there are no more now."""
        ...


class Engine(Protocol):
    """
    Everything that esap-wf knows of an engine.

    Attributes
    ----------
    name, title : str
        Of its entry point; for people.
    runtimes : str
        Container runtimes that it can drive, separated by spaces; empty if none.
    """

    name: str
    title: str
    runtimes: str

    # --- versions

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """Every one that is there, best first: configured, own environment, PATH, installed by ``engines install``."""

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """Why one is of no use (for a pipeline that `requires` a version, in the engine's own syntax); empty if it is."""

    def how_to_get(self) -> str:
        """The command that installs it, and what to do without internet."""

    def install(self, config: Config) -> Path:
        """
        Install it below the cache and say where.

        Raises
        ------
        UnavailableError
            It can't be had from here, and what to do instead.
        """

    # --- interface and plan

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """
        The interface of a pipeline without a manifest; None if this is none of this engine's.

        Raises
        ------
        UsageError
            It is one, but broken: every problem with file and line.
        """

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """What the pipeline in a file needs and the engine can't do (shown by the file, before anything runs)."""

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """The bare command and its files."""

    # --- a run

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """Arguments and environment that launch adds, so that the engine tells what happens and goes on where it was."""

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """What the engine of an epoch told; up to `told` (`Event.source`, or `LOST`) it was passed on before."""

    def stop_signal(self, drain: bool) -> tuple[int, bool] | None:
        """
        The signal that lets running jobs finish (`drain`), or cancels them; and whether its jobs get it too.

        None, to `drain` only: it can't let them finish without starting others; then they are cancelled, and the run says so.
        """

    def survivors(self, run: Path) -> list[int]:
        """Process ids of what a lost engine left and that doesn't carry the run's key in its environment (most: none)."""

    def before_resume(self, run: Path) -> list[list[str]]:
        """Arguments of calls of ``command.sh`` that clear what a killed engine left (locks)."""

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """Why an engine ended badly, from its own records, best first; empty if they don't say. Asked if no job failed."""
