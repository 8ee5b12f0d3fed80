"""
Another host, reached by SSH, without a shared file system: ``kind = "ssh"``.

Loaded by `esap_wf.plugins`. What a piece needs is sent there, started in a session of its own that outlives
every connection, looked at by its process, brought back and removed. The user's own ``ssh`` is used, with its
configuration, agent and jump hosts: ``ssh HOST true`` has to work without a question. Host keys are checked,
and nothing is ever asked. Where a host ends processes when their user has logged out (``KillUserProcesses``
of systemd), ``loginctl enable-linger`` is needed there, or its batch system.
"""

from __future__ import annotations

from pathlib import Path

from esap_wf.backends.base import BackendBase
from esap_wf.backends.launcher import Launcher
from esap_wf.backends.ssh.settings import Settings
from esap_wf.models import Model
from esap_wf.models.place import Profile, Survey


class Ssh(BackendBase):
    """See `esap_wf.backends.BackendBase`."""

    contract = 1
    name = "ssh"
    title = "another host, by SSH"
    settings: type[Model] = Settings

    def survey(self, profile: Profile, cache: Path) -> Survey:
        """One question, of a few seconds at most."""
        from esap_wf.backends.ssh import surveying

        return surveying.survey(profile)

    def launcher(self, profile: Profile, cache: Path) -> Launcher:
        """Pieces in folders of their own there."""
        from esap_wf.backends.ssh.launcher import SshLauncher

        return SshLauncher(profile, cache)
