"""Snakemake ≥ 9 (its logger plug-in interface tells what happens).

Loaded by its entry point. Facts about signals, locks and events: executors/snakemake-logger-plugin-esap/README.md.
"""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Mapping
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import EventSource, Job, finding
from esap_wf.engines.snakemake_events import SnakemakeEvents
from esap_wf.errors import Problem, UnavailableError
from esap_wf.models.plan import EngineChoice

PLUGIN = "snakemake_logger_plugin_esap"
LOGGER_INTERFACE = ">=9.3"


class Snakemake:
    """See `esap_wf.engines.Engine`."""

    name = "snakemake"
    title = "Snakemake"

    def find(self, config: Config, requires: str | None = None) -> EngineChoice | None:
        """First that is new enough for the workflow and for the logger interface."""
        both = ",".join(filter(None, (requires, LOGGER_INTERFACE)))
        return finding.find("snakemake", self.name, "snakemake", config, both)

    def how_to_get(self) -> str:
        """The command that installs it."""
        return "esap-wf engines install snakemake"

    def command(self, choice: EngineChoice, job: Job) -> list[str]:
        """The bare command, relative to the run directory."""
        memory = max(1, job.allocation.memory_bytes // 1_000_000)
        return [
            choice.path,
            "--snakefile", job.entry,
            "--configfile", job.params,
            "--directory", ".",
            "--cores", str(job.allocation.cores),
            "--resources", f"mem_mb={memory}",
            # the default, an integer linear program a round, costs time quadratic in the number of jobs
            "--scheduler", "greedy",
            "--scheduler-subsample", "50",
            "--keep-going",
            "--rerun-incomplete",
            *job.options,
        ]  # fmt: skip

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

    def events(self, run: Path, epoch: int, told: int = 0) -> EventSource:
        """What the plug-in wrote."""
        return SnakemakeEvents(self._told(run, epoch), run, epoch, told)

    def stop_signal(self, drain: bool) -> tuple[int, bool]:
        """SIGTERM: no new jobs, running ones end. To cancel, local jobs must get it too: SIGINT to Snakemake alone doesn't stop them."""
        return signal.SIGTERM, not drain

    def before_resume(self, run: Path) -> list[list[str]]:
        """A killed Snakemake leaves its lock; the survivors are gone when this is asked."""
        locks = run / ".snakemake" / "locks"
        return [["--unlock"]] if locks.is_dir() and any(locks.iterdir()) else []

    def _told(self, run: Path, epoch: int) -> Path:
        return run / "engine" / f"{epoch}.snakemake.jsonl"
