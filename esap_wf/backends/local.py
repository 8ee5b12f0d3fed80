"""This machine: the engine runs here, as a child of the run's supervisor.

Loaded by `esap_wf.plugins`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from esap_wf.backends import Capacity, Profile
from esap_wf.formats.quantities import (
    human_bytes,
    human_cores,
    human_count,
    human_seconds,
    to_bytes,
    to_seconds,
)
from esap_wf.models.plan import Allocation


def usable_cores() -> int:
    """Cores that this process may use (affinity), not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Physical memory, bytes, or the control group's limit if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            total = min(total, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return total


class Local:
    """See `esap_wf.backends.Backend`."""

    name = "local"
    title = "this machine"

    def capacity(self, profile: Profile, store: Path) -> Capacity:
        """What the machine has, within the profile's limits; disk is what is free where the store is."""
        place = store
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        return Capacity(
            cores=min(usable_cores(), profile.cores or 10**9),
            memory_bytes=min(memory(), to_bytes(profile.memory) if profile.memory is not None else 10**18),
            disk_bytes=min(free, to_bytes(profile.disk) if profile.disk is not None else 10**18),
            wall_seconds=to_seconds(profile.wall) if profile.wall is not None else None,
            gpus=profile.gpus,
        )

    def reasons_against(self, capacity: Capacity, wanted: Allocation) -> list[str]:
        """Compares one by one."""
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
        return reasons
