"""Engines: subprocesses that do the work. One module an engine, found by the entry point group ``esap_wf.engines``.

Imported by plan, render, launch, supervisor. The contract is `Engine`; `esap_wf.plugins` checks it at load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from esap_wf.config import Config
from esap_wf.models.plan import Allocation, EngineChoice
from esap_wf.models.run import Event


@dataclass(frozen=True)
class Job:
    """
    What an engine is to run, in terms of the run directory.

    Parameters
    ----------
    entry : str
        The engine's file inside the snapshot, relative to the run directory.
    params : str
        The configuration file, relative to the run directory.
    allocation : Allocation
        Cores, memory and time the run may use.
    options : tuple of str
        The user's own options for the engine.
    """

    entry: str
    params: str
    allocation: Allocation
    options: tuple[str, ...] = ()


class EventSource(Protocol):
    """Reads what an engine tells, from where the last call ended."""

    def read(self) -> list[Event]:
        """Events since the last call."""
        ...


class Engine(Protocol):
    """Everything that esap-wf knows of an engine."""

    name: str
    title: str

    def find(self, config: Config, requires: str | None = None) -> EngineChoice | None:
        """The engine as configured, in esap-wf's own environment, on PATH, or installed by `engines install`."""

    def how_to_get(self) -> str:
        """The command that installs it."""

    def command(self, choice: EngineChoice, job: Job) -> list[str]:
        """The bare command, to be started in the run directory: nothing of esap-wf in it."""

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """Arguments and environment that launch adds, so that the engine tells what happens."""

    def events(self, run: Path, epoch: int, told: int = 0) -> EventSource:
        """What the engine of an epoch told; up to offset `told` (`Event.source`) it was passed on before."""

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        """The signal that lets running jobs finish (`drain`), or cancels them; and whether its jobs get it too."""

    def before_resume(self, run: Path) -> list[list[str]]:
        """Arguments of calls of ``command.sh`` that clear what a killed engine left (locks)."""
