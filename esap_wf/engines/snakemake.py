"""Snakemake ≥ 9 (its logger plug-in interface tells what happens).

Loaded by its entry point. Facts about signals, locks and events: executors/snakemake-logger-plugin-esap/README.md.
"""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import (
    LOST,
    EventSource,
    Interface,
    Job,
    Rendered,
    Told,
    finding,
    settings,
    snakefile,
    snakemake_containers,
    snakemake_interface,
    snakemake_python,
)
from esap_wf.engines.command import last_line
from esap_wf.engines.snakemake_events import SnakemakeEvents
from esap_wf.engines.snakemake_interface import PROJECT
from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure, Reason

CONFIG = "config.json"
PLUGIN = "snakemake_logger_plugin_esap"
LOGGER_INTERFACE = ">=9.3"


class Snakemake:
    """See `esap_wf.engines.Engine`."""

    name = "snakemake"
    title = "Snakemake"
    runtimes = "apptainer"

    def candidates(self, config: Config) -> Iterable[EngineChoice]:
        """See `esap_wf.engines.finding`."""
        return finding.choices("snakemake", self.name, "snakemake", config)

    def misfit(self, choice: EngineChoice, requires: str | None) -> str:
        """It must be new enough for the workflow and for the logger interface."""
        return finding.misfit(choice.version, requires, LOGGER_INTERFACE)

    def how_to_get(self) -> str:
        """The command that installs it."""
        return "esap-wf engines install snakemake"

    def install(self, config: Config) -> Path:
        """From pins, into an environment of its own."""
        return finding.install(self.name, config)

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """From the configuration, its schemas and the target rule, see `esap_wf.engines.snakemake_interface`."""
        return snakemake_interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """What it imports and the Python of Snakemake doesn't have, see `esap_wf.engines.snakemake_python`."""
        _, root = snakemake_interface.find(entry) or (entry, entry.parent)
        try:
            said = snakefile.read(entry, root)
        except UsageError:  # with a manifest, it is Snakemake's to say
            return []
        return snakemake_python.objections(said, root, Path(choice.path))

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """One configuration file, and the bare command relative to the run directory."""
        if job.plain:
            return self._plain(choice, job)
        memory = max(1, job.allocation.memory_bytes // 1_000_000)
        command = [
            choice.path,
            "--snakefile", job.entry,
            "--configfile", CONFIG,
            "--directory", ".",
            "--cores", str(job.allocation.cores),
            "--resources", f"mem_mb={memory}",
            # the default, an integer linear program a round, costs time quadratic in the number of jobs
            "--scheduler", "greedy",
            "--scheduler-subsample", "50",
            "--keep-going",
            "--rerun-incomplete",
        ]  # fmt: skip
        files = {CONFIG: settings.as_json(settings.house(job))}
        container = job.software.container
        if container is None:
            return Rendered([*command, *job.options], files)
        added = snakemake_containers.contained(job, container)
        command[command.index("--snakefile") + 1] = snakemake_containers.FILE
        return Rendered([*command, *added.command, *job.options], {**files, **added.files}, added.environment, added.bin_dirs)

    def _plain(self, choice: EngineChoice, job: Job) -> Rendered:
        """
        A pipeline with its own names, in a copy of its repository: there relative paths mean what they mean in a clone.

        Only values that were given are passed, over the pipeline's own configuration, and no limits but the cores.
        """
        file = Path(job.entry).relative_to(job.folder)
        values = settings.plain(settings.relocated(job))
        command = [
            choice.path,
            *([job.item] if job.item else []),
            "--snakefile", f"{PROJECT}/{file}",
            "--directory", PROJECT,
            *(["--configfile", CONFIG] if values else []),
            *self._profile(job, file),
            "--cores", str(job.allocation.cores),
            "--rerun-incomplete",
        ]  # fmt: skip
        files = {CONFIG: settings.as_json(values)} if values else {}
        container = job.software.container
        if images := job.software.images:
            added = snakemake_containers.own(job, images)
            links = {f"{PROJECT}/{name}": place for name, place in added.links.items()}
            return Rendered([*command, *added.command, *job.options], files, added.environment, added.bin_dirs, PROJECT, links)
        if container is None:
            return Rendered([*command, *job.options], files, working_copy=PROJECT)
        added = snakemake_containers.contained(replace(job, entry=f"{PROJECT}/{file}"), container)
        command[command.index("--snakefile") + 1] = snakemake_containers.FILE
        files = {**files, **added.files}
        return Rendered([*command, *added.command, *job.options], files, added.environment, added.bin_dirs, PROJECT)

    def _profile(self, job: Job, file: Path) -> list[str]:
        """The pipeline's own profile: Snakemake looks for it where it is started, which is the run directory here."""
        place = Path("profiles", "default")
        if job.source is None:
            return []
        root = job.source.parents[len(file.parts) - 1]
        return ["--workflow-profile", f"{PROJECT}/{place}"] if any((root / place).glob("config*.y*ml")) else []

    def supervised(self, run: Path, epoch: int, resume: bool) -> tuple[list[str], Mapping[str, str]]:
        """
        The logger plug-in. It is linked into the run directory and reached by PYTHONPATH, so that any Snakemake can load it.

        Raises
        ------
        UnavailableError
            The plug-in is not installed beside esap-wf.
        """
        spec = importlib.util.find_spec(PLUGIN)
        if spec is None or spec.origin is None:
            raise UnavailableError(
                "Snakemake's logger plug-in is missing", [Problem(PLUGIN, "not installed", "pip install 'esap-wf[snakemake]'")]
            )
        plugins = run / "engine" / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        link = plugins / PLUGIN
        if not link.is_symlink() or link.readlink() != Path(spec.origin).parent:
            link.unlink(missing_ok=True)
            link.symlink_to(Path(spec.origin).parent)
        return ["--logger", "esap", "--logger-esap-path", str(self._told(run, epoch))], {"PYTHONPATH": str(plugins)}

    def events(self, run: Path, epoch: int, told: Told = None) -> EventSource:
        """What the plug-in wrote."""
        return SnakemakeEvents(
            self._told(run, epoch), run, epoch, sys.maxsize if told == LOST else int(told or 0), PROJECT if (run / PROJECT).is_dir() else ""
        )

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        """SIGTERM: no new jobs, running ones end. To cancel, local jobs must get it too: SIGINT to Snakemake alone doesn't stop them."""
        return signal.SIGTERM, not drain

    def survivors(self, run: Path) -> list[int]:
        """Its jobs inherit the run's key."""
        return []

    def before_resume(self, run: Path) -> list[list[str]]:
        """A killed Snakemake leaves its lock; the survivors are gone when this is asked."""
        places = (run / ".snakemake" / "locks", run / PROJECT / ".snakemake" / "locks")
        return [["--unlock"]] if any(p.is_dir() and any(p.iterdir()) for p in places) else []

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """Its first error that is no job's, as the plug-in heard it; what it printed last if it didn't come so far as to load it."""
        said: list[str] = []
        source = SnakemakeEvents(self._told(run, epoch), run, epoch)
        while events := source.read():
            said += [e.detail for e in events if e.kind == "engine" and e.reason and e.detail]
        if not said and exit_code and exit_code > 0 and not source.path.exists():
            said = [last_line(run / "logs" / "engine.log")]
        told = [re.sub(r"\s+", " ", text.removesuffix(":\nNone").replace(f"{run}/", ""))[:1000] for text in said[:1] if text]
        return [Failure(step="engine", reason=Reason.ENGINE, exit_code=exit_code, log="logs/engine.log", detail=text) for text in told]

    def _told(self, run: Path, epoch: int) -> Path:
        return run / "engine" / f"{epoch}.snakemake.jsonl"
