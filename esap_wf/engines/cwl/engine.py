"""cwltool, the reference runner of CWL v1.0 to v1.2.

Loaded by `esap_wf.plugins`. It has no plug-ins: its Python loads the hook (`hook/sitecustomize.py`), which
tells what happens; its facts are in docs/engines.md.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from esap_wf import files
from esap_wf.engines import (
    Cursor,
    Demand,
    DryRun,
    EngineBase,
    EventSource,
    Interface,
    Job,
    LaunchAdditions,
    Outline,
    Rendered,
    Results,
    StopSignal,
    following,
    programs,
)
from esap_wf.engines.cwl import answer, check, demands, interface, job_order, lint
from esap_wf.engines.cwl.events import CwlEvents, Steps, in_one_line
from esap_wf.errors import EsapError, Problem
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure, Reason

CACHE = "work/cwl-cache"
HOOK = Path(__file__).parent / "hook" / "sitecustomize.py"
#: cwltool's exit code for what it does not support.
UNSUPPORTED = 33
#: Errors that follow from another one.
_ECHO = re.compile(
    r"Exception on step|Unexpected exception$|Unhandled exception|Workflow cannot make any more progress"
)


class Cwltool(EngineBase):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "cwl"
    title = "cwltool"
    runtimes = "apptainer docker podman udocker"
    program = "cwltool"
    package = "cwltool"
    needs = ">=3.3"  # --parallel-max: without it a run takes every core of the machine
    pins = programs.REQUIREMENTS / "cwl.txt"

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the document."""
        return interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """Broken references, requirements that it doesn't know, JavaScript without Node.js."""
        node = javascript(choice)
        return check.objections(check.check(entry, item), f"{self.title} {choice.version}", node)

    def outline(self, entry: Path, item: str | None) -> Outline:
        """
        Steps, names of files, and what is wrong with the references, see `esap_wf.engines.cwl.lint`.
        """
        return lint.outline(entry, item)

    def job_problems(self, entry: Path, item: str | None, job: Job) -> list[Problem]:
        """What the document asks for and the job order doesn't give."""
        return lint.incompatibilities(entry, item, job)

    def dry_run(self, choice: EngineChoice, job: Job, rendered: Rendered) -> list[str]:
        """
        Its check of the document; of the job order `esap_wf.engines.cwl.lint` says what doesn't fit.
        """
        return [
            choice.path,
            "--validate",
            "--disable-color",
            "--relax-path-checks",
            "--enable-ext",
            job_order.document(job),
        ]

    def read_dry_run(self, exit_code: int, text: str, entry: str) -> DryRun:
        """See `esap_wf.engines.cwl.lint`."""
        return lint.read_check(exit_code, text, entry)

    def demands(
        self, entry: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]
    ) -> list[Demand]:
        """
        From ResourceRequirement and ToolTimeLimit. Without ``--parallel`` cwltool holds no tool to what the
        machine has.
        """
        return demands.demands(entry, item, values, frozenset({"cores"}), fails=False)

    def conflicts(self, choice: EngineChoice, job: Job) -> list[Problem]:
        """Tools that insist on a container."""
        return job_order.insisting(job, self.title)

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """A job order, and the bare command relative to the run directory."""
        contained = job_order.contained(job)
        command = [
            choice.path,
            "--outdir",
            "outputs",
            "--write-summary",
            job_order.ANSWER,
            # in parallel it refuses what asks for more than there is; one after the other, as the bare engine
            # by default, it doesn't
            *([] if job.allocation.exceeded else ["--parallel", "--parallel-max", str(job.allocation.cores)]),
            "--on-error",
            "continue",
            "--timestamps",
            "--disable-color",
            "--tmpdir-prefix",
            "work/tmp/",
            # names of files may hold spaces; documents may use cwltool's own extensions
            "--relax-path-checks",
            "--enable-ext",
            *contained.arguments,
            *job.options,
            job_order.document(job),
            job_order.ORDER,
        ]
        return Rendered(
            command,
            {job_order.ORDER: job_order.order(job), **contained.files},
            contained.environment,
            contained.bin_dirs,
        )

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """The hook, which also turns on the cache: what is done is not repeated."""
        return LaunchAdditions(environment=hooked(run, epoch) | {"ESAP_WF_CWL_CACHE": CACHE})

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """What the hook wrote."""
        record = hook_record(run, epoch)
        return CwlEvents(record, run, epoch, steps_of(run), following.offset_of(cursor, record))

    def stop_signal(self, drain: bool) -> StopSignal:
        """
        The hook starts no more jobs after SIGUSR1. To cancel, jobs get SIGTERM, too: cwltool would wait ten
        seconds for each.
        """
        return (
            StopSignal(signal.SIGUSR1, to_jobs=False) if drain else StopSignal(signal.SIGTERM, to_jobs=True)
        )

    def results(self, run: Path, epoch: int) -> Results | None:
        """What the process gave back."""
        return answer.results(run)

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """What it logged as an error."""
        return explained(hook_record(run, epoch), exit_code)


