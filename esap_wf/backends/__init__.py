"""Places: where a run can go. One module a kind, found by the entry point group ``esap_wf.backends``; the
contract is docs/backends.md.

A profile (``profiles/<name>/backend.yaml``, or ``[backends.NAME]`` in the configuration) names a kind and its
limits.
"""

from __future__ import annotations

from esap_wf.backends.base import CONTRACT, BackendBase, NoSettings
from esap_wf.backends.launcher import (
    LONGEST_HANDLE,
    BatchJob,
    Condition,
    Launcher,
    NeedsPersonError,
    OutageError,
    Part,
    Piece,
    Refusal,
    Seen,
    Served,
    Signal,
    Usage,
)
from esap_wf.backends.profile_files import LOCAL, profiles, settings_of
from esap_wf.models.place import Capacity, Containers, Found, Partition, Profile, Queue, Survey

__all__ = [
    "CONTRACT",
    "LOCAL",
    "LONGEST_HANDLE",
    "BackendBase",
    "BatchJob",
    "Capacity",
    "Condition",
    "Containers",
    "Found",
    "Launcher",
    "NeedsPersonError",
    "NoSettings",
    "OutageError",
    "Part",
    "Partition",
    "Piece",
    "Profile",
    "Queue",
    "Refusal",
    "Seen",
    "Served",
    "Signal",
    "Survey",
    "Usage",
    "profiles",
    "settings_of",
]
