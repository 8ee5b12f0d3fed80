"""
Snakemake with the plug-in for Slurm: each job is a batch job, in which a Snakemake of its own runs the rule.

The status of jobs is asked by ``squeue``: with ``sacct`` the plug-in takes ``CANCELLED by 0`` for no end, and
would wait for ever. That needs a controller that remembers ended jobs for three times `poll` (MinJobAge).
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from esap_wf.backends.queue import job_key
from esap_wf.engines import Job
from esap_wf.engines.snakemake import python
from esap_wf.errors import Problem
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import EngineChoice

PLUGIN, PACKAGE = "snakemake_executor_plugin_slurm", "snakemake-executor-plugin-slurm"
#: A key of a profile, or an option without its dashes → its value.
Options = dict[str, str | int | list[str]]


def options(queue: Queue, steps: Mapping[str, StepNeeds]) -> Options:
    """
    What makes a Snakemake submit its jobs.

    Parameters
    ----------
    queue : Queue
    steps : mapping of str to StepNeeds
        Rules and what their jobs ask for, over what the Snakefile says.
    """
    made: Options = {
        "executor": "slurm",
        "jobs": queue.jobs,
        # rules that are marked as local do next to nothing
        "local-cores": 1,
        "default-resources": list(_defaults(queue)),
        "latency-wait": queue.latency,
        "seconds-between-status-checks": max(1, math.ceil(queue.poll)),
        "slurm-init-seconds-before-status-checks": max(1, math.ceil(queue.poll)),
        "slurm-status-command": "squeue",
        # a controller that is away is asked again for long
        "slurm-status-attempts": 5,
    }
    if queue.submissions:
        made["max-jobs-per-timespan"] = f"{queue.submissions}/1m"
    if queue.qos:
        made["slurm-qos"] = queue.qos
    if queue.reservation:
        made["slurm-reservation"] = queue.reservation
    if threads := [f"{rule}={needs.cores}" for rule, needs in sorted(steps.items()) if needs.cores]:
        made["set-threads"] = threads
    if amounts := [word for rule, needs in sorted(steps.items()) for word in _amounts(rule, needs, queue)]:
        made["set-resources"] = amounts
    return made


def arguments(queue: Queue, steps: Mapping[str, StepNeeds]) -> list[str]:
    """The same as arguments of a command."""
    words = []
    for name, value in options(queue, steps).items():
        words += [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
    return words


def named(run: Path) -> list[str]:
    """
    What makes the names of a run's jobs begin with its job key: the plug-in writes comments of its own.
    """
    return ["--slurm-jobname-prefix", job_key(run.name)]


def profile(queue: Queue) -> bytes:
    """The same as a profile for any workflow, to be FOLDER/config.yaml: ``snakemake --profile FOLDER``."""
    lines = [
        "# Snakemake submits its jobs to Slurm: snakemake --profile FOLDER ..., with this file in FOLDER.",
        f"# It needs {PACKAGE}. Made by esap-wf, which is not needed to use it.",
    ]
    house: Options = {"scheduler": "greedy", "keep-going": "true", "rerun-incomplete": "true"}
    for name, value in {**options(queue, {}), **house}.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"  - {json.dumps(word)}" for word in value)]
        elif value in ("true", "greedy"):
            lines.append(f"{name}: {value}")
        else:
            lines.append(f"{name}: {json.dumps(value)}")
    return ("\n".join(lines) + "\n").encode()


def _defaults(queue: Queue) -> Iterator[str]:
    """Resources of jobs whose rule says none. Texts are quoted: Snakemake takes them for expressions."""
    for name, text in (
        ("slurm_account", queue.account),
        ("slurm_partition", queue.partition),
        ("constraint", queue.constraint),
        ("slurm_extra", shlex.join(queue.options)),
    ):
        if text:
            yield f"{name}={text!r}"
    yield f"mem_mb={_megabytes(queue.memory_bytes)}"
    yield f"runtime={_minutes(queue.wall_seconds)}"


def _amounts(rule: str, needs: StepNeeds, queue: Queue) -> Iterator[str]:
    if needs.memory_bytes:
        yield f"{rule}:mem_mb={_megabytes(needs.memory_bytes)}"
    if needs.wall_seconds:
        yield f"{rule}:runtime={_minutes(needs.wall_seconds)}"
    if needs.gpus:
        yield f"{rule}:gres={f'{queue.gpus_as}:{needs.gpus}'!r}"


def _megabytes(amount: int) -> int:
    """Slurm's megabytes are 2^20 bytes."""
    return max(1, math.ceil(amount / 2**20))


def _minutes(seconds: int) -> int:
    return max(1, math.ceil(seconds / 60))


def missing(job: Job, choice: EngineChoice) -> Iterator[Problem]:
    """The plug-in, if the Snakemake on this machine doesn't have it."""
    if job.queue is None:
        return
    folders = python.folders(Path(choice.path))
    if not folders or any((folder / PLUGIN).is_dir() for folder in folders):
        return
    yield Problem(
        "snakemake",
        f"submits its jobs to Slurm by a plug-in, and the one at {choice.path} doesn't have it ({PACKAGE})",
        f"{Path(choice.path).resolve().parent / 'python'} -m pip install {PACKAGE}; or --engine",
    )
