"""Nextflow as a subprocess.

Loaded by its entry point. It has no interface for programs: what happens is read from its log and its trace
(`esap_wf.engines.nextflow_events`). Its facts are in docs/nextflow.md.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import EventSource, Interface, Job, Rendered, Told, nextflow_finding, nextflow_install, settings
from esap_wf.engines.nextflow_events import LOG, NextflowEvents, log_path, run_name, trace_path
from esap_wf.engines.nextflow_finding import Machine
from esap_wf.engines.nextflow_reasons import explain
from esap_wf.errors import Problem
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure

CONFIG = "nextflow.config"
PARAMS = "params.json"
#: Bytes of heap that Nextflow needs for itself; parameters take many times their size in the file.
HEAP = 512_000_000
HEAP_PER_BYTE = 12

_COMMENT = re.compile(r"(?P<text>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")|/\*.*?\*/|//[^\n]*", re.DOTALL)
_VERSION = re.compile(r"\bnextflowVersion\s*[=:]\s*(['\"])(?P<said>[^'\"]*)\1")
_PLUGIN = re.compile(r"\bid\s*\(?\s*(['\"])(?P<id>[A-Za-z0-9_.-]+)(?:@(?P<version>[^'\"]+))?\1")


class Nextflow:
    """See `esap_wf.engines.Engine`."""

    name = "nextflow"
    title = "Nextflow"
    runtimes = "apptainer podman docker udocker"

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """Configured, own environment, PATH, `engines install`; each with the Java that will run it."""
        return nextflow_finding.choices(config)

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """Java, the program itself, the version in Nextflow's words."""
        return nextflow_finding.misfit(choice, requires)

    def how_to_get(self) -> str:
        """With and without internet."""
        return nextflow_install.HOW

    def install(self, config: Config) -> Path:
        """By Maven, below the cache."""
        return nextflow_install.install(config)

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the pipeline's files."""
        from esap_wf.engines import nextflow_interface  # a parser of scripts: not for a supervisor, which loads this module, too

        return nextflow_interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """The version that the pipeline's configuration asks for (Nextflow itself often only warns), and plug-ins that are not here."""
        config = entry.parent / CONFIG
        try:
            text = config.read_text("utf-8", "replace")
        except OSError:
            return []
        text = _COMMENT.sub(lambda m: m["text"] or re.sub(r"[^\n]", " ", m[0]), text)
        problems = []
        if (said := _VERSION.search(text)) and said["said"].strip():
            problems += self._against(choice, said["said"], f"{config}:{_line(text, said.start())}")
        if not Machine.of(choice.detail).online:
            problems += self._plugins(text, config)
        return problems

    def _plugins(self, text: str, config: Path) -> Iterable[Problem]:
        place = Path.home() / ".nextflow" / "plugins"
        for block in re.finditer(r"\bplugins\s*\{([^}]*)\}", text):
            for wanted in _PLUGIN.finditer(block[1]):
                name, version = wanted["id"], wanted["version"]
                if version and (place / f"{name}-{version}").is_dir():
                    continue
                why = f"@{version} is not in {place}" if version else " has no version, and Nextflow is started offline"
                hint = (
                    f"`nextflow plugin install {name}@{version or 'VERSION'}` gets it with internet; "
                    "or let runs fetch plug-ins: [engines.nextflow] offline = false"
                )
                yield Problem(f"{config}:{_line(text, block.start(1) + wanted.start())}", f"the plug-in {name}{why}", hint)

    def _against(self, choice: EngineChoice, wanted: str, where: str) -> list[Problem]:
        try:
            if nextflow_finding.fits(choice.version, wanted):
                return []
            what = f"Nextflow {wanted} is needed, there is {choice.version} at {choice.path} ({choice.found})"
            hint = "another one is named in the configuration: [engines.nextflow] path"
        except ValueError as error:
            what, hint = f"nextflowVersion: {error}", "write for example >=23.04"
        return [Problem(where, what, hint)]

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """Parameters, a configuration, and the bare command relative to the run directory."""
        from esap_wf.engines import nextflow_config

        # Nextflow replaces ${name} in a parameter file by its own variables: a value is meant as it stands
        params = settings.as_json(settings.house(job)).replace(b"${", b"\\u0024{")
        machine = Machine.of(choice.detail)
        heap = (max(job.allocation.memory_bytes // 4, HEAP) + HEAP_PER_BYTE * len(params)) // 1_000_000
        command = [
            choice.path,
            "-log", LOG,
            "-c", CONFIG,
            "run", job.entry,
            "-params-file", PARAMS,
            "-work-dir", "work",
            "-ansi-log", "false",
            *([] if machine.online else ["-offline"]),
            *(["-entry", job.item] if job.item else []),
            *job.options,
        ]  # fmt: skip
        environment = {
            "NXF_OPTS": f"-Xmx{heap}m -XX:+ExitOnOutOfMemoryError {machine.options}".strip(),
            "NXF_DISABLE_CHECK_LATEST": "true",
            **({"JAVA_CMD": machine.java} if machine.java else {}),
        }
        programs = nextflow_config.programs(job)
        files = {PARAMS: params, CONFIG: nextflow_config.text(job).encode(), **programs}
        return Rendered(command, files, environment, (nextflow_config.PROGRAMS,) if programs else ())

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """A name and a trace of the epoch; the session of the first one is resumed explicitly."""
        arguments = ["-name", run_name(run, epoch), "-with-trace", str(trace_path(run, epoch).relative_to(run))]
        session = _session(run) if resume else None
        return [*arguments, *(["-resume", session] if session else [])], {}

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """From its log and trace."""
        return NextflowEvents(run, epoch, told)

    def stop_signal(self, drain: bool) -> tuple[int, bool] | None:
        """SIGTERM: Nextflow ends its jobs. It knows no way to let them finish and start no others; what is done stays done."""
        return None if drain else (signal.SIGTERM, False)

    def survivors(self, run: Path) -> list[int]:
        """Its jobs inherit the run's key, in containers, too."""
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        """Its cache's lock is one of the system and ends with the process."""
        return []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """From what it printed, and from its log."""
        log = log_path(run, epoch)
        return explain(run, exit_code, str(log.relative_to(run)) if log else None, self.title)


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _session(run: Path) -> str | None:
    """Session of what the run's epochs started, from the history in the launch directory; None if none came so far."""
    try:
        lines = (run / ".nextflow" / "history").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    prefix = run_name(run, 0)[:-1]
    rows = [row for row in (line.split("\t") for line in lines) if len(row) >= 7 and re.fullmatch(r"[0-9a-f-]{36}", row[5])]
    own = [row for row in rows if row[2].startswith(prefix)] or rows
    return own[0][5] if own else None
