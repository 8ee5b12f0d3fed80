"""How a place stands: what it has, in which ways engines can work there, and what is against it."""

from __future__ import annotations

from esap_wf.backends import Capacity, Profile, Survey
from esap_wf.backends.capacities import ENDLESS
from esap_wf.models import Model

WHOLE, SLICES = "whole", "slices"
SHARED, COPIED = "shared", "copied"
HERE, NATIVE, THERE = "here", "native", "there"


class Way(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    One way in which a run can work at a place.

    Parameters
    ----------
    engine, version, path : str
        What runs it there.
    pieces : list of str
        ``whole``, and ``slices`` where the place takes a run in several pieces.
    containers : list of str
        Runtimes that this engine can start there.
    store : str
        ``shared``: it works in the run store itself; ``copied``: files are sent there and brought back.
    way : str
        ``here``: the engine does the work itself; ``native``: it submits the jobs of its steps to a workload
        manager; ``there``: pieces are sent.
    """

    engine: str
    version: str
    path: str
    pieces: list[str]
    containers: list[str]
    store: str
    way: str = HERE


class Has(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What a place has for one piece; None: without a limit that anybody knows."""

    cores: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    wall_seconds: int | None
    gpus: int
    nodes: int
    free_cores: int | None = None


class Standing(Model, frozen=True, kw_only=True, omit_defaults=False):
    """
    A place as it stands.

    Parameters
    ----------
    name, kind, title : str
    ways : list of Way
    fits : bool
        It can be used, for what is needed.
    reasons : list of str
        Why not.
    capacity : Has, optional
        None if nobody knows.
    asked : str, optional
        When the place was asked; of this machine it is now.
    """

    name: str
    kind: str
    title: str
    ways: list[Way]
    fits: bool
    reasons: list[str]
    capacity: Has | None
    asked: str | None


def standing_of(
    profile: Profile, ways: list[Way], reasons: list[str], capacity: Capacity | None, survey: Survey | None
) -> Standing:
    """A place with what is known of it; without reasons it fits."""
    return Standing(
        name=profile.name,
        kind=profile.kind,
        title=profile.title,
        ways=ways,
        fits=not reasons,
        reasons=reasons,
        capacity=has(capacity, survey) if capacity else None,
        asked=survey.asked if survey else None,
    )


def has(capacity: Capacity, survey: Survey | None) -> Has:
    """A capacity as people are told of it."""

    def known(amount: int) -> int | None:
        return amount if amount < ENDLESS else None

    return Has(
        cores=known(capacity.cores),
        memory_bytes=known(capacity.memory_bytes),
        disk_bytes=known(capacity.disk_bytes),
        wall_seconds=capacity.wall_seconds,
        gpus=capacity.gpus,
        nodes=capacity.nodes,
        free_cores=survey.free_cores if survey else None,
    )
