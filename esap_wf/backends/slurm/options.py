"""Options of ``sbatch`` that follow from a profile: the same for every job of it."""

from __future__ import annotations

import math
import re

import msgspec

from esap_wf.backends.slurm.settings import of
from esap_wf.formats.quantities import to_bytes
from esap_wf.models.place import Profile
from esap_wf.models.plan import Allocation

#: Long options of ``sbatch`` that a profile can't give, and what would come of it.
_OTHER = "it makes another kind of submission"
_FOUND = "by it a run finds its own jobs"
_ASKED = "jobs are asked for at one cluster: set `conf` in the profile"
_OURS = "esap-wf decides it for each job"
_REFUSED = {
    **dict.fromkeys(("wrap", "array", "test-only", "wait", "help", "usage", "version", "parsable"), _OTHER),
    **dict.fromkeys(("quiet", "hold", "begin", "ignore-pbs"), _OTHER),
    **dict.fromkeys(("comment", "job-name", "uid", "gid"), _FOUND),
    **dict.fromkeys(("clusters", "cluster"), _ASKED),
    **dict.fromkeys(("chdir", "export", "export-file", "get-user-env", "input"), _OURS),
}
_SHORT = {
    **dict.fromkeys("aWHVQhb", _OTHER),
    "J": _FOUND,
    "M": _ASKED,
    **dict.fromkeys("Di", _OURS),
}


def objection(profile: Profile) -> str:
    """
    Why nothing can be handed in with the options of a profile; empty if it can. ``sbatch`` takes what begins
    the name of one option only (``--arr``) for that.
    """
    for option in profile.options:
        if not option.startswith("-"):
            return f"option {option!r} of {profile.name} would be taken for a script: write --name=value"
        if why := _objection(option):
            return f"option {option} of {profile.name} can't be used: {why}"
    return ""


def _objection(option: str) -> str:
    long = re.match(r"--([^=\s]+)", option)
    if long is None:
        return _SHORT.get(option[1:2], "")
    return next((why for name, why in _REFUSED.items() if name.startswith(long[1])), "")


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
