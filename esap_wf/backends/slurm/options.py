"""Options of ``sbatch`` that follow from a profile: the same for every job of it."""

from __future__ import annotations

import math

import msgspec

from esap_wf.backends.slurm.settings import of
from esap_wf.formats.quantities import to_bytes
from esap_wf.models.place import Profile
from esap_wf.models.plan import Allocation


def where(profile: Profile) -> list[str]:
    """
    Where its jobs go: partition, account, QOS, features, reservation. What the profile adds stands before
    them: it can't change them.
    """
    own = of(profile)
    named = {
        "partition": own.partition,
        "account": own.account,
        "qos": own.qos,
        "constraint": own.constraint,
        "reservation": own.reservation,
    }
    return [*profile.options, *(f"--{name}={value}" for name, value in named.items() if value)]


def piece(profile: Profile, run: Allocation) -> Allocation:
    """What a piece asks for: what its run may use, and the memory of the engine itself."""
    memory = run.memory_bytes + to_bytes(of(profile).engine_memory)
    if profile.memory is not None:
        memory = max(run.memory_bytes, min(memory, to_bytes(profile.memory)))
    return msgspec.structs.replace(run, memory_bytes=memory)


def size(profile: Profile, job: Allocation) -> list[str]:
    """What one job asks for: cores, memory of its node, time in whole minutes, GPUs."""
    gpus = [f"--gres={of(profile).gpus_as}:{job.gpus}"] if job.gpus else []
    return [
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={job.cores}",
        f"--mem={max(1, math.ceil(job.memory_bytes / 2**20))}M",
        f"--time={max(1, math.ceil(job.wall_seconds / 60))}",
        *gpus,
    ]
