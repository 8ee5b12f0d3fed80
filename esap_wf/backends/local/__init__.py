"""This machine: the engine runs here, as a child of the run's supervisor.

Loaded by `esap_wf.plugins`. `capacity` says what there is, `launcher` starts and finds engines, `keeper`
stands between them and their supervisor.
"""

from __future__ import annotations

from pathlib import Path

from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher
from esap_wf.models.place import Capacity, Profile, Survey
from esap_wf.models.run import now


class Local(BackendBase):
    """See `esap_wf.backends.BackendBase`."""

    contract = 1
    name = "local"
    title = "this machine"
    shares_store = True

    def capacity(self, profile: Profile, store: Path, survey: Survey | None = None) -> Capacity:
        """What the machine has, within the profile's limits; disk is what is free where the store is."""
        from esap_wf.backends.local.capacity import capacity

        return capacity(profile, store)

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
        from esap_wf.backends.local.launcher import LocalLauncher

        return LocalLauncher()
