"""Which engine runs a request, where, with how much and with which software."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from esap_wf.backends.places import Place, Places
from esap_wf.config import Config
from esap_wf.engines import Demand
from esap_wf.errors import EsapError, Problem, RefusedError, UnavailableError
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.place import Profile, Queue
from esap_wf.models.plan import Allocation, Estimate, SoftwareChoice
from esap_wf.models.request import Request
from esap_wf.planning import places, queued, routes, volume, wishes
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
    queue : Queue, optional
        Where the engine submits the jobs of its steps.
    """

    runner: Runner
    place: Place
    chosen: Chosen
    estimate: Estimate
    route: SoftwareChoice
    warnings: list[str]
    queue: Queue | None = None


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
    moves: Mapping[str, int] = field(default_factory=dict)


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
    way: Profile | None = None,
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
    way : Profile, optional
        The only way in which the place that is named is to be used.

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
    moves = volume.moves(config, valid.refs, {n: p.profile for n, p in there.usable.items()})
    asking = _Asking(request, config, valid, dict(values), asked, costs, there, moves)
    named = there.usable.get(request.backend or "")
    if named is not None and way is not None:
        named = replace(named, profile=way)
    if named is not None and _is_site(asking, named):
        return _by_way(asking, named)
    found = _here(asking)
    if isinstance(found, Place):
        asking.request = msgspec.structs.replace(request, backend=found.name)
        return _by_way(asking, found)
    return found


def _is_site(asking: _Asking, place: Place) -> bool:
    """Whether it is more than this machine: its files, or its workload manager."""
    return place.elsewhere or place.queue(asking.asked) is not None


def _by_way(asking: _Asking, site: Place) -> Decision:
    """The first way in which a place can be used that suits the engine and the run."""
    failed: list[tuple[Place, EsapError]] = []
    for way in site.ways():
        there = replace(asking.there, usable={**asking.there.usable, site.name: way})
        one = replace(asking, there=there)
        try:
            return _begun(_at(one, way) if way.elsewhere else _submitting(one, way))
        except (RefusedError, UnavailableError) as error:
            failed.append((way, error))
    raise queued.several(site, asking.valid.workflow.manifest.name, failed)


def _here(asking: _Asking) -> Decision | Place:
    """The decision, or the place elsewhere that fits where this machine doesn't."""
    request, config, workflow = asking.request, asking.config, asking.valid.workflow
    runner = find_engine(workflow, config, request.engine)
    chosen, estimate, warnings = _placed(asking, runner)
    place = asking.there.usable[chosen.backend]
    if _is_site(asking, place):
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
    return Decision(runner, site, chosen, estimate, route, [*_old(site), *warnings])


def _begun(decision: Decision) -> Decision:
    """The decision, with the moment at which its place would begin."""
    chosen, place = decision.chosen, decision.place
    if not (begin := place.starts(chosen.job)):
        return decision
    offers = [
        msgspec.structs.replace(o, starts=begin) if o.backend == place.name else o for o in chosen.offers
    ]
    return replace(decision, chosen=chosen._replace(offers=offers))


def _submitting(asking: _Asking, site: Place) -> Decision:
    """The decision where the engine of this machine submits the jobs of its steps."""
    request, config, workflow = asking.request, asking.config, asking.valid.workflow
    refusals = _Refusals(site)
    runner, placed, route, warnings = None, None, None, list[str]()
    with refusals.collected():
        runner = find_engine(workflow, config, request.engine, queue=queued.submitters(site, asking.asked))
        refusals.problems += places.refused_by(runner.engine, config.store)
    with refusals.collected():
        placed = _placed(asking, runner)
    with refusals.collected():
        engine = runner.engine if runner else None
        route = routes.choose(workflow, config, request.software, queued.contained(site.profile), engine)
    if not refusals.problems:
        # for runs that fit: jobs are started for it
        with refusals.collected():
            warnings += queued.seen(site, config.store, config.cache)
    refusals.confirm_none(workflow.manifest.name)
    assert runner and placed and route
    chosen, estimate, more = placed
    used = [runner.choice.path, *route.bin_dirs, *_input_paths(asking.valid)]
    warnings += queued.of_one_machine(used, config.store, site.name)
    decision = Decision(runner, site, chosen, estimate, route, [*_old(site), *warnings, *more])
    return replace(decision, queue=site.queue(chosen.allocation))


def _input_paths(valid: Validated) -> list[str]:
    return [ref.path for refs in valid.inputs.values() for ref in refs if ref.path and not ref.is_brought]


def _old(site: Place) -> list[str]:
    return [site.warning] if site.warning else []


def _placed(asking: _Asking, runner: Runner | None) -> tuple[Chosen, Estimate, list[str]]:
    """The place that fits what was asked for, what the steps ask for, and what the model says."""
    request, costs, workflow = asking.request, asking.costs, asking.valid.workflow
    demands = runner.demands(workflow, request, asking.values) if runner else []
    title = runner.engine.title if runner else "the engine"
    asked = wishes.of_request(request, bool(workflow.manifest.resources.sizes), demands, title)
    wanted = wishes.wanted(asking.asked, asked)
    needed = costs.estimate(wanted.cores)
    wanted = msgspec.structs.replace(
        wanted,
        memory_bytes=_at_least(wanted.memory_bytes, needed.memory_bytes, request.resources.memory),
        disk_bytes=_at_least(wanted.disk_bytes, needed.disk_bytes, request.resources.disk),
        step_cores=_largest_step(demands),
    )
    cut = Cut(runner.implementation, title, costs.units, request.resources) if runner else None
    chosen = places.choose(request, asking.config, asking.there, wanted, asked, cut, asking.moves)
    allocation, warnings = chosen.allocation, list(chosen.warnings)
    if needed.memory_bytes > allocation.memory_bytes:
        given, needs = human_bytes(allocation.memory_bytes), human_bytes(needed.memory_bytes)
        warnings.append(f"{given} of memory was asked for, but the run will probably need {needs}")
    largest = max(1, min(allocation.cores, allocation.step_cores))
    chosen = chosen._replace(allocation=msgspec.structs.replace(allocation, step_cores=largest))
    # there may be fewer cores there than were wanted
    return chosen, costs.estimate(allocation.cores * chosen.slicing.slices), warnings


def _largest_step(demands: list[Demand]) -> int:
    """Cores of the largest step, as far as the steps say."""
    return max([1, *(d.amount for d in demands if d.what == "cores" and d.amount)])


def _at_least(amount: int, needed: int, given: object) -> int:
    """What is needed, unless somebody has said how much it is to be."""
    return amount if given is not None else max(amount, needed)
