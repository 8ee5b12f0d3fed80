"""Toil where its jobs are jobs of Slurm: by its own batch system."""

from __future__ import annotations

import math
import shlex

from esap_wf.models.place import Queue

#: Seconds for which Toil asks again when Slurm can't be asked.
OUTAGE = 6 * 3600


def arguments(queue: Queue) -> list[str]:
    """
    What makes Toil submit its jobs. What a tool asks for counts before what is said here for all.

    Parameters
    ----------
    queue : Queue
    """
    words = [
        "--batchSystem",
        "slurm",
        "--maxJobs",
        str(queue.jobs),
        "--defaultCores",
        str(queue.cores),
        "--defaultMemory",
        str(queue.memory_bytes),
        "--slurmTime",
        _time(queue.wall_seconds),
        "--statePollingWait",
        str(max(1, math.ceil(queue.poll))),
        "--statePollingTimeout",
        str(OUTAGE),
        # where the nodes see it, and people find it
        "--batchLogsDir",
        "logs/batch",
    ]
    if queue.partition:
        words += ["--slurmPartition", queue.partition]
    if queue.qos:
        words += ["--slurmQOS", queue.qos]
    more = [
        f"--{name}={value}"
        for name in ("account", "constraint", "reservation")
        if (value := getattr(queue, name))
    ]
    more += queue.options
    # one argument that begins with a dash would be taken for an option
    return [*words, f"--slurmArgs={shlex.join(more)}"] if more else words


def _time(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24}-{hours % 24:02}:{minutes:02}:{seconds:02}"
