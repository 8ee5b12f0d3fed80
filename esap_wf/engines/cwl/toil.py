"""Toil's runner of CWL: the same documents as cwltool, each job a worker of its own, with a job store from
which it is restarted.

Loaded by `esap_wf.plugins`. Its workers load the same hook as cwltool (`esap_wf.engines.cwl.engine`); its
facts are in docs/engines.md.
"""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.engines import (
    Cursor,
    Demand,
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
    settings,
)
from esap_wf.engines.cwl import answer, check, demands, engine, interface, job_order, lint, queue
from esap_wf.engines.cwl.toil_events import ToilEvents
from esap_wf.errors import Problem
from esap_wf.formats import reading
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure

STORE = "work/toil-jobstore"
SCRATCH = "work/toil"
#: Takes the place of the user's own ~/.toil/default.yaml.
CONFIG = "toil.json"
#: Memory that Toil claims for a job that has failed, and half of it for its own: with less it refuses what
#: would need a tenth.
MEMORY = 2_200_000_000
#: Toil calls its other programs by name: their folder goes behind the PATH, where it can't take the place of
#: a tool's python.
_START = 'mkdir -p "$2" && PATH="$PATH:$1" && answer=$3 && shift 3 && exec "$@" >"$answer"'
#: An exception's text may go on in further lines.
_RAISED = re.compile(
    r"^[ \t]*(?:[\w.]+\.)?(?P<name>\w*(?:Exception|Error|Unsupported\w*)): "
    r"(?P<text>.+(?:\n(?!\s*$|\s*\[\d{4}-|\s*<=|\s*Traceback).+)*)",
    re.MULTILINE,
)
_LOGGED = re.compile(r"^\[[^\]]+\] \[[^\]]+\] \[[EC]\] \[(?P<name>[^\]]+)\] (?P<text>.+)")


class Toil(EngineBase):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "toil"
    title = "Toil"
    runtimes = "apptainer docker podman udocker"
    program = "toil-cwl-runner"
    queues = ("slurm",)
    package = "toil"
    needs = ">=9,<10"  # its message bus and its names of jobs
    pins = programs.REQUIREMENTS / "toil.txt"  # of its own: Toil pins a cwltool
    #: Its workers' command is a text whose words a shell parts.
    refused_in_paths = r"[^\w./+%=@,-]"

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the document, as for cwltool: it runs the same ones."""
        return interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """As for cwltool; Toil's file store does not change files in place."""
        found = check.check(entry, item)
        found.unsupported += [
            (node, "the requirement InplaceUpdateRequirement is not supported") for node in found.inplace
        ]
        return check.objections(found, f"{self.title} {choice.version}", engine.javascript(choice))

    def outline(self, entry: Path, item: str | None) -> Outline:
        """As of cwltool. It has no dry run of its own."""
        return lint.outline(entry, item)

    def job_problems(self, entry: Path, item: str | None, job: Job) -> list[Problem]:
        """What the document asks for and the job order doesn't give."""
        return lint.incompatibilities(entry, item, job)

    def demands(
        self, entry: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]
    ) -> list[Demand]:
        """From ResourceRequirement and ToolTimeLimit; Toil refuses what no machine of it has."""
        return demands.demands(entry, item, values, frozenset({"cores", "memory"}), fails=True)

    def conflicts(self, choice: EngineChoice, job: Job) -> list[Problem]:
        """Tools that insist on a container."""
        return job_order.insisting(job, self.title)

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """A job order, and the bare command relative to the run directory."""
        contained = job_order.contained(job)
        command = [
            "bash",
            "-c",
            _START,
            "bash",
            str(Path(choice.path).parent),
            SCRATCH,
            job_order.ANSWER,
            choice.path,
            "--config",
            CONFIG,
            "--jobStore",
            f"file:{STORE}",
            "--workDir",
            SCRATCH,
            "--coordinationDir",
            SCRATCH,
            "--outdir",
            "outputs",
            "--clean",
            "onSuccess",
            *_where(job),
            # a job that fails is reported, not tried again
            "--retryCount",
            "0",
            "--stopOnFirstFailure",
            "False",
            "--caching",
            "False",
            "--no-prepull",
            "--logInfo",
            "--logColors",
            "False",
            "--publishWorkflowMetrics",
            "no",
            "--relax-path-checks",
            "--enable-ext",
            *contained.arguments,
            *job.options,
            job_order.document(job),
            job_order.ORDER,
        ]
        files = {
            job_order.ORDER: job_order.order(job),
            CONFIG: settings.as_json({"statusWait": 3600}),
            **contained.files,
        }
        return Rendered(command, files, {"TOIL_HISTORY": "0", **contained.environment}, contained.bin_dirs)

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """
        The hook, the leader's messages, and the job store to go on from.

        One that wasn't finished when Toil was killed holds nothing, and there is none any more when Toil has
        ended well unseen.
        """
        arguments = ["--writeMessages", str(_bus(run, epoch).relative_to(run))]
        store = run / STORE
        if resume and (store / "shared" / "rootJobStoreID").is_file():
            arguments.append("--restart")
        elif resume:
            if store.exists():
                shutil.rmtree(store)
            files.append_line(
                engine.hook_record(run, epoch),
                msgspec.json.encode({"t": round(time.time(), 4), "anew": True}) + b"\n",
            )
        return LaunchAdditions(arguments, engine.hooked(run, epoch))

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """What the workers' hook and the leader reported."""
        records = engine.hook_record(run, epoch), _bus(run, epoch)
        hook, _, bus = str(cursor.mark or "0:0").partition(":")
        offsets = (
            (following.size(records[0]), following.size(records[1])) if cursor.lost else (int(hook), int(bus))
        )
        return ToilEvents(*records, run, epoch, engine.steps_of(run), offsets)

    def stop_signal(self, drain: bool) -> StopSignal | None:
        """SIGTERM: Toil kills its workers. It knows no way to let them finish and start no others."""
        return None if drain else StopSignal(signal.SIGTERM, to_jobs=False)

    def ended_well(self, run: Path, epoch: int) -> bool:
        """
        Its answer is whole: it writes it when its results are in place, and then deletes its job store
        (``--clean onSuccess``).

        Without the job store it could only begin from nothing.
        """
        return answer.is_whole(run)

    def results(self, run: Path, epoch: int) -> Results | None:
        """What the process gave back."""
        return answer.results(run)

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """What it raised, or logged as an error."""
        text = reading.tail(run / "logs" / "engine.log", 200_000)
        raised = [m["text"] for m in _RAISED.finditer(text) if m["name"] != "FailedJobsException"]
        messages = raised or [m["text"] for line in text.splitlines() if (m := _LOGGED.match(line))]
        return engine.explained(engine.hook_record(run, epoch), exit_code, messages[-1:])


def _where(job: Job) -> list[str]:
    """Where its workers work: here, within what the run may use, or by a workload manager."""
    if job.queue is not None:
        return queue.arguments(job.queue)
    memory = max(MEMORY, job.allocation.memory_bytes)
    return ["--maxCores", str(job.allocation.cores), "--maxMemory", str(memory)]


def _bus(run: Path, epoch: int) -> Path:
    return run / "engine" / f"{epoch}.toil.messages"
