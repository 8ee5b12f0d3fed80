"""
Slurm: ``kind = "slurm"``. Loaded by `esap_wf.plugins`.

In one of two ways (`settings.Settings.way`). *native*: the run store is seen by the nodes; the engine submits
the jobs of its steps itself, from this machine or, as a job of its own, from a node. *there*: each piece of a
run is one job, in a folder that this machine and the nodes see.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher
from esap_wf.backends.slurm.settings import Head, Settings, Way, of
from esap_wf.errors import RefusedError
from esap_wf.models import Model
from esap_wf.models.place import Profile, Queue, Survey
from esap_wf.models.plan import Allocation


class Slurm(BackendBase):
    """See `esap_wf.backends.BackendBase`."""

    contract = 1
    name = "slurm"
    title = "Slurm"
    settings: type[Model] = Settings

    def survey(self, profile: Profile, cache: Path) -> Survey:
        """By ``sinfo`` and ``scontrol``, and ``sacctmgr`` where there is accounting."""
        from esap_wf.backends.slurm import surveying

        return surveying.survey(profile)

    def shares(self, profile: Profile) -> bool:
        """In the native way."""
        return of(profile).way is not Way.THERE

    def ways(self, profile: Profile) -> tuple[Profile, ...]:
        """As the profile says; else native, and there for an engine that can't submit jobs."""
        if of(profile).way is not Way.AUTO:
            return (profile,)
        return tuple(
            msgspec.structs.replace(profile, settings={**profile.settings, "way": way.value})
            for way in (Way.NATIVE, Way.THERE)
        )

    def queue(self, profile: Profile, allocation: Allocation, survey: Survey | None) -> Queue | None:
        """Of the native way."""
        if not self.shares(profile):
            return None
        from esap_wf.backends.slurm import queues

        return queues.queue(profile, allocation, survey)

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """Of the way and the head that the profile says."""
        settings = of(profile)
        if settings.way is Way.THERE:
            from esap_wf.backends.slurm.there import ThereLauncher

            return ThereLauncher(profile, cache)
        if settings.head is Head.JOB:
            raise RefusedError(f"{profile.name}: only engines that submit from this machine are possible yet")
        from esap_wf.backends.slurm.native import NativeLauncher

        return NativeLauncher(profile, cache)
