"""Task types: what can be run beside a pipeline of an engine. Each is a plug-in of the group
``esap_wf.tasks``, named by a URI.

Where the IVOA ExecutionBroker has a URI for a type of
executable, that one is used; it has none for a workflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from esap_wf import plugins
from esap_wf.engines import Interface, Job
from esap_wf.models.plan import ContainerChoice, EngineChoice

GROUP = "esap_wf.tasks"
#: IVOA ExecutionBroker, types of executables.
IVOA = "https://www.purl.org/ivoa.net/EB/schema/v1.0/types/executable/"
NOTEBOOK = f"{IVOA}jupyter-notebook-1.0"
CONTAINER = f"{IVOA}docker-container-1.0"
#: Ours: the broker knows no workflows.
PIPELINE = "urn:esap-wf:task:pipeline-1.0"
SERIAL = "urn:esap-wf:task:reana-serial-1.0"
#: Stands for the run directory in the words of a step: its place is only known when it runs.
HERE = "/esap-wf-run-directory"


@dataclass(frozen=True)
class Step:
    """
    One command of a task.

    Parameters
    ----------
    name : str
        Of the step; its log is ``logs/<name>.log``.
    argv : list of str
        Passed as it is: no shell looks at it.
    folder : str
        Working directory, relative to the run directory.
    container : ContainerChoice, optional
        It runs in this image; the run directory is mounted.
    read_only : tuple of str
        What else is mounted.
    """

    name: str
    argv: list[str]
    folder: str = "."
    container: ContainerChoice | None = None
    read_only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Steps:
    """
    The commands of a task, one after the other, the files that they read, and the working copy that they want
    (`Rendered`).
    """

    steps: list[Step]
    files: dict[str, bytes]
    working_copy: str = ""


class Task(Protocol):
    """
    A type of task.

    Attributes
    ----------
    name : str
        Its URI.
    title : str
    engine : str
        The engine that carries it; empty: every engine whose files it doesn't know better.
    """

    name: str
    title: str
    engine: str

    def knows(self, file: str) -> bool:
        """Whether a file is one of this type, by its name."""

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """
        The interface of what is at a path; None if this is none of this type. Raises UsageError if it is
        broken.
        """

    def steps(self, choice: EngineChoice, job: Job) -> Steps:
        """The commands."""


def carried_by(engine: str) -> list[Task]:
    """The types that an engine carries."""
    usable, _ = plugins.load(GROUP)
    return [task for task in usable.values() if task.engine == engine]


def of(engine: str, file: str) -> str:
    """URI of the type of task that an implementation is."""
    return next((task.name for task in carried_by(engine) if task.knows(file)), PIPELINE)
