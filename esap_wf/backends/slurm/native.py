"""Engines on this machine that submit the jobs of their steps to Slurm."""

from __future__ import annotations

from pathlib import Path

from esap_wf.backends.local.launcher import LocalLauncher
from esap_wf.backends.slurm.commands import Commands
from esap_wf.models.place import Profile


class NativeLauncher(LocalLauncher):
    """
    See `esap_wf.backends.Launcher`. An engine is one of this machine; what else works for a run are jobs.

    Parameters
    ----------
    profile : Profile
    cache : Path
    """

    def __init__(self, profile: Profile, cache: Path) -> None:
        super().__init__()
        self.profile, self.commands = profile, Commands(profile)
