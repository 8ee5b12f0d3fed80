"""
Data lakes: where data of the projects lies, and where results may go (docs/datalakes.md).

A lake is configured (``[datalakes.NAME]``) and served by a plug-in of its kind: `directory` is a folder of
this machine with Rucio's notions; others come by entry points. Who needs data asks `lake` for one.
"""

from esap_wf.datalakes.base import (
    BATCH,
    CONTRACT,
    DeniedError,
    Lake,
    LakeBase,
    LakeOutageError,
    LakeProfile,
    NoEntryError,
    TakenError,
)
from esap_wf.datalakes.lakes import OWN, lake, names, profile
from esap_wf.models.data import Content, Did, Entry, Recall, Replica, Tier

__all__ = [
    "BATCH",
    "CONTRACT",
    "OWN",
    "Content",
    "DeniedError",
    "Did",
    "Entry",
    "Lake",
    "LakeBase",
    "LakeOutageError",
    "LakeProfile",
    "NoEntryError",
    "Recall",
    "Replica",
    "TakenError",
    "Tier",
    "lake",
    "names",
    "profile",
]
