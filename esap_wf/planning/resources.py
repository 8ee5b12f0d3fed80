"""What a run may use and what it will cost: sizes, overrides, the manifest's resource model, offers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.backends import Capacity
from esap_wf.backends.capacities import reasons_against
from esap_wf.backends.places import Place, Places
from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import Problem, UnavailableError
from esap_wf.formats import expressions, schemas
from esap_wf.formats.quantities import to_bytes, to_seconds
from esap_wf.models.manifest import Size
from esap_wf.models.plan import Allocation, Estimate, Offer
from esap_wf.models.request import Request
from esap_wf.runs.measurements import Measurement

#: Modelled core seconds below which the engine's own cost is what a model lacks most.
SMALL = 10.0
#: What a workflow without sizes gets.
FALLBACK = Size(cores=1, memory=1_000_000_000, disk=0, wall=3600)


def units_of(workflow: Workflow, values: Mapping[str, Any], rows: int | None) -> int:
    """
    Units along the workflow's axis.

    Raises
    ------
    ValueError
        The manifest's expression gives no whole number of 1 or more.
    """
    axis = workflow.manifest.units
    if axis is None:
        return 1
    if axis.table and rows is not None:
        return rows
    count = expressions.number(axis.count, {**values, "rows": rows or 0})
    if count < 1 or count != math.floor(count):
        raise ValueError(f"units: {axis.count!r} gives {count}, not a whole number of 1 or more")
    return int(count)


def allocation_of(workflow: Workflow, request: Request) -> tuple[Allocation, list[Problem]]:
    """What is asked for: the size, and what the user wants instead."""
    resources, asked, problems = workflow.manifest.resources, request.resources, []
    name = request.size or resources.default
    if name not in resources.sizes and (request.size or resources.sizes):
        problems.append(
            Problem(
                "--size",
                f"there is no size {name!r}",
                schemas.closest(name, resources.sizes) or f"available: {', '.join(resources.sizes)}",
            )
        )
    size = resources.sizes.get(name, FALLBACK)

    def amount(key: str, convert: Any) -> int:
        mine = getattr(asked, key)
        try:
            return int(convert(getattr(size, key) if mine is None else mine))
        except ValueError as error:
            problems.append(Problem(f"--{key}" if mine is not None else f"size {name}: {key}", str(error)))
            return 0

    return Allocation(
        cores=asked.cores or size.cores,
        memory_bytes=amount("memory", to_bytes),
        disk_bytes=amount("disk", to_bytes),
        wall_seconds=amount("wall", to_seconds),
        gpus=size.gpus if asked.gpus is None else asked.gpus,
        nodes=asked.nodes or 1,
    ), problems


def estimate_of(
    workflow: Workflow, values: Mapping[str, Any], units: int, cores: int, input_bytes: int
) -> Estimate:
    """
    The manifest's resource model, evaluated.

    Raises
    ------
    ValueError
        An expression of the manifest fails.
    """
    model = workflow.manifest.resources.estimate
    names = {**values, "units": units, "cores": cores, "input_bytes": input_bytes}
    core, serial = (
        expressions.number(model.core_seconds, names),
        expressions.number(model.serial_seconds, names),
    )
    return Estimate(
        core_hours=round(core / 3600, 6),
        model_core_hours=round(core / 3600, 6),
        memory_bytes=math.ceil(expressions.number(model.memory_bytes, names)),
        disk_bytes=math.ceil(expressions.number(model.disk_bytes, names)),
        wall_seconds=round(serial + max(0.0, core - serial) / max(1, cores), 3),
    )


def corrected(model: Estimate, earlier: Sequence[Measurement], units: int, cores: int) -> Estimate:
    """
    What earlier runs used, carried over to this one.

    Measured over modelled core seconds is a straight line if there are runs of different size (the engine
    itself costs something, however small the work); with one size, a small model gets the difference added
    and a large one is scaled. Without a model, core seconds grow with the units. Memory is at least the
    largest that was seen.

    Parameters
    ----------
    model : Estimate
        What the manifest's model says.
    earlier : sequence of Measurement
        COMPLETED runs of the workflow with the same engine.
    units, cores : int
    """
    if not earlier:
        return model
    import statistics

    x = [m.core_seconds if model.core_hours else float(m.units) for m in earlier]
    y = [m.cpu_seconds for m in earlier]
    now = model.core_hours * 3600 if model.core_hours else float(units)
    if max(x) > 1.2 * min(x) and max(x) - min(x) >= 1:  # what differs by less says nothing of a slope
        slope, fixed = statistics.linear_regression(x, y)
        fixed = max(0.0, fixed)
        core = fixed + max(slope, 0.0) * now
    elif model.core_hours and statistics.median(x) < SMALL:
        core = now + max(0.0, statistics.median(y) - statistics.median(x))
    else:
        core = (
            now * statistics.median(b / a for a, b in zip(x, y, strict=True) if a > 0)
            if max(x) > 0
            else statistics.median(y)
        )
    wall = model.wall_seconds + (core - model.core_hours * 3600) / max(1, cores)
    return msgspec.structs.replace(
        model,
        core_hours=round(core / 3600, 6),
        wall_seconds=round(max(wall, core / max(1, cores)), 3),
        memory_bytes=max(model.memory_bytes, *(m.memory_bytes for m in earlier)),
        measured_runs=len(earlier),
    )


def offers_of(
    there: Places,
    wanted: Callable[[Place, Capacity], tuple[Allocation, list[str]]],
    store: Path,
    moves: Mapping[str, int],
) -> tuple[list[Offer], dict[str, Capacity]]:
    """
    Every place, whether it fits, and why not.

    Parameters
    ----------
    there : Places
    wanted : callable
        What is wanted of a place that has so much, and what else is against it.
    store : Path
    moves : mapping of str to int
        Bytes that would have to be brought to each; empty if that says nothing.

    Returns
    -------
    offers : list of Offer
        Fitting ones first, of those the one to which least is to be brought.
    capacities : dict
        Place → what it has.
    """
    offers, capacities = [], {}
    for name in there:
        if name in there.broken:
            reasons = [there.broken[name]]
        else:
            try:
                capacity = capacities[name] = there.usable[name].capacity(store)
            except UnavailableError as error:
                reasons = [p.what for p in error.problems] or [error.message]
            else:
                allocation, against = wanted(there.usable[name], capacity)
                reasons = [*reasons_against(capacity, allocation), *against]
        moved = moves.get(name, msgspec.UNSET)
        offers.append(Offer(backend=name, fits=not reasons, reasons=reasons, moves=moved))

    def order(offer: Offer) -> tuple[bool, int, bool, str]:
        return not offer.fits, moves.get(offer.backend, 0), offer.backend != "local", offer.backend

    return sorted(offers, key=order), capacities
