"""The engine `command`: a few commands, one after the other, by bash. It carries the task types that need no
engine (`esap_wf.tasks`).

Loaded by `esap_wf.plugins`. The commands stand in ``steps.sh``, every word quoted; no value of a user is part
of a shell line.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from esap_wf import tasks
from esap_wf.config import Config
from esap_wf.engines import (
    Cursor,
    EngineBase,
    EventSource,
    Interface,
    Job,
    LaunchAdditions,
    Rendered,
    StopSignal,
    following,
)
from esap_wf.engines.command.events import StepEvents
from esap_wf.errors import Problem, UnavailableError
from esap_wf.formats import reading
from esap_wf.models.plan import EngineChoice
from esap_wf.software import containers
from esap_wf.tasks import HERE, Step

SCRIPT = "steps.sh"
RECORD_VARIABLE = "STEPS_TOLD"
_HERE = Path(HERE)
#: What stands for a place or a key in a step's words, and the script's variable that has it when it runs.
_RUN, _ENGINE = "esap-wf-key-of-the-run", "esap-wf-key-of-the-engine"
_VARIABLES = {HERE: "here", _RUN: "run", _ENGINE: "engine"}
#: Defines `step`; the steps follow.
_BEGINNING = Path(__file__).with_name(SCRIPT)


class TaskEngine(EngineBase):
    """What carries task types: their steps in one script. See `esap_wf.engines.EngineBase`."""

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """That of the first task type which knows the path."""
        return next(
            (found for task in tasks.carried_by(self.name) if (found := task.interface(path, item))), None
        )

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """The steps of the task, in one script."""
        task = next((t for t in tasks.carried_by(self.name) if t.knows(job.entry)), None)
        if task is None:
            raise UnavailableError(
                "no such task type",
                [Problem(job.entry, f"no type of the engine {self.name} knows this file")],
            )
        found = task.steps(choice, job)
        lines = "\n".join(_line(i, step) for i, step in enumerate(found.steps, start=1))
        files = {**found.files, SCRIPT: f"{_BEGINNING.read_text('utf-8')}\n{lines}\n".encode()}
        return Rendered(
            ["bash" if choice.place else shutil.which("bash") or "bash", SCRIPT, *job.options],
            files,
            working_copy=found.working_copy,
        )

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """Where the ends of the steps are written."""
        return LaunchAdditions(environment={RECORD_VARIABLE: str(self._record(run, epoch))})

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """What the script wrote."""
        record = self._record(run, epoch)
        return StepEvents(record, run, epoch, following.offset_of(cursor, record), self.why)

    def why(self, run: Path, step: str, exit_code: int) -> str:
        """The first line of a failed step: the last that it said."""
        return last_line(run / "logs" / f"{step}.log") or f"exit code {exit_code}"

    def stop_signal(self, drain: bool) -> StopSignal:
        """
        SIGTERM: the script waits for the step at work and begins no other; to cancel, the step gets it too.
        """
        return StopSignal(signal.SIGTERM, to_jobs=not drain)

    def _record(self, run: Path, epoch: int) -> Path:
        return run / "engine" / f"{epoch}.steps.tsv"


class Command(TaskEngine):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "command"
    title = "bash"
    runtimes = "apptainer docker podman udocker"
    program = "bash"

    def installations(self, config: Config) -> Iterable[EngineChoice]:
        """The bash that is there: it runs ``command.sh`` anyway."""
        program = shutil.which("bash")
        if program:
            printed = subprocess.run(
                [program, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            ).stdout
            match = re.search(r"version (\d+(\.\d+)*)", printed)
            yield EngineChoice(name=self.name, path=program, version=match[1] if match else "0", found="PATH")

    def how_to_install(self) -> str:
        """It comes with the system."""
        return "install bash"


def last_line(log: Path) -> str:
    """The last line of a log that says something, as one printable line."""
    lines = [line.strip() for line in reading.tail(log, 20_000).splitlines() if line.strip()]
    return "".join(c if c.isprintable() else " " for c in lines[-1])[:500] if lines else ""


def _line(number: int, step: Step) -> str:
    argv, added = list(step.argv), {}
    if step.container:
        made = containers.command(
            step.container,
            containers.Task(
                command=step.argv,
                workdir=_HERE if step.folder == "." else _HERE / step.folder,
                read_only=[Path(p) for p in step.read_only],
                writable=[] if step.folder == "." else [_HERE],
                run=_RUN,
                engine=_ENGINE,
            ),
        )
        argv, added = made.argv, made.environment
    words = [
        str(number),
        step.name,
        step.folder,
        *(["env", *(f"{k}={v}" for k, v in sorted(added.items()))] if added else []),
        *argv,
    ]
    return "step " + " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word for bash, with the run directory's place and the keys filled in when it runs."""
    parts = re.split("(" + "|".join(map(re.escape, _VARIABLES)) + ")", word)
    return "".join(
        f'"${_VARIABLES[p]}"' if p in _VARIABLES else shlex.quote(p) if p or len(parts) == 1 else ""
        for p in parts
    )
