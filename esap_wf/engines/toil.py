"""Toil's runner of CWL: the same documents as cwltool, each job a worker of its own, with a job store from which it is restarted.

Loaded by its entry point. Its workers load the same hook as cwltool (`esap_wf.engines.cwl`); its facts are in docs/engines.md.
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import LOST, EventSource, Interface, Job, Rendered, Told, cwl, cwl_check, cwl_interface, cwl_job, finding, settings
from esap_wf.engines.toil_events import ToilEvents
from esap_wf.errors import Problem
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure

NEEDED = ">=9,<10"
STORE = "work/toil-jobstore"
SCRATCH = "work/toil"
#: Takes the place of the user's own ~/.toil/default.yaml.
CONFIG = "toil.json"
#: Memory that Toil claims for a job that has failed, and half of it for its own: with less it refuses what would need a tenth.
MEMORY = 2_200_000_000
#: Toil calls its other programs by name: their folder goes behind the PATH, where it can't take the place of a tool's python.
_START = 'mkdir -p "$2" && PATH="$PATH:$1" && shift 2 && exec "$@"'
#: An exception's text may go on in further lines.
_RAISED = re.compile(
    r"^[ \t]*(?:[\w.]+\.)?(?P<name>\w*(?:Exception|Error|Unsupported\w*)): "
    r"(?P<text>.+(?:\n(?!\s*$|\s*\[\d{4}-|\s*<=|\s*Traceback).+)*)",
    re.MULTILINE,
)
_LOGGED = re.compile(r"^\[[^\]]+\] \[[^\]]+\] \[[EC]\] \[(?P<name>[^\]]+)\] (?P<text>.+)")


class Toil:
    """See `esap_wf.engines.Engine`."""

    name = "toil"
    title = "Toil"
    runtimes = "apptainer docker podman udocker"

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """See `esap_wf.engines.finding`."""
        return finding.choices("toil-cwl-runner", self.name, "toil", config)

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """Its message bus and its names of jobs are those of Toil 9."""
        return finding.misfit(choice.version, requires, NEEDED)

    def how_to_get(self) -> str:
        """The command that installs it."""
        return "esap-wf engines install toil"

    def install(self, config: Config) -> Path:
        """From pins, into an environment of its own: Toil pins a cwltool."""
        return finding.install(self.name, config)

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the document, as for cwltool: it runs the same ones."""
        return cwl_interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """As for cwltool; Toil's file store does not change files in place."""
        found = cwl_check.check(entry, item)
        found.unsupported += [(node, "the requirement InplaceUpdateRequirement is not supported") for node in found.inplace]
        return cwl_check.objections(found, f"{self.title} {choice.version}", shutil.which("nodejs") or shutil.which("node"))

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """A job order, and the bare command relative to the run directory."""
        contained = cwl_job.contained(job)
        command = [
            "bash", "-c", _START, "bash", str(Path(choice.path).parent), SCRATCH,
            choice.path,
            "--config", CONFIG,
            "--jobStore", f"file:{STORE}", "--workDir", SCRATCH, "--coordinationDir", SCRATCH,
            "--outdir", "outputs",
            "--clean", "onSuccess",
            "--maxCores", str(job.allocation.cores),
            "--maxMemory", str(max(MEMORY, job.allocation.memory_bytes)),
            # a job that fails is told, not tried again
            "--retryCount", "0", "--stopOnFirstFailure", "False",
            "--caching", "False", "--no-prepull",
            "--logInfo", "--logColors", "False", "--publishWorkflowMetrics", "no",
            "--relax-path-checks", "--enable-ext",
            *(word for name in cwl_job.PRESERVED for word in ("--preserve-environment", name)),
            *contained.arguments,
            *job.options,
            cwl_job.document(job), cwl_job.ORDER,
        ]  # fmt: skip
        files = {cwl_job.ORDER: cwl_job.order(job), CONFIG: settings.as_json({"statusWait": 3600}), **contained.files}
        return Rendered(command, files, {"TOIL_HISTORY": "0", **contained.environment}, contained.bin_dirs)

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """The hook, the leader's messages, and the job store to go on from. One that wasn't finished when Toil was killed holds nothing."""
        arguments = ["--writeMessages", str(_bus(run, epoch).relative_to(run))]
        store = run / STORE
        if resume and store.exists():
            if (store / "shared" / "rootJobStoreID").is_file():
                arguments.append("--restart")
            else:
                shutil.rmtree(store)
        return arguments, cwl.hooked(run, epoch)

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """What the workers' hook and the leader told."""
        hook, _, bus = str(told).partition(":") if isinstance(told, str) and told != LOST else ("0", "", "0")
        offsets = (sys.maxsize, sys.maxsize) if told == LOST else (int(hook), int(bus))
        return ToilEvents(cwl.told_path(run, epoch), _bus(run, epoch), run, epoch, cwl.steps_of(run), offsets)

    def stop_signal(self, drain: bool) -> tuple[int, bool] | None:
        """SIGTERM: Toil kills its workers. It knows no way to let them finish and start no others."""
        return None if drain else (signal.SIGTERM, False)

    def survivors(self, run: Path) -> list[int]:
        """Its workers carry the run's key."""
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        """Nothing: Toil repairs its job store itself."""
        return []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """What it raised, or logged as an error."""
        try:
            text = (run / "logs" / "engine.log").read_bytes()[-200_000:].decode("utf-8", "replace")
        except OSError:
            text = ""
        raised = [m["text"] for m in _RAISED.finditer(text) if m["name"] != "FailedJobsException"]
        told = raised or [m["text"] for line in text.splitlines() if (m := _LOGGED.match(line))]
        return cwl.explained(cwl.told_path(run, epoch), exit_code, told[-1:])


def _bus(run: Path, epoch: int) -> Path:
    return run / "engine" / f"{epoch}.toil.messages"
