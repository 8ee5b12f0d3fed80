"""Snakemake ≥ 9 (its logger plug-in interface tells what happens).

Loaded by `esap_wf.plugins`. Facts about signals, locks and events:
executors/snakemake-logger-plugin-esap/README.md.
"""

from __future__ import annotations

import json
import posixpath
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import esap_wf
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
    settings,
)
from esap_wf.engines.command.engine import last_line
from esap_wf.engines.snakemake import (
    containers,
    demands,
    interface,
    profiles,
    python,
    rehearsal,
    snakefile,
    targets,
)
from esap_wf.engines.snakemake.events import SnakemakeEvents
from esap_wf.engines.snakemake.interface import PROJECT
from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Failure, Reason
from esap_wf.software import environments

CONFIG = "config.json"
PLUGIN = "snakemake_logger_plugin_esap"
#: What the plug-in imports, and from which version on.
PLUGIN_NEEDS = ("snakemake-interface-logger-plugins", ">=1.2")


def plugin() -> Path:
    """
    Folder of the logger plug-in, always that of this esap-wf: in a checkout among the executors, else
    installed beside this package.
    """
    installed = Path(esap_wf.__file__).parents[1]
    beside = installed / "executors" / "snakemake-logger-plugin-esap" / "src" / PLUGIN
    return beside if beside.is_dir() else installed / PLUGIN


