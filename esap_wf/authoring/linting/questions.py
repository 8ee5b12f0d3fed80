"""What an engine is to read in a dry run: a whole run, or one of its stages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from esap_wf.catalogue.workflow import Workflow
from esap_wf.engines import EngineBase, Job
from esap_wf.engines.stages import stage_job
from esap_wf.models.manifest import Implementation
from esap_wf.models.plan import EngineChoice

WHOLE, MAP, JOIN = "", "map", "join"
Given = Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Question:
    """
    What an engine is to read.

    Parameters
    ----------
    workflow : Workflow
    number : int
        Of the implementation.
    engine : EngineBase
    choice : EngineChoice
    run : Job
        Of the whole run.
    stage : str
    given : mapping
        To the join stage: names → files, which are there, empty, when it is read.
    """

    workflow: Workflow
    number: int
    engine: EngineBase
    choice: EngineChoice
    run: Job
    stage: str = WHOLE
    given: Given = field(default_factory=dict)

    @property
    def implementation(self) -> Implementation:
        """That of which it is asked."""
        return self.workflow.manifest.implementations[self.number]

    @property
    def job(self) -> Job:
        """Of the stage."""
        return job_of(self.run, self.implementation, self.stage, self.given) if self.stage else self.run


def job_of(run: Job, implementation: Implementation, stage: str, given: Given) -> Job:
    """The job of a stage: of one slice, which has all units."""
    return stage_job(run, implementation.stages[stage], 1 if stage == MAP else None, 1, given)


def placeholders(implementation: Implementation) -> dict[str, list[str]]:
    """A file for each pattern of what the slices give."""
    gives = implementation.map.gives if implementation.map else {}
    return {
        name: [re.sub(r"\[([^]])[^]]*\]|[*?]", lambda m: m[1] or "1", pattern)]
        for name, pattern in gives.items()
    }
