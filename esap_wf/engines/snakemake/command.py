"""The bare command of Snakemake and its files: of a house workflow, and of a pipeline with its own names."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from pathlib import Path

from esap_wf.engines import Job, Rendered, settings
from esap_wf.engines.snakemake import containers, queue, snakefile
from esap_wf.engines.snakemake.outputs import PROJECT
from esap_wf.errors import UsageError
from esap_wf.models.plan import EngineChoice

CONFIG = "config.json"


def house(choice: EngineChoice, job: Job) -> Rendered:
    """Of a house workflow: one configuration file, and a command relative to the run directory."""
    command = [
        choice.path,
        *([job.item] if job.item else []),
        "--snakefile",
        job.entry,
        "--configfile",
        CONFIG,
        "--directory",
        ".",
        "--cores",
        str(job.allocation.cores),
        *_where(job),
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


def _where(job: Job) -> list[str]:
    """Where the jobs work: here, together within the memory of the run, or by a workload manager."""
    if job.queue is not None:
        return queue.arguments(job.queue, job.steps)
    return ["--resources", f"mem_mb={max(1, job.allocation.memory_bytes // 1_000_000)}"]


def plain(choice: EngineChoice, job: Job) -> Rendered:
    """
    Of a pipeline with its own names, in a copy of its repository: there relative paths mean what they mean
    in a clone.

    Only values that were given are passed, over the pipeline's own configuration, and no limits but the
    cores.
    """
    file = Path(job.entry).relative_to(job.folder)
    values = settings.plain(settings.relocated(job, job.workdir))
    workdir = f"{PROJECT}/{job.workdir}".rstrip("/")
    # --directory takes the place of the pipeline's own `workdir:`; then Snakemake is started there
    # instead
    folder = workdir if _has_workdir(job, file) else ""

    def seen(path: str) -> str:
        return posixpath.relpath(path, folder) if folder else path

    command = [
        choice.path,
        *([job.item] if job.item else []),
        "--snakefile",
        seen(f"{PROJECT}/{file}"),
        *([] if folder else ["--directory", workdir]),
        *(["--configfile", seen(CONFIG)] if values else []),
        *(["--workflow-profile", seen(profile)] if (profile := own_profile(job, file)) else []),
        "--cores",
        str(job.allocation.cores),
        *(_where(job) if job.queue else []),
        "--rerun-incomplete",
    ]
    files = {CONFIG: settings.as_json(values)} if values else {}
    container = job.software.container
    if images := job.software.images:
        added = containers.own(job, images)
        links = {f"{workdir}/{name}": image for name, image in added.links.items()}
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


def own_profile(job: Job, file: Path) -> str:
    """
    The pipeline's own profile; empty if it has none. Snakemake looks for it where it is started, which is the
    run directory here.
    """
    if job.source is None:
        return ""
    folder = Path(job.workdir, "profiles", "default")
    root = job.source.parents[len(file.parts) - 1]
    return f"{PROJECT}/{folder}" if any((root / folder).glob("config*.y*ml")) else ""


def _has_workdir(job: Job, file: Path) -> bool:
    if job.source is None:
        return False
    try:
        return snakefile.read_snakefile(job.source, job.source.parents[len(file.parts) - 1]).moves
    except UsageError:  # with a manifest, it is Snakemake's to say
        return False