class Snakemake(EngineBase):
    """See `esap_wf.engines.EngineBase`."""

    contract = 1
    name = "snakemake"
    title = "Snakemake"
    runtimes = "apptainer"
    program = "snakemake"
    package = "snakemake"
    needs = ">=9.3"  # the logger interface
    pins = programs.REQUIREMENTS / "snakemake.txt"

    def why_unsuitable(self, choice: EngineChoice, requires: str | None) -> str:
        """
        It must be new enough for the workflow and for the logger interface, and have what the plug-in
        imports.
        """
        if why := super().why_unsuitable(choice, requires):
            return why
        name, needed = PLUGIN_NEEDS
        there = environments.distributions(Path(choice.path))
        if "snakemake" not in there:  # installed in a way that can't be looked into
            return ""
        if name not in there:
            return (
                f"{name} is missing there, so esap-wf could not see what its jobs do; pip install "
                f"'{name}{needed}' into that environment"
            )
        why = programs.incompatibility(there[name], needed)
        return (
            f"{name} there is {there[name]}, {why}: pip install --upgrade {name} in that environment"
            if why
            else ""
        )

    def lacks(self) -> list[Problem]:
        """
        The logger plug-in, if this installation of esap-wf has lost it: without it, no job of Snakemake could
        be seen.
        """
        place = plugin()
        if (place / "__init__.py").is_file():
            return []
        what = (
            f"esap-wf's own plug-in for Snakemake is missing, there is no {place}; jobs can't be "
            "followed without it"
        )
        return [
            Problem(
                "snakemake",
                what,
                "this installation is incomplete: pip install --force-reinstall --no-deps esap-wf",
            )
        ]

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """
        From the configuration, its schemas and the target rule, see `esap_wf.engines.snakemake.interface`.
        """
        return interface.derive(path, item)

    def objections(self, choice: EngineChoice, entry: Path, item: str | None) -> list[Problem]:
        """
        What it imports and the Python of Snakemake doesn't have, see `esap_wf.engines.snakemake.python`.
        """
        _, root = interface.find(entry) or (entry, entry.parent)
        try:
            declared = snakefile.read_snakefile(entry, root)
        except UsageError:  # with a manifest, it is Snakemake's to say
            return []
        # one that is configured is never replaced by another
        given = () if choice.found == "configured" else environments.pins(self.pins)
        return python.objections(declared, root, Path(choice.path), given)

    def outline(self, entry: Path, item: str | None) -> Outline:
        """Rules and what they write, see `esap_wf.engines.snakemake.rehearsal`."""
        return rehearsal.outline(entry)

    def dry_run(self, choice: EngineChoice, job: Job, rendered: Rendered) -> list[str]:
        """Its dry run, which evaluates the graph and formats each job's command."""
        return [*rendered.command, "--dry-run", "--printshellcmds", "--nolock"]

    def read_dry_run(self, exit_code: int, text: str, entry: str) -> DryRun:
        """See `esap_wf.engines.snakemake.rehearsal`."""
        return rehearsal.read_dry_run(exit_code, text, entry)

    def demands(
        self, entry: Path, item: str | None, options: Sequence[str], values: Mapping[str, Any]
    ) -> list[Demand]:
        """``threads`` and ``resources`` of its rules, see `esap_wf.engines.snakemake.demands`."""
        _, root = interface.find(entry) or (entry, entry.parent)
        try:
            declared = snakefile.read_snakefile(entry, root)
        except UsageError:
            return []
        return list(demands.demands(declared, demands.defaults_of(root, declared), values))

    def conflicts(self, choice: EngineChoice, job: Job) -> list[Problem]:
        """Executors and storages without a plug-in, see `esap_wf.engines.snakemake.profiles`."""
        place = None
        if job.plain and job.source:
            file = Path(job.entry).relative_to(job.folder)
            own = self._profile(job, file)
            place = job.source.parents[len(file.parts) - 1] / own.removeprefix(f"{PROJECT}/") if own else None
        return profiles.conflicts(job, Path(choice.path), place)

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """One configuration file, and the bare command relative to the run directory."""
        if job.plain:
            return self._render_plain(choice, job)
        memory = max(1, job.allocation.memory_bytes // 1_000_000)
        command = [
            choice.path,
            "--snakefile",
            job.entry,
            "--configfile",
            CONFIG,
            "--directory",
            ".",
            "--cores",
            str(job.allocation.cores),
            "--resources",
            f"mem_mb={memory}",
            # the default, an integer linear program a round, costs time quadratic in the number of jobs
            "--scheduler",
            "greedy",
            "--scheduler-subsample",
            "50",
            "--keep-going",
            "--rerun-incomplete",
        ]
        files = {CONFIG: settings.as_json(settings.house(job))}
        container = job.software.container
        if container is None:
            return Rendered([*command, *job.options], files)
        added = containers.contained(job, container)
        command[command.index("--snakefile") + 1] = containers.FILE
        return Rendered(
            [*command, *added.command, *job.options],
            {**files, **added.files},
            added.environment,
            added.bin_dirs,
        )

    def _render_plain(self, choice: EngineChoice, job: Job) -> Rendered:
        """
        A pipeline with its own names, in a copy of its repository: there relative paths mean what they mean
        in a clone.

        Only values that were given are passed, over the pipeline's own configuration, and no limits but the
        cores.
        """
        file = Path(job.entry).relative_to(job.folder)
        values = settings.plain(settings.relocated(job, job.workdir))
        place = f"{PROJECT}/{job.workdir}".rstrip("/")
        # --directory takes the place of the pipeline's own `workdir:`; then Snakemake is started there
        # instead
        folder = place if self._has_workdir(job, file) else ""

        def seen(path: str) -> str:
            return posixpath.relpath(path, folder) if folder else path

        command = [
            choice.path,
            *([job.item] if job.item else []),
            "--snakefile",
            seen(f"{PROJECT}/{file}"),
            *([] if folder else ["--directory", place]),
            *(["--configfile", seen(CONFIG)] if values else []),
            *(["--workflow-profile", seen(profile)] if (profile := self._profile(job, file)) else []),
            "--cores",
            str(job.allocation.cores),
            "--rerun-incomplete",
        ]
        files = {CONFIG: settings.as_json(values)} if values else {}
        container = job.software.container
        if images := job.software.images:
            added = containers.own(job, images)
            links = {f"{place}/{name}": image for name, image in added.links.items()}
            return Rendered(
                [*command, *added.command, *job.options],
                files,
                added.environment,
                added.bin_dirs,
                PROJECT,
                links,
                folder,
            )
        if container is None:
            return Rendered([*command, *job.options], files, working_copy=PROJECT, folder=folder)
        added = containers.contained(replace(job, entry=f"{PROJECT}/{file}"), container)
        command[command.index("--snakefile") + 1] = seen(containers.FILE)
        files = {**files, **added.files}
        return Rendered(
            [*command, *added.command, *job.options],
            files,
            added.environment,
            added.bin_dirs,
            PROJECT,
            folder=folder,
        )

    def _has_workdir(self, job: Job, file: Path) -> bool:
        if job.source is None:
            return False
        try:
            return snakefile.read_snakefile(job.source, job.source.parents[len(file.parts) - 1]).moves
        except UsageError:  # with a manifest, it is Snakemake's to say
            return False

    def _profile(self, job: Job, file: Path) -> str:
        """
        The pipeline's own profile: Snakemake looks for it where it is started, which is the run directory
        here.
        """
        if job.source is None:
            return ""
        place = Path(job.workdir, "profiles", "default")
        root = job.source.parents[len(file.parts) - 1]
        return f"{PROJECT}/{place}" if any((root / place).glob("config*.y*ml")) else ""

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """
        The logger plug-in. It is linked into the run directory and reached by PYTHONPATH, so that any
        Snakemake can load it.

        A killed Snakemake leaves its lock where it worked.

        Raises
        ------
        UnavailableError
            This esap-wf has lost it.
        """
        if missing := self.lacks():
            raise UnavailableError("Snakemake's logger plug-in is missing", missing)
        plugins = run / "engine" / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        link, target = plugins / PLUGIN, plugin()
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        kept = targets.protect(run, epoch)
        arguments = ["--logger", "esap", "--logger-esap-path", str(self._record(run, epoch))]
        arguments += ["--logger-esap-keep", str(kept)] if kept else []
        return LaunchAdditions(
            arguments, {"PYTHONPATH": str(plugins)}, [["--unlock"]] if resume and self._is_locked(run) else []
        )

    def _is_locked(self, run: Path) -> bool:
        worked = [
            d for record in (run / "engine").glob("*.snakemake.jsonl") if (d := targets.directory(record))
        ]
        locks = [place / ".snakemake" / "locks" for place in (run / _directory(run), *worked)]
        return any(p.is_dir() and any(p.iterdir()) for p in locks)

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """What the plug-in wrote."""
        record = self._record(run, epoch)
        return SnakemakeEvents(record, run, epoch, following.offset_of(cursor, record), _directory(run))

    def stop_signal(self, drain: bool) -> StopSignal:
        """
        SIGTERM: no new jobs, running ones end. To cancel, local jobs must get it too: SIGINT to Snakemake
        alone doesn't stop them.
        """
        return StopSignal(signal.SIGTERM, to_jobs=not drain)

    def results(self, run: Path, epoch: int) -> Results | None:
        """Files of the targets, as Snakemake has evaluated them."""
        return targets.results(self._record(run, epoch), run)

    def explain(self, run: Path, epoch: int, exit_code: int | None) -> list[Failure]:
        """
        Its first error that is no job's, as the plug-in heard it; what it printed last if it didn't come so
        far as to load it.
        """
        errors: list[str] = []
        source = SnakemakeEvents(self._record(run, epoch), run, epoch)
        while events := source.read():
            errors += [e.detail for e in events if e.kind == "engine" and e.reason and e.detail]
        if not errors and exit_code and exit_code > 0 and not source.path.exists():
            errors = [last_line(run / "logs" / "engine.log")]
        texts = [
            re.sub(r"^WorkflowError:\n|\n  File \"[^\n]*, line \d+, in [^\n]*", "", text)
            for text in errors[:1]
        ]
        details = [
            re.sub(r"\s+", " ", text.removesuffix(":\nNone").replace(f"{run}/", ""))[:1000]
            for text in texts
            if text
        ]
        return [
            Failure(
                step="engine", reason=Reason.ENGINE, exit_code=exit_code, log="logs/engine.log", detail=text
            )
            for text in details
        ]

    def _record(self, run: Path, epoch: int) -> Path:
        return run / "engine" / f"{epoch}.snakemake.jsonl"


def _directory(run: Path) -> str:
    """
    The working directory of a run, relative to it, as its command says; empty: the run directory itself.
    """
    try:
        command = json.loads((run / "plan.json").read_bytes())["command"]
        place = command[command.index("--directory") + 1]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        place = PROJECT if (run / PROJECT).is_dir() else ""
    return "" if place == "." else str(place)
