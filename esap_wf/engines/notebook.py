"""The engine `notebook`: papermill and nbconvert, in an environment of their own. See `esap_wf.tasks.notebook`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import finding
from esap_wf.engines.command import Command
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks.notebook import EXECUTED, failing_cell


class Notebook(Command):
    """See `esap_wf.engines.Engine`."""

    name = "notebook"
    title = "papermill"
    runtimes = ""

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """See `esap_wf.engines.finding`."""
        return finding.choices("papermill", self.name, "papermill", config)

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """It makes the page, too."""
        if not Path(choice.path).with_name("jupyter-nbconvert").is_file():
            return "jupyter-nbconvert is not beside it"
        return finding.misfit(choice.version, requires)

    def how_to_get(self) -> str:
        """The command that installs it."""
        return "esap-wf engines install notebook"

    def install(self, config: Config) -> Path:
        """From pins, into an environment of its own."""
        return finding.install(self.name, config)

    def why(self, run: Path, step: str, exit_code: int) -> str:
        """The message of the cell that failed."""
        return failing_cell(run / EXECUTED) or super().why(run, step, exit_code)
