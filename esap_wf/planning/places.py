"""Where a run goes and how much it may use there: what a user gives, else what the pipeline's steps ask for,
else a default.

A default, or a wish that no engine insists on, never keeps a run from a place that has less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from esap_wf import backends
from esap_wf.backends import Capacity
from esap_wf.backends.places import Place, Places, places
from esap_wf.config import Config
from esap_wf.engines import Demand, EngineBase
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats.quantities import human_bytes, human_seconds
from esap_wf.formats.schemas import closest
from esap_wf.models.plan import Allocation, Offer, Slicing
from esap_wf.models.request import Request
from esap_wf.planning import queued, resources, slicing
from esap_wf.planning.slicing import Cut
from esap_wf.planning.wishes import FIELDS, Wishes


def all_of(request: Request, config: Config) -> Places:
    """
    Every place; the one that the request names is asked what it has.

    Raises
    ------
    UsageError
        There is no such place, or profiles are broken.
    UnavailableError
        It can't be asked.
    """
    profiles = backends.profiles(config)
    if request.backend and request.backend not in profiles:
        hint = closest(request.backend, profiles) or f"available: {', '.join(profiles)}"
        raise UsageError(
            "the request is not valid",
            [Problem("--backend", f"there is no backend {request.backend!r}", hint)],
        )
    return places(profiles, config.cache, request.backend)


class Chosen(NamedTuple):
    """
    A place, what a run (each slice of it) may use there, every offer, warnings, how it is cut, and what its
    largest job asks for.
    """

    backend: str
    allocation: Allocation
    offers: list[Offer]
    warnings: list[str]
    slicing: Slicing
    job: Allocation


def choose(
    request: Request,
    config: Config,
    there: Places,
    allocation: Allocation,
    wishes: Wishes,
    cut: Cut | None = None,
    moves: Mapping[str, int] | None = None,
) -> Chosen:
    """
    The place that is named, or the first that fits.

    Parameters
    ----------
    request : Request
    config : Config
    there : Places
    allocation : Allocation
        What is wanted.
    wishes : Wishes
    cut : Cut, optional
        Whether the run can be cut into slices; without it, it isn't.
    moves : mapping, optional
        Bytes of inputs that would have to be brought to each place.

    Raises
    ------
    RefusedError
        None fits, or what the user gives is less than what a step asks for and the engine insists on.
    """
    fitted: dict[str, tuple[Allocation, Slicing, Allocation]] = {}

    def wanted(place: Place, capacity: Capacity) -> tuple[Allocation, list[str]]:
        spread = place.queue(allocation) is not None
        fitting, sliced = _fitted(allocation, capacity, wishes, spread), Slicing()
        against: list[str] = []
        if cut is not None:
            fitting, sliced, against = slicing.share(cut, place, capacity, fitting)
        job = queued.largest_job(place, fitting, wishes)
        fitted[place.name] = fitting, sliced, job
        return fitting, [*against, *place.reasons(job)]

    offers, capacities = resources.offers_of(there, wanted, config.store, moves or {})
    fitting = [o.backend for o in offers if o.fits]
    chosen = request.backend or next(iter(fitting), None)
    if chosen is None or chosen not in fitting:
        against = [o for o in offers if chosen is None or o.backend == chosen]
        raise RefusedError(
            f"backend {chosen} does not fit" if chosen else "no place fits",
            [
                Problem(f"backend {o.backend}", reason, _way_out(reason, capacities.get(o.backend), wishes))
                for o in against
                for reason in o.reasons
            ],
        )
    final, sliced, job = fitted[chosen]
    if problems := _too_little(final, wishes):
        raise RefusedError("the run may use less than its steps ask for", problems)
    warnings = _warnings(final, wishes, chosen)
    exceeded = bool(warnings) or ("cores" not in wishes.given and _unsure(capacities[chosen], wishes))
    final = msgspec.structs.replace(final, exceeded=exceeded)
    return Chosen(chosen, final, offers, warnings, sliced, job)


def _unsure(capacity: Capacity, wishes: Wishes) -> bool:
    """Whether steps may ask for more than is free, or for what only the engine can tell."""
    memory = next(iter(wishes.of("memory")), None)
    return (
        wishes.open("cores")
        or wishes.open("memory")
        or bool(memory and (memory.amount or 0) > capacity.memory_bytes // 2)
    )


def _fitted(allocation: Allocation, capacity: Capacity, wishes: Wishes, spread: bool) -> Allocation:
    """
    What of an allocation a place can give, where less is no reason to refuse. Where the work is `spread` over
    nodes, the memory of a size is that of all of it together.
    """
    changes: dict[str, Any] = {}
    origin = dict(allocation.origin)
    for name, field in FIELDS.items():
        there, amount = getattr(capacity, field), getattr(allocation, field)
        if there is None or name in wishes.given:
            continue
        if wishes.open(name) and name != "wall":
            changes[field], origin[name] = (
                there,
                "everything that there is: only the engine can tell what its steps ask for",
            )
        elif amount > there and (
            (name == "cores" or (name == "memory" and spread))
            if wishes.sized
            else not any(_insists(d, there) for d in wishes.of(name))
        ):
            # a default size with fewer cores is slower, not wrong
            changes[field], origin[name] = (
                there,
                f"everything that there is; {origin.get(name, 'default')}: {_shown(name, amount)}",
            )
    return msgspec.structs.replace(allocation, origin=origin, **changes)


def _insists(demand: Demand, there: int) -> bool:
    return demand.fails and demand.certain and (demand.amount or 0) > there


def _way_out(reason: str, capacity: Capacity | None, wishes: Wishes) -> str:
    """What helps against one shortfall: a full disk is not cured by fewer cores."""
    if "partition" in reason or "account" in reason or "QOS" in reason:
        return ""  # it says itself what would do
    if "disk" in reason:
        return "free some space, or use a store on a larger disk: esap-wf --store DIR …"
    if "GPU" in reason:
        return "choose another --size, or another place"
    asking = [
        f"{d.who} ({d.where})"
        for name, field in FIELDS.items()
        if name not in wishes.given and capacity is not None
        for d in wishes.of(name)[:1]
        if _insists(d, getattr(capacity, field) or 2**63)
    ]
    if asking:
        who = " and ".join(dict.fromkeys(asking))
        return (
            f"{who} asks for it, and {wishes.engine} runs nothing with less: change it there, or choose "
            "another place"
        )
    if capacity is None:
        return ""
    for word, way in (
        ("core", f"--cores {capacity.cores}"),
        ("memory", f"--memory {_exact('memory', capacity.memory_bytes)}"),
    ):
        if word in reason:
            return f"ask for less: {way} or less, or a smaller --size"
    if capacity.wall_seconds is not None and "limit" in reason:
        return f'ask for less: --wall "{capacity.wall_seconds} s" or less, or a smaller --size'
    return ""


def _too_little(allocation: Allocation, wishes: Wishes) -> list[Problem]:
    """Steps that surely run, for which the limits that a user gives are too low."""
    problems = []
    for name in wishes.given:
        amount = getattr(allocation, FIELDS[name])
        for d in wishes.of(name):
            if d.limited and d.certain and (d.amount or 0) > amount:
                what = (
                    f"{d.who} asks for {_shown(name, d.amount or 0)}, but the run may use only "
                    f"{_shown(name, amount)} (--{name})"
                )
                hint = (
                    f"--{name} {_exact(name, d.amount or 0)}, or leave it out; {wishes.engine} runs "
                    "nothing with less than it asks for"
                )
                problems.append(Problem(d.where, what, hint))
    return problems


def _warnings(allocation: Allocation, wishes: Wishes, place: str) -> list[str]:
    found = []
    for name, field in FIELDS.items():
        amount = getattr(allocation, field)
        top = next(iter(wishes.of(name)), None)
        if top is None or name == "wall" or (top.amount or 0) <= amount:
            continue
        ends = top.fails or (top.limited and name in wishes.given)
        then = "ends the run if it comes to it" if ends else "goes on with what there is"
        has = "the run may use" if name in wishes.given else f"{place} has"
        asked = _shown(name, top.amount or 0)
        found.append(
            f"{top.who} asks for {asked} ({top.where}), {has} {_shown(name, amount)}: {wishes.engine} {then}"
        )
    return found


def _shown(name: str, amount: int) -> str:
    if name == "cores":
        return f"{amount} core" + ("s" if amount != 1 else "")
    return f"{human_bytes(amount)} of memory" if name == "memory" else human_seconds(amount)


def _exact(name: str, amount: int) -> str:
    """An amount as an option takes it, not rounded."""
    if name == "memory":
        for unit, size in (("GiB", 2**30), ("GB", 10**9), ("MiB", 2**20), ("MB", 10**6)):
            if amount % size == 0:
                return f'"{amount // size} {unit}"'
    return str(amount)


def refused_by(engine: EngineBase, store: Path) -> list[Problem]:
    """
    What an engine can't have in the path of a run, as a store would make it (`EngineBase.refused_in_paths`).
    """
    # PATH and PYTHONPATH hold folders of the run
    refused = "|".join(filter(None, [":", engine.refused_in_paths]))
    found = re.findall(refused, str(store.absolute()).replace("/", ""))
    if not found:
        return []
    what = (
        f"{engine.title} can't work in a folder whose path contains "
        f"{' '.join(sorted({repr(c) for c in found}))}"
    )
    return [Problem(str(store), what, "choose another store: --store DIR, or ESAP_WF_STORE")]
