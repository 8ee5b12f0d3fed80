"""What is asked of a place: by a user, else by the pipeline's steps, else a default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from esap_wf.engines import Demand
from esap_wf.models.plan import Allocation
from esap_wf.models.request import Request

#: What may be asked for → its field in an allocation and a capacity.
FIELDS = {"cores": "cores", "memory": "memory_bytes", "wall": "wall_seconds"}


@dataclass(frozen=True)
class Wishes:
    """
    What steps ask for, as far as it decides.

    Parameters
    ----------
    demands : sequence of Demand
        Empty if the workflow itself says its sizes.
    given : frozenset of str
        What the user has said.
    sized : bool
        The workflow has sizes: they are its author's word.
    engine : str
        For people.
    """

    demands: Sequence[Demand]
    given: frozenset[str]
    sized: bool
    engine: str

    def of(self, what: str) -> list[Demand]:
        """Demands for one thing, the largest first."""
        return sorted(
            (d for d in self.demands if d.what == what and d.amount),
            key=lambda d: (-(d.amount or 0), not d.certain),
        )

    def open(self, what: str) -> bool:
        """Whether only the engine can tell how much of it a step asks for."""
        return what not in self.given and any(d.what == what and d.amount is None for d in self.demands)


def of_request(request: Request, sized: bool, demands: Sequence[Demand], engine: str) -> Wishes:
    """What is asked for by whom."""
    asked = request.resources
    given = {name for name in FIELDS if getattr(asked, name) is not None}
    return Wishes([] if sized else demands, frozenset(given), sized, engine)


def wanted(allocation: Allocation, wishes: Wishes) -> Allocation:
    """The allocation that steps ask for, if neither the user nor the workflow's sizes say it."""
    changes: dict[str, Any] = {}
    origin = {name: "as you asked" for name in FIELDS if name in wishes.given}
    for name, field in FIELDS.items():
        top = next(iter(wishes.of(name)), None)
        if name in wishes.given:
            continue
        origin[name] = "size" if wishes.sized else "default"
        if top and top.amount and top.amount >= getattr(allocation, field):
            changes[field] = top.amount
            origin[name] = f"{top.who}, {top.where}"
    return msgspec.structs.replace(allocation, origin=origin, **changes)
