"""This machine: the engine runs here, as a child of the run's supervisor.

Loaded by `esap_wf.plugins`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.place import Capacity, Profile, Survey
from esap_wf.models.run import now


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


class Local(BackendBase):
    """See `esap_wf.backends.BackendBase`."""

    contract = 1
    name = "local"
    title = "this machine"
    shares_store = True

    def capacity(self, profile: Profile, store: Path, survey: Survey | None = None) -> Capacity:
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

    def survey(self, profile: Profile, cache: Path) -> Survey:
        """What is found at once; engines and software are looked for where they are needed."""
        there = self.capacity(profile, cache)
        return Survey(
            asked=now(),
            cores=there.cores,
            memory_bytes=there.memory_bytes,
            disk_bytes=there.disk_bytes,
            wall_seconds=there.wall_seconds,
            gpus=there.gpus,
        )

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """The engine as a child of the run's supervisor."""
        raise NotImplementedError
