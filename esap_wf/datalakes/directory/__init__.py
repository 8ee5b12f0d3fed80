"""
A folder as a data lake: ``kind = "directory"``. Loaded by `esap_wf.plugins`.

It stands for Rucio on one machine, with the same notions, so that whatever works with it can work there:
files, datasets and containers in scopes, immutable, by names that are never given out again; storage
elements, one of them slow (`Tier`); lifetimes; accounts that own scopes and may be let into others. Accounts
are the users of this machine. Who may read the folder itself is up to its file permissions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from esap_wf.datalakes.base import Lake, LakeBase, LakeProfile
from esap_wf.models import Model
from esap_wf.models.data import Tier


class Rse(Model, frozen=True, kw_only=True):
    """
    A storage element.

    Parameters
    ----------
    tier : Tier
    recall : str
        How long it takes to make files of a cold one readable.
    """

    tier: Tier = Tier.HOT
    recall: int | float | str = 0


def _usual() -> dict[str, Rse]:
    return {"disk": Rse(), "tape": Rse(tier=Tier.COLD, recall="5 s")}


class Settings(Model, frozen=True, kw_only=True):
    """
    Keys of ``[datalakes.NAME]``.

    Parameters
    ----------
    folder : str
        Where the lake is; a relative path is taken from the folder of the configuration.
    rses : dict
        Storage elements. The first one gets what is stored, the first hot one what is recalled.
    account : str, optional
        Who asks; the user of this process, if it isn't said.
    """

    folder: str
    rses: dict[Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,40}$")], Rse] = msgspec.field(
        default_factory=_usual
    )
    account: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.@-]{1,100}$")] | None = None


class Directory(LakeBase):
    """See `esap_wf.datalakes.LakeBase`."""

    contract = 1
    name = "directory"
    title = "a folder"
    settings: type[Model] = Settings

    def open(self, profile: LakeProfile, cache: Path) -> Lake:
        """The lake in the folder that the profile names; it is made when something is stored."""
        from esap_wf.datalakes.directory.lake import DirectoryLake

        return DirectoryLake(profile)
