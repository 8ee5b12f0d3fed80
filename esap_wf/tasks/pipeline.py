"""The usual type: a pipeline of an engine, which needs nothing of this package."""

from __future__ import annotations

from pathlib import Path

from esap_wf.engines import Interface, Job
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks import PIPELINE, Steps


class Pipeline:
    """See `esap_wf.tasks.Task`."""

    name = PIPELINE
    title = "a pipeline of an engine"
    engine = ""

    def knows(self, file: str) -> bool:
        """Engines know their files themselves."""
        return False

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """Engines derive it."""
        return None

    def steps(self, choice: EngineChoice, job: Job) -> Steps:
        """None: the engine has its own."""
        return Steps([], {})
