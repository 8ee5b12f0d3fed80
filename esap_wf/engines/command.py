"""The engine `command`: a few commands, one after the other, by bash. It carries the task types that need no engine (`esap_wf.tasks`).

Loaded by its entry point. The commands stand in ``steps.sh``, every word quoted; no value of a user is part of a shell line.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from esap_wf import containers, tasks
from esap_wf.config import Config
from esap_wf.engines import LOST, EventSource, Interface, Job, Rendered, Told
from esap_wf.engines.command_events import StepEvents
from esap_wf.errors import Problem, UnavailableError
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure
from esap_wf.tasks import HERE, Step

SCRIPT = "steps.sh"
TOLD = "STEPS_TOLD"
_HERE = Path(HERE)

_TEXT = """\
#!/usr/bin/env bash
# One command after the other. What has ended well is not repeated (engine/steps/); the end of each is written to $STEPS_TOLD.
set -uo pipefail
stopped=
trap 'stopped=1' TERM  # the step at work ends first, and counts
here=$PWD
told=${{STEPS_TOLD:-/dev/null}}
mkdir -p engine/steps logs outputs

step() {{
    local number=$1 name=$2 folder=$3 code=0
    shift 3
    [ -e "engine/steps/$number" ] && return
    [ -n "$stopped" ] && exit 143
    echo "step $name: logs/$name.log"
    printf '%s\\tstart\\t%s\\t\\n' "${{EPOCHREALTIME:-$(date +%s)}}" "$name" >>"$told"
    (cd -- "$folder" && exec "$@") >"logs/$name.log" 2>&1 || code=$?
    printf '%s\\tend\\t%s\\t%s\\n' "${{EPOCHREALTIME:-$(date +%s)}}" "$name" "$code" >>"$told"
    if [ "$code" -ne 0 ]; then
        tail -n 20 -- "logs/$name.log"
        exit "$code"
    fi
    : >"engine/steps/$number"
}}

{steps}
"""


class Command:
    """See `esap_wf.engines.Engine`."""

    name = "command"
    title = "bash"
    runtimes = "apptainer docker podman udocker"

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """The bash that is there: it runs ``command.sh`` anyway."""
        program = shutil.which("bash")
        if program:
            told = subprocess.run([program, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stdout
            match = re.search(r"version (\d+(\.\d+)*)", told)
            yield EngineChoice(name=self.name, path=program, version=match[1] if match else "0", found="PATH")

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """Any does."""
        return ""

    def how_to_get(self) -> str:
        """From the system."""
        return "install bash"

    def install(self, config: Config) -> Path:
        """It comes with the system."""
        raise UnavailableError("bash comes with the system", [Problem("bash", "is not installed by esap-wf", "apt-get install bash")])

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """That of the first task type which knows the path."""
        return next((found for task in tasks.carried_by(self.name) if (found := task.interface(path, item))), None)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """None: a task's file is checked when it is read."""
        return []

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """The steps of the task, in one script."""
        task = next((t for t in tasks.carried_by(self.name) if t.knows(job.entry)), None)
        if task is None:
            raise UnavailableError("no such task type", [Problem(job.entry, f"no type of the engine {self.name} knows this file")])
        found = task.steps(choice, job)
        lines = "\n".join(_line(i, step) for i, step in enumerate(found.steps, start=1))
        files = {**found.files, SCRIPT: _TEXT.format(steps=lines).encode()}
        return Rendered([shutil.which("bash") or "bash", SCRIPT, *job.options], files, working_copy=found.working_copy)

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """Where the ends of the steps are written."""
        return [], {TOLD: str(self._told(run, epoch))}

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """What the script wrote."""
        offset = self._told(run, epoch).stat().st_size if told == LOST and self._told(run, epoch).exists() else 0
        return StepEvents(self._told(run, epoch), run, epoch, offset if told == LOST else int(told or 0), self.why)

    def why(self, run: Path, step: str, exit_code: int) -> str:
        """The first line of a failed step: the last that it said."""
        return last_line(run / "logs" / f"{step}.log") or f"exit code {exit_code}"

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        """SIGTERM: the script waits for the step at work and begins no other; to cancel, the step gets it too."""
        return signal.SIGTERM, not drain

    def survivors(self, run: Path) -> list[int]:
        """The steps inherit the run's key."""
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        """Nothing is locked."""
        return []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """Failures come as events."""
        return []

    def _told(self, run: Path, epoch: int) -> Path:
        return run / "engine" / f"{epoch}.steps.tsv"


def last_line(log: Path) -> str:
    """The last line of a log that says something, as one printable line."""
    try:
        with log.open("rb") as f:
            f.seek(max(0, log.stat().st_size - 20_000))
            lines = [line.strip() for line in f.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "".join(c if c.isprintable() else " " for c in lines[-1])[:500] if lines else ""


def _line(number: int, step: Step) -> str:
    argv, added = list(step.argv), {}
    if step.container:
        made = containers.command(
            step.container,
            containers.Task(command=step.argv, workdir=_HERE if step.folder == "." else _HERE / step.folder,
                            read_only=[Path(p) for p in step.read_only],
                            writable=[] if step.folder == "." else [_HERE]),
        )  # fmt: skip
        argv, added = made.argv, made.environment
    words = [str(number), step.name, step.folder, *(["env", *(f"{k}={v}" for k, v in sorted(added.items()))] if added else []), *argv]
    return "step " + " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word for bash, with the run directory's place filled in when it runs."""
    parts = word.split(str(_HERE))
    return '"$here"'.join(shlex.quote(p) if p or len(parts) == 1 else "" for p in parts)
