"""What an engine is to run, and what it makes of it: `Job`, `Rendered`. Public through `esap_wf.engines`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Allocation, SoftwareChoice
from esap_wf.models.request import DataRef


@dataclass(frozen=True)
class JobInput:
    """
    One named input: its references (paths relative to the run directory for what comes with the workflow),
    whether it is a list, and the URI of the format that the pipeline expects.
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
        The engine's file where it is now: for what must be read of it to render. It may be gone when the run
        starts.
    folder : str
        The folder of the snapshot in which the pipeline stands, relative to the run directory.
    literals : mapping of str to str
        Numbers among the parameters as they are written (`esap_wf.formats.literals`).
    workdir : str
        The pipeline's working directory, relative to `folder`; empty: `folder` itself.
    beside : mapping of str to str
        As `Interface.beside`, relative to `folder`.
    queue : Queue, optional
        To which the engine submits the jobs of its steps; without it they work where the engine does.
        Only given to an engine that names its kind in `EngineBase.queues`.
    steps : mapping of str to StepNeeds
        What they ask for there, over what the pipeline itself says.
    shard_size : int
        Units that share one job; 0: each is a job of its own, and the configuration says nothing of it.
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
    literals: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    queue: Queue | None = None
    steps: Mapping[str, StepNeeds] = field(default_factory=dict)
    shard_size: int = 0


@dataclass(frozen=True)
class Rendered:
    """
    What the bare engine needs in a run directory.

    Parameters
    ----------
    command : list of str
        The bare command, started in the run directory: nothing of esap-wf in it. `LaunchAdditions` come at
        its end.
    files : mapping of str to bytes
        Path relative to the run directory → content; a script (``#!``) is executable.
    environment : mapping
        Exported by ``command.sh``.
    bin_dirs : tuple of str
        Put before the PATH, after those of the software; relative ones are the run directory's.
    working_copy : str
        A folder of the run directory that gets a writable copy of the pipeline's folder: its working
        directory, as a clone would be. Empty: none.
    copies : mapping of str to str
        Copies in the run directory, for the run to change → where they are taken from, both relative to it.
    links : mapping of str to str
        Symbolic links in the run directory → absolute paths of what is too large to be copied (images).
    folder : str
        Folder of the run directory in which the command is started; empty: the run directory itself.
    """

    command: list[str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    bin_dirs: tuple[str, ...] = ()
    working_copy: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    copies: Mapping[str, str] = field(default_factory=dict)
