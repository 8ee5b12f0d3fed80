"""The verb backends: in Python it is called by what it shows, because a package has its name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from esap_wf.api.result import config_of
from esap_wf.api.tables import Rows
from esap_wf.planning import abilities
from esap_wf.planning import needs as words
from esap_wf.planning.standings import Standing

Folder = str | os.PathLike[str]


def places(needs: str | Mapping[str, object] | None = None, *, store: Folder | None = None) -> Rows[Standing]:
    """
    Places where runs can go, as ``esap-wf backends`` shows them. None is asked: what it said when it was
    asked last counts.

    Parameters
    ----------
    needs : str or mapping, optional
        What must be there for `fits` to be true: cores, memory, disk, wall, gpu, nodes, as in
        ``"gpu=1,memory=64GB"`` or ``{"gpu": 1, "memory": "64 GB"}``.
    store : path, optional
        Run store: what is free on its disk counts for this machine.

    Returns
    -------
    list of Standing
        Each with name, ways, fits, reasons and capacity.

    Raises
    ------
    UsageError
        The needs mean nothing, or a profile is broken.
    """
    if isinstance(needs, Mapping):
        needs = ",".join(f"{word}={amount}" for word, amount in needs.items())
    wanted = words.parse([needs]) if needs is not None else None
    found = abilities.Places(config_of(store)).standings(wanted)
    return Rows(
        found,
        ("backend", "kind", "fits", "engines", "why not"),
        lambda s: (s.name, s.kind, s.fits, ", ".join(w.engine for w in s.ways), "; ".join(s.reasons)),
    )
