"""
Slurm: ``kind = "slurm"``. Loaded by `esap_wf.plugins`.

In one of two ways (`settings.Settings.way`). *native*: the run store is seen by the nodes; the engine submits
the jobs of its steps itself, from this machine or, as a job of its own, from a node. *there*: each piece of a
run is one job, in a folder that this machine and the nodes see.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher
from esap_wf.backends.slurm.settings import Head, Settings, Way, of
from esap_wf.formats.quantities import to_seconds
from esap_wf.models import Model
from esap_wf.models.place import Capacity, Profile, Queue, Survey
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
        own = of(profile)
        if own.way is not Way.AUTO:
            return (profile,)
        # pieces need a folder to work in
        ways = (Way.NATIVE, Way.THERE) if own.folder else (Way.NATIVE,)
        return tuple(
            msgspec.structs.replace(profile, settings={**profile.settings, "way": way.value}) for way in ways
        )

    def queue(self, profile: Profile, allocation: Allocation, survey: Survey | None) -> Queue | None:
        """Of the native way."""
        if not self.shares(profile):
            return None
        from esap_wf.backends.slurm import queues

        return queues.queue(profile, allocation, survey)

    def capacity(self, profile: Profile, store: Path, survey: Survey | None) -> Capacity:
        """Of the profile's partitions: all cores where the engine submits, else those of a node."""
        from esap_wf.backends.slurm import limits

        return limits.capacity(profile, store, survey)

    def reasons(self, profile: Profile, allocation: Allocation, survey: Survey | None) -> list[str]:
        """Partition, account, QOS, features, and what no node has."""
        from esap_wf.backends.slurm import limits

        return limits.reasons(profile, allocation, survey)

    def starts(self, profile: Profile, allocation: Allocation) -> str:
        """By ``sbatch --test-only``."""
        from esap_wf.backends.slurm import starting

        return starting.expected(profile, allocation)

    def sees(self, profile: Profile, folder: Path, cache: Path) -> bool | None:
        """By a short job, at most once a day."""
        if not self.shares(profile):
            return None
        from esap_wf.backends.slurm import visibility

        return visibility.sees(profile, folder, cache)

    def submitted(self, profile: Profile, job: Allocation) -> str:
        """The options of ``sbatch``."""
        from esap_wf.backends.slurm import options

        return shlex.join(["sbatch", *options.where(profile), *options.size(profile, job)])

    def lacking(self, profile: Profile, paths: Sequence[str]) -> list[str] | None:
        """By a short job."""
        from esap_wf.backends.slurm import visibility

        return visibility.lacking(profile, paths)

    def head_wall(self, profile: Profile) -> int | None:
        """Of an engine that is a job."""
        own = of(profile)
        if not self.shares(profile) or own.head is not Head.JOB:
            return None
        return int(to_seconds(own.head_wall))

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """Of the way and the head that the profile says."""
        settings = of(profile)
        if settings.way is Way.THERE:
            from esap_wf.backends.slurm.there import ThereLauncher

            return ThereLauncher(profile, cache)
        if settings.head is Head.JOB:
            from esap_wf.backends.slurm.head import HeadLauncher

            return HeadLauncher(profile, cache)
        from esap_wf.backends.slurm.native import NativeLauncher

        return NativeLauncher(profile, cache)
