"""Nextflow as a subprocess.

Loaded by `esap_wf.plugins`. It has no interface for programs: what happens is read from its log and its trace
(`esap_wf.engines.nextflow.events`). Its facts are in docs/nextflow.md.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from esap_wf.config import Config
from esap_wf.engines import (
    Cursor,
    Demand,
    DryRun,
    EngineBase,
    EventSource,
    Installable,
    Interface,
    Job,
    LaunchAdditions,
    Outline,
    Rendered,
    Results,
    StopSignal,
    programs,
    queued,
    settings,
)
from esap_wf.engines.nextflow import installations, installer, published, raised
from esap_wf.engines.nextflow.events import NextflowEvents
from esap_wf.engines.nextflow.installations import Machine
from esap_wf.engines.nextflow.log import LOG, log_path, run_name
from esap_wf.engines.nextflow.reasons import explain
from esap_wf.engines.nextflow.trace import trace_path
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import reading
from esap_wf.models.place import Queue
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure

CONFIG = "nextflow.config"
PARAMS = "params.json"
#: What jobs get beyond the plan.
RAISED = "engine/raised.config"
#: Bytes of heap that Nextflow needs for itself; parameters take many times their size in the file.
HEAP = 512_000_000
HEAP_PER_BYTE = 12

_COMMENT = re.compile(r"(?P<text>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")|/\*.*?\*/|//[^\n]*", re.DOTALL)
_VERSION = re.compile(r"\bnextflowVersion\s*[=:]\s*(['\"])(?P<version>[^'\"]*)\1")
_PLUGIN = re.compile(r"\bid\s*\(?\s*(['\"])(?P<id>[A-Za-z0-9_.-]+)(?:@(?P<version>[^'\"]+))?\1")


class Nextflow(EngineBase):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "nextflow"
    title = "Nextflow"
    runtimes = "apptainer podman docker udocker"
    queues = ("slurm",)
    records = (LOG,)
    raises = True

    def installations(self, config: Config) -> Iterable[EngineChoice]:
        """Configured, own environment, PATH, `engines install`; each with the Java that will run it."""
        return installations.choices(config)

    def why_unsuitable(self, choice: EngineChoice, requires: str | None) -> str:
        """Java, the program itself, the version in Nextflow's words."""
        return installations.incompatibility(choice, requires)

    def how_to_install(self) -> str:
        """With and without internet."""
        return installer.HOW

    def installable(self, requires: str | None) -> Installable:
        """The release whose parts are all to be had."""
        try:
            return Installable(
                installer.VERSION, not requires or installations.fits(installer.VERSION, requires)
            )
        except ValueError:  # told by `why_unsuitable`
            return Installable(installer.VERSION, False)

    def install(self, config: Config) -> Path:
        """By Maven, below the cache."""
        return installer.install(config)

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the pipeline's files."""
        # a parser of scripts: not for a supervisor, which loads this module, too
        from esap_wf.engines.nextflow import interface

        return interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """
        The version that the pipeline's configuration asks for (Nextflow itself often only warns), and
        plug-ins that are not here.
        """
        from esap_wf.engines.nextflow import project

        beside = entry.parent / CONFIG
        return [
            p
            for file in (beside, project.launch_config(entry, entry))
            if file
            for p in self._unmet(choice, file)
        ]

    def _unmet(self, choice: EngineChoice, config: Path) -> list[Problem]:
        try:
            text = reading.read_text(config, strict=False)
        except EsapError:
            return []
        text = _COMMENT.sub(lambda m: m["text"] or re.sub(r"[^\n]", " ", m[0]), text)
        problems = []
        if (declared := _VERSION.search(text)) and declared["version"].strip():
            problems += self._against(
                choice, declared["version"], f"{config}:{_line(text, declared.start())}"
            )
        if not choice.place and not Machine.of(choice.detail).online:
            problems += self._plugins(text, config)
        return problems

    def outline(self, entry: Path, item: str | None) -> Outline:
        """Processes and the names of what they make, see `esap_wf.engines.nextflow.lint`."""
        from esap_wf.engines.nextflow import lint

        return lint.outline(entry, item)

    def dry_run(self, choice: EngineChoice, job: Job, rendered: Rendered) -> list[str]:
        """Its preview: everything is compiled and the workflow carried out, but no process."""
        return [*rendered.command, "-preview"]

    def read_dry_run(self, exit_code: int, text: str, entry: str) -> DryRun:
        """See `esap_wf.engines.nextflow.lint`."""
        from esap_wf.engines.nextflow import lint

        return lint.read_preview(exit_code, text, entry)

    def demands(
        self, entry: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]
    ) -> list[Demand]:
        """From directives and configuration, see `esap_wf.engines.nextflow.demands`."""
        from esap_wf.engines.nextflow import demands

        return demands.demands(entry, item, options, values)

    def conflicts(self, choice: EngineChoice, job: Job) -> list[Problem]:
        """Profiles that are not there, or that run tasks elsewhere."""
        from esap_wf.engines.nextflow import profiles

        return profiles.conflicts(job) if job.source else []

    def _plugins(self, text: str, config: Path) -> Iterable[Problem]:
        """Plug-ins that the pipeline names and that are not on this machine, while nothing may be fetched."""
        folder = Path.home() / ".nextflow" / "plugins"
        for block in re.finditer(r"\bplugins\s*\{([^}]*)\}", text):
            for wanted in _PLUGIN.finditer(block[1]):
                name, version = wanted["id"], wanted["version"]
                if version and (folder / f"{name}-{version}").is_dir():
                    continue
                why = (
                    f"@{version} is not in {folder}"
                    if version
                    else " has no version, and Nextflow is started offline"
                )
                hint = (
                    f"`nextflow plugin install {name}@{version or 'VERSION'}` gets it with internet; "
                    "or let runs fetch plug-ins: [engines.nextflow] offline = false"
                )
                yield Problem(
                    f"{config}:{_line(text, block.start(1) + wanted.start())}",
                    f"the plug-in {name}{why}",
                    hint,
                )

    def _against(self, choice: EngineChoice, wanted: str, where: str) -> list[Problem]:
        try:
            if installations.fits(choice.version, wanted):
                return []
            what = f"Nextflow {wanted} is needed, there is {choice.version} at {choice.path} ({choice.found})"
            hint = programs.advice(self, wanted)
        except ValueError as error:
            what, hint = f"nextflowVersion: {error}", "write for example >=23.04"
        return [Problem(where, what, hint)]

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """Parameters, a configuration, and the bare command relative to the run directory."""
        from esap_wf.engines.nextflow import configuration, queue

        # Nextflow replaces ${name} in a parameter file by its own variables: a value is meant as it stands
        params = settings.as_json(settings.house(job)).replace(b"${", b"\\u0024{")
        machine = Machine.of(choice.detail)
        heap = (max(job.allocation.memory_bytes // 4, HEAP) + HEAP_PER_BYTE * len(params)) // 1_000_000
        command = [
            choice.path,
            "-log",
            LOG,
            *self._from_top(job),
            "-c",
            CONFIG,
            "run",
            job.entry,
            "-params-file",
            PARAMS,
            "-work-dir",
            "work",
            "-ansi-log",
            "false",
            *([] if machine.online else ["-offline"]),
            *(["-entry", job.item] if job.item else []),
            *job.options,
        ]
        environment = {
            "NXF_OPTS": f"-Xmx{heap}m -XX:+ExitOnOutOfMemoryError {machine.options}".strip(),
            "NXF_DISABLE_CHECK_LATEST": "true",
            **({"JAVA_CMD": machine.java} if machine.java else {}),
        }
        programs = configuration.programs(job)
        submits = queue.lines(job.queue, job.steps) if job.queue else ()
        files = {PARAMS: params, CONFIG: configuration.text(job, submits).encode(), **programs}
        return Rendered(
            command,
            files,
            environment,
            (configuration.PROGRAMS,) if programs else (),
            copies={copy: f"{job.folder}/{name}" for copy, name in job.beside.items()},
        )

    def _from_top(self, job: Job) -> list[str]:
        """The configuration of the pipeline's top, where one would start a script that stands deeper."""
        depth = len(Path(job.entry).relative_to(job.folder).parts)
        if (
            not job.plain
            or job.source is None
            or depth < 2
            or not (job.source.parents[depth - 1] / CONFIG).is_file()
        ):
            return []
        return ["-c", f"{job.folder}/{CONFIG}"]

    def profile(self, queue: Queue) -> Mapping[str, bytes]:
        """``nextflow -c nextflow.config run``."""
        from esap_wf.engines.nextflow import queue as queues

        return {CONFIG: ("\n".join(queues.lines(queue, {})) + "\n").encode()}

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """
        A name and a trace of the epoch; the session of the first one is resumed explicitly. What was raised
        for jobs is a further configuration.
        """
        arguments = [
            "-name",
            run_name(run, epoch),
            "-with-trace",
            str(trace_path(run, epoch).relative_to(run)),
        ]
        session = _session(run) if resume else None
        if resume and queued.submits(run):
            _forget_failures(run)
        arguments += ["-resume", session] if session else []
        if more := queued.raised(run):
            (run / RAISED).write_bytes(raised.configuration(more))
            arguments += ["-c", RAISED]
        return LaunchAdditions(arguments, published.TRACED)

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """From its log and trace."""
        return NextflowEvents(run, epoch, cursor)

    def stop_signal(self, drain: bool) -> StopSignal | None:
        """
        SIGTERM: Nextflow ends its jobs. It knows no way to let them finish and start no others; what is done
        stays done.
        """
        return None if drain else StopSignal(signal.SIGTERM, to_jobs=False)

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """From what it printed, and from its log."""
        log = log_path(run, epoch)
        return explain(run, exit_code, str(log.relative_to(run)) if log else None, self.title)

    def results(self, run: Path, epoch: int) -> Results:
        """What it published, and what else appeared where it was launched."""
        return published.results(run, epoch)


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _forget_failures(run: Path) -> None:
    """
    Remove exit codes of failed tasks: one that was ended while no Nextflow lived is begun again in the same
    folder, where its old exit code would be taken for the end of the new job.
    """
    for path in (run / "work").glob("[0-9a-f][0-9a-f]/*/.exitcode"):
        if path.read_bytes().strip() != b"0":
            path.unlink(missing_ok=True)


def _session(run: Path) -> str | None:
    """
    Session of what the run's epochs started, from the history in the launch directory; None if none came so
    far.
    """
    try:
        lines = (run / ".nextflow" / "history").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    prefix = run_name(run, 0)[:-1]
    rows = [
        row
        for row in (line.split("\t") for line in lines)
        if len(row) >= 7 and re.fullmatch(r"[0-9a-f-]{36}", row[5])
    ]
    own = [row for row in rows if row[2].startswith(prefix)] or rows
    return own[0][5] if own else None
