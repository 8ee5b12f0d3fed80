"""What an engine is told of the Slurm to which it submits."""

from __future__ import annotations

import msgspec

from esap_wf.backends.slurm.settings import Settings, of
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.place import Profile, Queue, Survey
from esap_wf.models.plan import Allocation

#: Jobs in flight of one engine, if the profile doesn't say it.
JOBS = 100


def queue(profile: Profile, allocation: Allocation, survey: Survey | None) -> Queue:
    """
    The queue of a profile.

    Parameters
    ----------
    profile : Profile
    allocation : Allocation
        Its cores are those of all jobs together that work at a time.
    survey : Survey, optional
        What no job can be given follows from it.
    """
    settings = of(profile)
    named = settings.partition.split(",") if settings.partition else []
    there = [p for p in (survey.partitions if survey else ()) if p.up and (p.name in named or not named)]
    # without a name, jobs go to the default
    there = there if named else [p for p in there if p.default] or there
    walls = [p.wall_seconds for p in there if p.wall_seconds is not None]
    memory = max((p.memory_bytes for p in there), default=None)
    wall = max(walls) if walls and len(walls) == len(there) else None
    return Queue(
        kind=profile.kind,
        partition=settings.partition,
        account=settings.account,
        qos=settings.qos,
        constraint=settings.constraint,
        reservation=settings.reservation,
        gpus_as=settings.gpus_as,
        jobs=min(allocation.cores, profile.caps.jobs or JOBS),
        submissions=profile.caps.submissions,
        poll=profile.poll or 10.0,
        cores=settings.job_cores,
        memory_bytes=_least(int(to_bytes(settings.job_memory)), settings.job_memory, "job_memory", memory),
        wall_seconds=_least(int(to_seconds(settings.job_wall)), settings.job_wall, "job_wall", wall),
        most_memory_bytes=memory,
        most_wall_seconds=wall,
        latency=settings.latency,
        options=profile.options,
        environment={"SLURM_CONF": settings.conf} if settings.conf else {},
        commands=settings.commands,
    )


def _least(amount: int, said: object, key: str, most: int | None) -> int:
    """A default gives way to what there is; what somebody has written doesn't."""
    usual = next(f.default for f in msgspec.structs.fields(Settings) if f.name == key)
    return min(amount, most) if most is not None and said == usual else amount
