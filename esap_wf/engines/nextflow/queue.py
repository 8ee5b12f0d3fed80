"""Nextflow's configuration where its tasks are jobs of Slurm: by its own executor, without a plug-in."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping

from esap_wf.engines.nextflow.configuration import quoted
from esap_wf.models.place import Queue, StepNeeds

#: Seconds for which a task's exit code is waited for when its job is gone, at least.
LEAST_WAIT = 60


def lines(queue: Queue, steps: Mapping[str, StepNeeds]) -> Iterator[str]:
    """
    Lines of a configuration file. A process's own directives come before what is said here for all, and what
    is said here for it comes before them.

    Parameters
    ----------
    queue : Queue
    steps : mapping of str to StepNeeds
        Processes and what their jobs ask for.
    """
    poll = max(1, math.ceil(queue.poll))
    yield "executor {"
    yield "    name = 'slurm'"
    yield f"    queueSize = {queue.jobs}"
    yield f"    pollInterval = '{poll} sec'"
    yield f"    queueStatInterval = '{poll} sec'"
    yield f"    exitReadTimeout = '{max(LEAST_WAIT, 2 * queue.latency)} sec'"
    if queue.submissions:
        yield f"    submitRateLimit = '{queue.submissions}/1min'"
    yield "}"
    yield "process {"
    yield "    executor = 'slurm'"
    if queue.partition:
        yield f"    queue = {quoted(queue.partition)}"
    if common := list(_common(queue)):
        yield f"    clusterOptions = {quoted(shlex.join(common))}"
    yield f"    cpus = {queue.cores}"
    yield f"    memory = '{queue.memory_bytes} B'"
    yield f"    time = '{queue.wall_seconds} s'"
    for step, needs in sorted(steps.items()):
        if said := list(_said(needs, queue)):
            yield f"    withName: {quoted(step)} {{ {'; '.join(said)} }}"
    yield "}"


def _common(queue: Queue) -> Iterator[str]:
    """Options for which Nextflow has no directive."""
    for name in ("account", "qos", "constraint", "reservation"):
        if value := getattr(queue, name):
            yield f"--{name}={value}"
    yield from queue.options


def _said(needs: StepNeeds, queue: Queue) -> Iterator[str]:
    if needs.cores:
        yield f"cpus = {needs.cores}"
    if needs.memory_bytes:
        yield f"memory = '{needs.memory_bytes} B'"
    if needs.wall_seconds:
        yield f"time = '{needs.wall_seconds} s'"
    if needs.gpus:
        words = [*_common(queue), f"--gres={queue.gpus_as}:{needs.gpus}"]
        yield f"clusterOptions = {quoted(shlex.join(words))}"
