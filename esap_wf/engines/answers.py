"""What an engine's plug-in answers of a pipeline, a launch and a run. Public through `esap_wf.engines`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from esap_wf.errors import Problem
from esap_wf.models.manifest import Input, Output, Software


@dataclass(frozen=True)
class Interface:
    """
    What a pipeline that has no manifest says of itself.

    Parameters
    ----------
    root : Path
        The folder that is snapshotted: the repository, or what holds the pipeline and everything that it
        refers to.
    file : str
        The engine's file, relative to `root`.
    workdir : str
        The working directory, relative to `root`; empty: `root` itself.
    named : tuple of str
        What the pipeline names for sure, relative to `root`: it is snapshotted even if git ignores it.
    beside : mapping of str to str
        Path in the run directory → path relative to `root` of what the pipeline finds by a relative path,
        where it has no working copy.
    schema : dict
        JSON Schema of the parameters. What the pipeline itself sets is given as ``engine_default`` and never
        filled in as ``default``: it keeps the meaning that it has under the bare engine.
    inputs : dict of str to Input
        Files and folders, by the pipeline's own names.
    outputs : list of Output
        Where results are, as patterns below the run directory.
    unit_steps : tuple of str
        Steps that run once a unit, if that is known.
    requires : str, optional
        The engine's version, in the pipeline's own words.
    name : str
        Its own name; empty: that of the folder.
    files : tuple of str, optional
        All that is snapshotted, relative to `root`; None: everything in the folder, because anything may be
        used.
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
        What could not be found out.
    order : mapping
        What a file beside the pipeline gives for its inputs, if that is more than one file's place: as a job
        order has it, paths absolute.
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
    workdir: str = ""
    named: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
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
    order: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Demand:
    """
    What a step of a pipeline asks for.

    Parameters
    ----------
    what : str
        ``cores``, ``memory`` (bytes) or ``wall`` (seconds).
    amount : int, optional
        None: only the engine can tell.
    who : str
        ``process big``, ``rule map``.
    where : str
        ``file:line`` that says so.
    limited : bool
        With less than that as its limit the engine ends the run; else it goes on with what there is.
    fails : bool
        It does so where the machine has less, too.
    certain : bool
        The step is run whatever happens.
    """

    what: str
    amount: int | None
    who: str
    where: str
    limited: bool = False
    fails: bool = False
    certain: bool = True


@dataclass(frozen=True)
class Results:
    """
    What an engine itself says that a run's results are.

    Parameters
    ----------
    paths : mapping or list, optional
        Name of an output → path of a file or folder in the run directory (relative to it, or absolute), or
        lists and mappings of them; None in them is nothing. The names are those of `Interface.outputs` where
        it has them; a list at the top has none, then the patterns of `Interface.outputs` give them. None: it
        doesn't say, patterns and what is there count.
    values : mapping
        Name of an output → what was given back that is no file, as JSON.
    appeared : str
        Whether what else appeared in the working directory is a result: ``never``, ``always``, ``if empty``
        (what is named holds nothing).
    """

    paths: Mapping[str, Any] | list[Any] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    appeared: Literal["never", "always", "if empty"] = "never"


@dataclass(frozen=True)
class Outline:
    """
    What a pipeline's files show without an engine, for `esap-wf lint`.

    Parameters
    ----------
    steps : tuple of str, optional
        Names of its steps; None: unknown.
    made : tuple of str, optional
        Patterns of what it makes, relative to the run directory; a pattern without ``/`` is a name in any
        folder. None: unknown.
    problems, warnings : tuple of Problem
        What is wrong, or against the rules of docs/workflows.md.
    """

    steps: tuple[str, ...] | None = None
    made: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class DryRun:
    """
    What an engine reported when it was asked to read everything and to start nothing.

    Parameters
    ----------
    problems, warnings : tuple of Problem
    made : tuple of str, optional
        Files that its jobs would make, relative to where it works; None: it doesn't say.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    made: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Installable:
    """
    What ``esap-wf engines install`` would give.

    Parameters
    ----------
    version : str
    fits : bool
        The pipeline can use it.
    """

    version: str
    fits: bool


@dataclass(frozen=True)
class LaunchAdditions:
    """
    What is added to the bare command, so that the engine reports what happens and goes on where it was.

    Parameters
    ----------
    arguments : list of str
        They come at the end of ``command.sh``.
    environment : mapping
        Over the user's; a PYTHONPATH comes before the user's.
    before : list of list of str
        Arguments of calls of ``command.sh`` that are made first, one after the other, to clear what a killed
        engine has left (locks). How they end doesn't count.
    """

    arguments: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    before: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class StopSignal:
    """
    How an engine is stopped.

    Parameters
    ----------
    number : int
        The signal (`signal.SIGTERM`, …).
    to_jobs : bool
        Its jobs on this machine get it, too: the whole process group. Else the engine alone, which sees to
        its jobs.
    submitting : int, optional
        The signal, to the engine alone, where its jobs are at a workload manager; None: the same.
    """

    number: int
    to_jobs: bool
    submitting: int | None = None
