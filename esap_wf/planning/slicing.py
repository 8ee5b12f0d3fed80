"""Into how many slices of its units a run is cut, and why: each is an engine run of its own at its place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from esap_wf.backends import Capacity
from esap_wf.backends.places import Place
from esap_wf.formats.quantities import human_cores, human_count
from esap_wf.models.manifest import Implementation
from esap_wf.models.plan import Allocation, Slicing
from esap_wf.models.request import ResourceRequest


@dataclass(frozen=True)
class Cut:
    """
    What of a run decides whether it can be cut.

    Parameters
    ----------
    implementation : Implementation
        Which is run.
    engine : str
        Its engine, for people.
    units : int
    asked : ResourceRequest
        By the user.
    """

    implementation: Implementation
    engine: str
    units: int
    asked: ResourceRequest

    @property
    def possible(self) -> bool:
        """Whether the implementation has stages for it."""
        return self.implementation.map is not None and self.implementation.join is not None

    @property
    def _impossible(self) -> str:
        return f"its implementation for {self.engine} has no stages map and join"


def share(
    cut: Cut, place: Place, capacity: Capacity, allocation: Allocation
) -> tuple[Allocation, Slicing, list[str]]:
    """
    What one slice may use at a place, and how many there are.

    Returns
    -------
    allocation : Allocation
        The cores that a user asks for are those of all slices together; everything else is what each gets.
    slicing : Slicing
    reasons : list of str
        Why it can't be cut as it is asked for.
    """
    asked = cut.asked.slices
    if not place.elsewhere:
        why = f"one engine run does all of it, because {place.name} sees the run store"
        if asked is None or asked == 1:
            return allocation, Slicing(why=why), []
        reason = (
            f"{asked} slices asked for, but a run is cut only at a place that doesn't share the run store; "
            f"at {place.name} the engine itself spreads the work"
        )
        return allocation, Slicing(why=why), [reason]
    if asked is not None:
        return _as_asked(cut, asked, allocation)
    cores = cut.asked.cores
    if cores is None or cores <= capacity.cores:
        why = cut._impossible if not cut.possible else f"{place.name} gives one piece all that is asked for"
        return allocation, Slicing(why=f"one engine run does all of it: {why}"), []
    needed = math.ceil(cores / max(1, capacity.cores))
    if not cut.possible:
        return allocation, Slicing(why=f"it can't be cut: {cut._impossible}"), []
    if needed > cut.units:
        why = (
            f"{human_count(needed, 'slice')} would be needed, and there are {human_count(cut.units, 'unit')}"
        )
        return allocation, Slicing(why=why), [f"{why}, so it can't be cut into pieces that fit"]
    why = f"{human_cores(cores)} asked for, and {place.name} gives one piece {capacity.cores}"
    return _shared(allocation, cores, needed), Slicing(slices=needed, why=why), []


def _as_asked(cut: Cut, asked: int, allocation: Allocation) -> tuple[Allocation, Slicing, list[str]]:
    reasons = []
    if asked > 1 and not cut.possible:
        reasons.append(f"{asked} slices asked for, but it can't be cut: {cut._impossible}")
    elif asked > cut.units:
        units = human_count(cut.units, "unit")
        reasons.append(f"{asked} slices asked for, but there is only work for {units}")
    if asked > 1 and cut.asked.cores is not None:
        allocation = _shared(allocation, cut.asked.cores, asked)
    return allocation, Slicing(slices=asked, why="as you asked"), reasons


def _shared(allocation: Allocation, cores: int, slices: int) -> Allocation:
    origin = {**allocation.origin, "cores": f"of {cores}, as you asked"}
    return msgspec.structs.replace(allocation, cores=math.ceil(cores / slices), origin=origin)
