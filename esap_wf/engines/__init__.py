"""Engines: subprocesses that do the work. One folder an engine; those of other packages are found by the
entry point group ``esap_wf.engines``.

The contract is `EngineBase`, of version `CONTRACT`; what it takes and answers is in `esap_wf.engines.job`,
`esap_wf.engines.answers` and `esap_wf.engines.cursor`. Everything of it is imported from here. How to write
an engine: docs/engine-tutorial.md.
"""

from esap_wf.engines.answers import (
    Demand,
    DryRun,
    Installable,
    Interface,
    LaunchAdditions,
    Outline,
    Results,
    StopSignal,
)
from esap_wf.engines.base import CONTRACT, EngineBase, EventSource
from esap_wf.engines.cursor import Cursor, Mark
from esap_wf.engines.job import Job, JobInput, Rendered

__all__ = [
    "CONTRACT",
    "Cursor",
    "Demand",
    "DryRun",
    "EngineBase",
    "EventSource",
    "Installable",
    "Interface",
    "Job",
    "JobInput",
    "LaunchAdditions",
    "Mark",
    "Outline",
    "Rendered",
    "Results",
    "StopSignal",
]
