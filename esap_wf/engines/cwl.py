"""cwltool, the reference runner of CWL v1.0 to v1.2.

Loaded by its entry point. It has no plug-ins: `cwl_hook` is loaded by its Python and tells what happens; its facts are in docs/engines.md.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from esap_wf import files
from esap_wf.config import Config
from esap_wf.engines import LOST, EventSource, Interface, Job, Rendered, Told, cwl_check, cwl_interface, cwl_job, finding
from esap_wf.engines.cwl_events import CwlEvents, Steps, told_of
from esap_wf.errors import EsapError, Problem
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure, Reason

#: With ``--parallel-max``: without it a run takes every core of the machine.
NEEDED = ">=3.3"
CACHE = "work/cwl-cache"
HOOK = Path(__file__).parent / "cwl_hook" / "sitecustomize.py"
#: cwltool's exit code for what it does not support.
UNSUPPORTED = 33
#: Errors that follow from another one.
_ECHO = re.compile(r"Exception on step|Unexpected exception$|Unhandled exception|Workflow cannot make any more progress")


class Cwltool:
    """See `esap_wf.engines.Engine`."""

    name = "cwl"
    title = "cwltool"
    runtimes = "apptainer docker podman udocker"

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """See `esap_wf.engines.finding`."""
        return finding.choices("cwltool", self.name, "cwltool", config)

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """It must be new enough for the workflow and for its options."""
        return finding.misfit(choice.version, requires, NEEDED)

    def how_to_get(self) -> str:
        """The command that installs it."""
        return "esap-wf engines install cwl"

    def install(self, config: Config) -> Path:
        """From pins, into an environment of its own."""
        return finding.install(self.name, config)

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the document."""
        return cwl_interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """Broken references, requirements that it doesn't know, JavaScript without Node.js."""
        node = shutil.which("nodejs") or shutil.which("node")
        return cwl_check.objections(cwl_check.check(entry, item), f"{self.title} {choice.version}", node)

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """A job order, and the bare command relative to the run directory."""
        contained = cwl_job.contained(job)
        command = [
            choice.path,
            "--outdir", "outputs",
            "--parallel", "--parallel-max", str(job.allocation.cores),
            "--on-error", "continue",
            "--timestamps", "--disable-color",
            "--tmpdir-prefix", "work/tmp/",
            # names of files may hold spaces; documents may use cwltool's own extensions
            "--relax-path-checks", "--enable-ext",
            *contained.arguments,
            *job.options,
            cwl_job.document(job), cwl_job.ORDER,
        ]  # fmt: skip
        return Rendered(command, {cwl_job.ORDER: cwl_job.order(job), **contained.files}, contained.environment, contained.bin_dirs)

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """The hook, which also turns on the cache: what is done is not repeated."""
        return [], hooked(run, epoch) | {"ESAP_WF_CWL_CACHE": CACHE}

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """What the hook wrote."""
        return CwlEvents(told_path(run, epoch), run, epoch, steps_of(run), offset_of(told))

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        """The hook starts no more jobs after SIGUSR1. To cancel, jobs get SIGTERM, too: cwltool would wait ten seconds for each."""
        return (signal.SIGUSR1, False) if drain else (signal.SIGTERM, True)

    def survivors(self, run: Path) -> list[int]:
        """Its jobs carry the run's key."""
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        """Nothing: a job that was not done has no entry in the cache."""
        return []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """What it logged as an error."""
        return explained(told_path(run, epoch), exit_code)


# --- what Toil shares


def told_path(run: Path, epoch: int) -> Path:
    """Where the hook of an epoch tells."""
    return run / "engine" / f"{epoch}.cwl.jsonl"


def hooked(run: Path, epoch: int) -> dict[str, str]:
    """The environment in which cwltool's Python loads the hook, of which the run gets a copy."""
    place = run / "engine" / "plugins" / "cwl"
    place.mkdir(parents=True, exist_ok=True)
    files.write_atomic(place / HOOK.name, HOOK.read_bytes(), sync=False)
    return {
        "PYTHONPATH": str(place),
        "ESAP_WF_CWL_TOLD": str(told_path(run, epoch)),
        "ESAP_WF_CWL_LOGS": str(run / "logs" / "jobs"),
        "ESAP_WF_CWL_KEEP": " ".join(cwl_job.PRESERVED),
    }


def steps_of(run: Path) -> Steps:
    """The steps of a run's document, from its plan and snapshot."""
    try:
        plan = json.loads((run / "plan.json").read_bytes())
        return cwl_check.steps_of(run / plan["entry"], plan.get("item"))
    except (OSError, ValueError, KeyError, EsapError):
        return Steps()


def offset_of(told: Told) -> int:
    """Bytes that were told; all of them if nobody knows."""
    return sys.maxsize if told == LOST else int(told or 0)


def explained(path: Path, exit_code: int | None, said: Sequence[str] = ()) -> list[Failure]:
    """Errors that belong to no job: a document or an input that is refused or gone, an expression that fails; else `said`."""
    run = path.parent.parent
    found = CwlEvents(path, run, 0, Steps())
    while found.read():
        pass
    texts = [told_of(text, run) for text in found.said if not _ECHO.match(text)] or [told_of(text, run) for text in said]
    if exit_code == UNSUPPORTED:
        texts.sort(key=lambda text: "unsupported" not in text.lower())
        texts = texts or [f"exit code {UNSUPPORTED}: the document needs something that this engine does not support"]
    detail, reason = texts[0] if texts else "", Reason.ENGINE
    ended = exit_code is not None and 0 < exit_code < 128  # by itself
    for name, lost in _gone(run) if texts or ended else ():
        if not texts or Path(lost).name in unquote(detail):
            detail, reason = f"input {name}: there is no {lost} any more" + (f" ({detail})" if detail else ""), Reason.STAGE_IN
            break
    return [Failure(step="engine", reason=reason, exit_code=exit_code, log="logs/engine.log", detail=detail[:1000])] if detail else []


def _gone(run: Path) -> Iterator[tuple[str, str]]:
    """Inputs of the job order that are not there now."""
    try:
        order = json.loads((run / cwl_job.ORDER).read_bytes())
    except (OSError, ValueError):
        return
    for name, value in order.items():
        for given in value if isinstance(value, list) else [value]:
            if isinstance(given, dict) and given.get("class") in ("File", "Directory") and isinstance(given.get("location"), str):
                place = unquote(given["location"].removeprefix("file://"))
                if not (run / place).exists():
                    yield name, place
