"""What a place has, held against what a run wants."""

from __future__ import annotations

from esap_wf.formats.quantities import (
    human_bytes,
    human_cores,
    human_count,
    human_seconds,
    to_bytes,
    to_seconds,
)
from esap_wf.models.place import Capacity, Profile, Survey
from esap_wf.models.plan import Allocation

#: What nobody has limited.
ENDLESS = 10**18


def within(profile: Profile, survey: Survey | None) -> Capacity:
    """The smaller of what a profile allows and what the place has said; `ENDLESS` where neither says it."""

    def least(limit: int | None, there: int | None) -> int:
        return min(x for x in (limit, there, ENDLESS) if x is not None)

    def amount(value: float | str | None) -> int | None:
        return None if value is None else to_bytes(value)

    wall = to_seconds(profile.wall) if profile.wall is not None else None
    there = survey.wall_seconds if survey else None
    walls = [w for w in (wall, there) if w is not None]
    return Capacity(
        # no more jobs of a piece work at a time than it has cores
        cores=least(profile.cores, least(profile.caps.jobs, survey.cores if survey else None)),
        memory_bytes=least(amount(profile.memory), survey.memory_bytes if survey else None),
        disk_bytes=least(amount(profile.disk), survey.disk_bytes if survey else None),
        wall_seconds=min(walls) if walls else None,
        gpus=max(profile.gpus, survey.gpus if survey else 0),
        nodes=max(profile.nodes, survey.nodes if survey else 1),
    )


def reasons_against(capacity: Capacity, wanted: Allocation) -> list[str]:
    """Why a run of this size doesn't fit, one by one; empty if it does."""
    reasons = []
    if wanted.cores > capacity.cores:
        reasons.append(f"{human_cores(wanted.cores)} asked for, but it has {capacity.cores}")
    if wanted.memory_bytes > capacity.memory_bytes:
        reasons.append(
            f"{human_bytes(wanted.memory_bytes)} of memory asked for, but it has "
            f"{human_bytes(capacity.memory_bytes)}"
        )
    if wanted.disk_bytes > capacity.disk_bytes:
        reasons.append(
            f"{human_bytes(wanted.disk_bytes)} of disk space needed, but only "
            f"{human_bytes(capacity.disk_bytes)} free"
        )
    if capacity.wall_seconds is not None and wanted.wall_seconds > capacity.wall_seconds:
        reasons.append(
            f"{human_seconds(wanted.wall_seconds)} asked for, but its limit is "
            f"{human_seconds(capacity.wall_seconds)}"
        )
    if wanted.gpus > capacity.gpus:
        reasons.append(f"{human_count(wanted.gpus, 'GPU')} asked for, but it has {capacity.gpus}")
    if wanted.nodes > capacity.nodes:
        reasons.append(f"{human_count(wanted.nodes, 'node')} asked for, but it has {capacity.nodes}")
    return reasons