# --- what Toil shares


def javascript(choice: EngineChoice) -> str | None:
    """Node.js where the engine is; None if there is none."""
    if choice.place:
        return next((name for name in ("nodejs", "node") if name in choice.programs), None)
    return shutil.which("nodejs") or shutil.which("node")


def hook_record(run: Path, epoch: int) -> Path:
    """Where the hook of an epoch tells."""
    return run / "engine" / f"{epoch}.cwl.jsonl"


def hooked(run: Path, epoch: int) -> dict[str, str]:
    """The environment in which cwltool's Python loads the hook, of which the run gets a copy."""
    (run / job_order.ANSWER).unlink(missing_ok=True)  # of an engine that didn't end well
    folder = run / "engine" / "plugins" / "cwl"
    folder.mkdir(parents=True, exist_ok=True)
    files.write_atomic(folder / HOOK.name, HOOK.read_bytes(), sync=False)
    return {
        **_journals(run),
        "PYTHONPATH": str(folder),
        "ESAP_WF_CWL_RECORD": str(hook_record(run, epoch)),
        "ESAP_WF_CWL_LOGS": str(run / "logs" / "jobs"),
        "ESAP_WF_CWL_KEEP": " ".join(job_order.PRESERVED),
    }


def _journals(run: Path) -> dict[str, str]:
    """Where shards keep their journals, also those in containers; nothing if there are none."""
    try:
        plan = json.loads((run / "plan.json").read_bytes())
        if not plan["sharding"]["size"]:
            return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {job_order.SHARDS: str(run / "work" / "shards")}


def _document(plan: Mapping[str, Any]) -> str:
    """The document of a run; of one in shards it may be another than its workflow names."""
    if not plan.get("sharding", {}).get("size"):
        return str(plan["entry"])
    files = [str(word).partition("#")[0] for word in plan["command"]]
    return next((file for file in files if file.endswith(".cwl")), str(plan["entry"]))


def steps_of(run: Path) -> Steps:
    """The steps of a run's document, from its plan and snapshot."""
    try:
        plan = json.loads((run / "plan.json").read_bytes())
        steps = check.steps_of(run / _document(plan), plan.get("item"))
        cut = plan.get("slicing", {}).get("slices", 1) > 1
        return replace(steps, slice=str(plan["parameters"].get("slice", "")) if cut else "")
    except (OSError, ValueError, KeyError, EsapError):
        return Steps()


def explained(path: Path, exit_code: int | None, otherwise: Sequence[str] = ()) -> list[Failure]:
    """
    Errors that belong to no job: a document or an input that is refused or gone, an expression that fails;
    else `otherwise`.
    """
    run = path.parent.parent
    found = CwlEvents(path, run, 0, Steps())
    while found.read():
        pass
    texts = [in_one_line(text, run) for text in found.errors if not _ECHO.match(text)] or [
        in_one_line(text, run) for text in otherwise
    ]
    if exit_code == UNSUPPORTED:
        texts.sort(key=lambda text: "unsupported" not in text.lower())
        texts = texts or [
            f"exit code {UNSUPPORTED}: the document needs something that this engine does not support"
        ]
    detail, reason = texts[0] if texts else "", Reason.ENGINE
    ended = exit_code is not None and 0 < exit_code < 128  # by itself
    for name, lost in _gone(run) if texts or ended else ():
        if not texts or Path(lost).name in unquote(detail):
            detail, reason = (
                f"input {name}: there is no {lost} any more" + (f" ({detail})" if detail else ""),
                Reason.STAGE_IN,
            )
            break
    return (
        [
            Failure(
                step="engine", reason=reason, exit_code=exit_code, log="logs/engine.log", detail=detail[:1000]
            )
        ]
        if detail
        else []
    )


def _gone(run: Path) -> Iterator[tuple[str, str]]:
    """Inputs of the job order that are not there now."""
    try:
        order = json.loads((run / job_order.ORDER).read_bytes())
    except (OSError, ValueError):
        return
    for name, value in order.items():
        for given in value if isinstance(value, list) else [value]:
            if (
                isinstance(given, dict)
                and given.get("class") in ("File", "Directory")
                and isinstance(given.get("location"), str)
            ):
                path = unquote(given["location"].removeprefix("file://"))
                if not (run / path).exists():
                    yield name, path
