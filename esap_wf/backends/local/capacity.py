"""What this machine has."""

from __future__ import annotations

import os
from pathlib import Path

from esap_wf import files
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.place import Capacity, Profile


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


def capacity(profile: Profile, store: Path) -> Capacity:
    """What the machine has, within the profile's limits; disk is what is free where the store is."""
    free = files.free(store)
    return Capacity(
        cores=min(usable_cores(), profile.cores or 10**9),
        memory_bytes=min(memory(), to_bytes(profile.memory) if profile.memory is not None else 10**18),
        disk_bytes=min(free, to_bytes(profile.disk) if profile.disk is not None else 10**18),
        wall_seconds=to_seconds(profile.wall) if profile.wall is not None else None,
        gpus=profile.gpus,
    )
