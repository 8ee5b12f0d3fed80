"""
The engine `notebook`: papermill and nbconvert, in an environment of their own. See `esap_wf.tasks.notebook`.
"""

from __future__ import annotations

from pathlib import Path

from esap_wf.engines import Results, programs
from esap_wf.engines.command.engine import TaskEngine
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks.notebook import EXECUTED, failing_cell


class Notebook(TaskEngine):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "notebook"
    title = "papermill"
    program = "papermill"
    package = "papermill"
    pins = programs.REQUIREMENTS / "notebook.txt"

    def why_unsuitable(self, choice: EngineChoice, requires: str | None) -> str:
        """It makes the page, too."""
        if choice.place:
            if choice.packages and "nbconvert" not in choice.packages:
                return "nbconvert is not in the same environment"
        elif not Path(choice.path).with_name("jupyter-nbconvert").is_file():
            return "jupyter-nbconvert is not in the same environment"
        return super().why_unsuitable(choice, requires)

    def results(self, run: Path, epoch: int) -> Results:
        """Whatever appeared beside it: a notebook doesn't say what it writes."""
        return Results(appeared="always")

    def why(self, run: Path, step: str, exit_code: int) -> str:
        """The message of the cell that failed."""
        return failing_cell(run / EXECUTED) or super().why(run, step, exit_code)
