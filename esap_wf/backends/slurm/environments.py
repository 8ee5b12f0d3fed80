"""Packed environments (`esap_wf.software.packed`), unpacked once beside a user's pieces."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from esap_wf.backends.slurm.sandboxes import Sandboxes
from esap_wf.backends.ssh import environments
from esap_wf.backends.ssh.channel import Channel, Feed
from esap_wf.backends.ssh.connection import PATIENCE, Connection
from esap_wf.backends.ssh.far import Far
from esap_wf.backends.ssh.settings import Address
from esap_wf.models.place import Profile

#: Below a user's folder: what unpacks them, which is what a host by SSH does it with.
_FOLDER = ".unpacking"


class _Here(Connection):
    """In the place of a connection: a shell of this machine."""

    @contextlib.contextmanager
    def channel(self, words: Sequence[str], feed: Feed, transfer: bool = False) -> Iterator[Channel]:
        with Channel(list(words), feed, self.patience) as channel:
            yield channel


def bring(sandboxes: Sandboxes, profile: Profile, cache: Path, named: Collection[str]) -> str:
    """
    See to it that packed environments are in a folder that the nodes see.

    Parameters
    ----------
    sandboxes : Sandboxes
    profile : Profile
    cache : Path
    named : collection of str
        Digests.

    Returns
    -------
    str
        Absolute path of the folder in which they lie.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    sandboxes.ready()
    here = Address(profile.name)
    far = Far(here, str(sandboxes.mine / _FOLDER), _Here(here, PATIENCE))
    return environments.bring(far, profile, cache, named)
