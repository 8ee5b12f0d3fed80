"""Snakemake ≥ 9 (its logger plug-in interface tells what happens).

Loaded by `esap_wf.plugins`. Facts about signals, locks and events:
executors/snakemake-logger-plugin-esap/README.md.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
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
    queued,
)
from esap_wf.engines.command.engine import last_line
from esap_wf.engines.snakemake import (
    command,
    demands,
    incomplete,
    interface,
    lint,
    profiles,
    python,
    raised,
    snakefile,
    targets,
)
from esap_wf.engines.snakemake import queue as queues
from esap_wf.engines.snakemake.events import SnakemakeEvents
from esap_wf.engines.snakemake.outputs import PROJECT
from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.models.place import Queue
from esap_wf.models.plan import EngineChoice
from esap_wf.models.run import Event, Failure, Reason
from esap_wf.software import environments

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
    queues = ("slurm",)
    drains = True
    package = "snakemake"
    needs = ">=9.3"  # the logger interface
    pins = programs.REQUIREMENTS / "snakemake.txt"
    raises = True
    takes_up = True

    def why_unsuitable(self, choice: EngineChoice, requires: str | None) -> str:
        """
        It must be new enough for the workflow and for the logger interface, and have what the plug-in
        imports.
        """
        if why := super().why_unsuitable(choice, requires):
            return why
        name, needed = PLUGIN_NEEDS
        there = choice.packages if choice.place else environments.distributions(Path(choice.path))
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
        folder = plugin()
        if (folder / "__init__.py").is_file():
            return []
        what = (
            f"esap-wf's own plug-in for Snakemake is missing, there is no {folder}; jobs can't be "
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
        if choice.place:  # which modules its packages hold is not known
            return []
        _, root = interface.find(entry) or (entry, entry.parent)
        try:
            declared = snakefile.read_snakefile(entry, root)
        except UsageError:  # with a manifest, it is Snakemake's to say
            return []
        # one that is configured is never replaced by another
        given = () if choice.found == "configured" else environments.pins(self.pins)
        return python.objections(declared, root, Path(choice.path), given)

    def outline(self, entry: Path, item: str | None) -> Outline:
        """Rules and what they write, see `esap_wf.engines.snakemake.lint`."""
        return lint.outline(entry, item)

    def dry_run(self, choice: EngineChoice, job: Job, rendered: Rendered) -> list[str]:
        """Its dry run, which evaluates the graph and formats each job's command."""
        return [*rendered.command, "--dry-run", "--printshellcmds", "--nolock"]

    def read_dry_run(self, exit_code: int, text: str, entry: str) -> DryRun:
        """See `esap_wf.engines.snakemake.lint`."""
        return lint.read_dry_run(exit_code, text, entry)

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
        profile = None
        if job.plain and job.source:
            file = Path(job.entry).relative_to(job.folder)
            own = command.own_profile(job, file)
            root = job.source.parents[len(file.parts) - 1]
            profile = root / own.removeprefix(f"{PROJECT}/") if own else None
        return [*profiles.conflicts(job, choice, profile), *queues.missing(job, choice)]

    def render(self, choice: EngineChoice, job: Job) -> Rendered:
        """One configuration file, and the bare command relative to the run directory."""
        return command.plain(choice, job) if job.plain else command.house(choice, job)

    def profile(self, queue: Queue) -> Mapping[str, bytes]:
        """``snakemake --profile snakemake``."""
        return {"snakemake/config.yaml": queues.profile(queue)}

    def launch_additions(self, run: Path, epoch: int, resume: bool) -> LaunchAdditions:
        """
        The logger plug-in. It is linked into the run directory and reached by PYTHONPATH, so that any
        Snakemake can load it.

        A killed Snakemake leaves its lock where it worked. What was raised for jobs is given as resources of
        their rules.

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
        arguments += raised.arguments(run)
        arguments += queues.named(run) if queued.submits(run) else []
        return LaunchAdditions(
            arguments, {"PYTHONPATH": str(plugins)}, [["--unlock"]] if resume and self._is_locked(run) else []
        )

    def _is_locked(self, run: Path) -> bool:
        locks = [f / ".snakemake" / "locks" for f in (run / _directory(run), *self._worked(run))]
        return any(p.is_dir() and any(p.iterdir()) for p in locks)

    def _worked(self, run: Path) -> list[Path]:
        """Where Snakemake has worked, by its own records."""
        records = (run / "engine").glob("*.snakemake.jsonl")
        return [folder for record in records if (folder := targets.directory(record))]

    def events(self, run: Path, epoch: int, cursor: Cursor) -> EventSource:
        """What the plug-in wrote."""
        record = self._record(run, epoch)
        offset = following.offset_of(cursor, record)
        return SnakemakeEvents(record, run, epoch, offset, _directory(run), _targets(run))

    def stop_signal(self, drain: bool) -> StopSignal:
        """
        SIGTERM: no new jobs, running ones end. To cancel, local jobs must get it too: SIGINT to Snakemake
        alone doesn't stop them. Of jobs that it has submitted it cancels all on SIGINT.
        """
        return StopSignal(signal.SIGTERM, to_jobs=not drain, submitting=None if drain else signal.SIGINT)

    def left_behind(self, run: Path, epoch: int) -> list[Event]:
        """Jobs that were submitted and didn't end, by the plug-in's record."""
        source = SnakemakeEvents(self._record(run, epoch), run, epoch, 0, _directory(run), _targets(run))
        while source.read():
            pass
        return source.submitted()

    def take_up(self, run: Path, jobs: Sequence[Event]) -> None:
        """
        Without its mark of what is incomplete an output counts as made. The mark of a job that has ended well
        was left by the head that was killed.
        """
        folders = {run / _directory(run), *self._worked(run)}
        incomplete.unmark(
            [f / ".snakemake" / "incomplete" for f in folders], {j.batch for j in jobs if j.batch}
        )

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


def _targets(run: Path) -> list[str]:
    """The target rule of a stage (`Implementation.map`): it does no work, as ``all`` doesn't."""
    try:
        plan = json.loads((run / "plan.json").read_bytes())
        return [plan["item"]] if plan.get("config", "house") == "house" and plan.get("item") else []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _directory(run: Path) -> str:
    """
    The working directory of a run, relative to it, as its command says; empty: the run directory itself.
    """
    try:
        command = json.loads((run / "plan.json").read_bytes())["command"]
        folder = command[command.index("--directory") + 1]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        folder = PROJECT if (run / PROJECT).is_dir() else ""
    return "" if folder == "." else str(folder)
