"""Which engine runs a request, where, with how much and with which software."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from esap_wf.backends.places import Place, Places
from esap_wf.config import Config
from esap_wf.engines import Demand
from esap_wf.errors import Problem, RefusedError, UnavailableError
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.plan import Allocation, Estimate, SoftwareChoice
from esap_wf.models.request import Request
from esap_wf.planning import places, routes
from esap_wf.planning.costs import Costs
from esap_wf.planning.places import Chosen
from esap_wf.planning.runners import Runner, find_engine
from esap_wf.planning.slicing import Cut
from esap_wf.request.validation import Validated


@dataclass(frozen=True)
class Decision:
    """
    Everything about a request that depends on places.

    Parameters
    ----------
    runner : Runner
    place : Place
    chosen : Chosen
        What it may use there, and every offer.
    estimate : Estimate
        What the workflow's model says of it.
    route : SoftwareChoice
    warnings : list of str
    """

    runner: Runner
    place: Place
    chosen: Chosen
    estimate: Estimate
    route: SoftwareChoice
    warnings: list[str]


@dataclass
class _Asking:
    """One request, on its way to a decision."""

    request: Request
    config: Config
    valid: Validated
    values: dict[str, Any]
    asked: Allocation
    costs: Costs
    there: Places


@dataclass
class _Refusals:
    """Refusals at one place elsewhere, all at once; on this machine the first one is the answer."""

    site: Place | None
    problems: list[Problem] = field(default_factory=list)

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        try:
            yield
        except (RefusedError, UnavailableError) as error:
            if self.site is None:
                raise
            self.problems += error.problems or [Problem("", error.message)]

    def confirm_none(self, name: str) -> None:
        """Raise RefusedError with all of them, if there is any."""
        if self.problems and self.site:
            found = list(dict.fromkeys(self.problems))
            raise RefusedError(f"{self.site.name} can't take a run of {name}", found)


def decide(
    request: Request,
    config: Config,
    valid: Validated,
    values: Mapping[str, Any],
    asked: Allocation,
    costs: Costs,
) -> Decision:
    """
    The place first where it is named, and the engine there; else this machine's engine and the first place
    that fits.

    Parameters
    ----------
    request : Request
    config : Config
    valid : Validated
    values : mapping
        All parameters.
    asked : Allocation
        By the size, or by the user.
    costs : Costs

    Raises
    ------
    UsageError
        There is no such place.
    RefusedError
        None fits; at a place elsewhere with everything that is in the way.
    UnavailableError
        No engine is here; the place can't be asked.
    """
    there = places.all_of(request, config)
    asking = _Asking(request, config, valid, dict(values), asked, costs, there)
    named = there.usable.get(request.backend or "")
    if named is not None and named.elsewhere:
        return _at(asking, named)
    found = _here(asking)
    if isinstance(found, Place):
        asking.request = msgspec.structs.replace(request, backend=found.name)
        return _at(asking, found)
    return found


def _here(asking: _Asking) -> Decision | Place:
    """The decision, or the place elsewhere that fits where this machine doesn't."""
    request, config, workflow = asking.request, asking.config, asking.valid.workflow
    runner = find_engine(workflow, config, request.engine)
    chosen, estimate, warnings = _placed(asking, runner)
    place = asking.there.usable[chosen.backend]
    if place.elsewhere:
        return place
    route = routes.choose(workflow, config, request.software, place.profile, runner.engine)
    if against := places.refused_by(runner.engine, config.store):
        raise RefusedError(f"{runner.title} can't run {workflow.manifest.name}", against)
    return Decision(runner, place, chosen, estimate, route, warnings)


def _at(asking: _Asking, site: Place) -> Decision:
    """The decision at a place elsewhere."""
    # for these runs alone: a run here starts no later for it
    from esap_wf.engines import elsewhere
    from esap_wf.planning.obstacles import obstacles
    from esap_wf.planning.provisions import Provisions

    request, config, workflow = asking.request, asking.config, asking.valid.workflow
    refusals = _Refusals(site)
    runner, placed, route, packed = None, None, None, None
    with refusals.collected():
        runner = find_engine(workflow, config, request.engine, site)
        packed = elsewhere.packed(runner.engine, runner.choice, config, site)
    with refusals.collected():
        placed = _placed(asking, runner)
    with refusals.collected():
        engine = runner.engine if runner else None
        provisions = Provisions(site, packed, runner.choice.container if runner else None)
        route = routes.choose(workflow, config, request.software, site.profile, engine, provisions)
    refusals.problems += obstacles(
        asking.valid, asking.values, request.engine_options, site, runner.choice if runner else None
    )
    refusals.confirm_none(workflow.manifest.name)
    assert runner and placed and route
    chosen, estimate, warnings = placed
    return Decision(
        runner, site, chosen, estimate, route, [*([site.warning] if site.warning else []), *warnings]
    )


def _placed(asking: _Asking, runner: Runner | None) -> tuple[Chosen, Estimate, list[str]]:
    """The place that fits what was asked for, what the steps ask for, and what the model says."""
    request, costs, workflow = asking.request, asking.costs, asking.valid.workflow
    demands = runner.demands(workflow, request, asking.values) if runner else []
    title = runner.engine.title if runner else "the engine"
    wishes = places.wishes(request, bool(workflow.manifest.resources.sizes), demands, title)
    wanted = places.wanted(asking.asked, wishes)
    needed = costs.estimate(wanted.cores)
    wanted = msgspec.structs.replace(
        wanted,
        memory_bytes=_at_least(wanted.memory_bytes, needed.memory_bytes, request.resources.memory),
        disk_bytes=_at_least(wanted.disk_bytes, needed.disk_bytes, request.resources.disk),
    )
    cut = Cut(runner.implementation, title, costs.units, request.resources) if runner else None
    chosen = places.choose(request, asking.config, asking.there, wanted, wishes, cut)
    allocation, warnings = chosen.allocation, list(chosen.warnings)
    if needed.memory_bytes > allocation.memory_bytes:
        given, needs = human_bytes(allocation.memory_bytes), human_bytes(needed.memory_bytes)
        warnings.append(f"{given} of memory was asked for, but the run will probably need {needs}")
    largest = _largest_step(demands, allocation)
    chosen = chosen._replace(allocation=msgspec.structs.replace(allocation, step_cores=largest))
    # there may be fewer cores there than were wanted
    return chosen, costs.estimate(allocation.cores * chosen.slicing.slices), warnings


def _largest_step(demands: list[Demand], allocation: Allocation) -> int:
    """Cores of the largest step, as far as the steps say."""
    cores = [d.amount for d in demands if d.what == "cores" and d.amount]
    return max(1, min(allocation.cores, max(cores, default=1)))


def _at_least(amount: int, needed: int, given: object) -> int:
    """What is needed, unless somebody has said how much it is to be."""
    return amount if given is not None else max(amount, needed)
