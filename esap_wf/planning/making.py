"""From a valid request to a plan: everything is decided here, nothing is written."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import backends
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats import digests
from esap_wf.models.place import Profile
from esap_wf.models.plan import Digest, Estimate, Plan, Sharding, SoftwareChoice, checksum
from esap_wf.models.request import DataRef, Request
from esap_wf.models.run import now
from esap_wf.planning import identity, queued, resources, sharding, steps, volume
from esap_wf.planning.costs import Costs, earlier_runs, measured_at
from esap_wf.planning.decisions import Decision, decide
from esap_wf.planning.runners import Runner
from esap_wf.planning.sharding import Work
from esap_wf.request.validation import Validated
from esap_wf.running import render, staging
from esap_wf.runs.measurements import Measurement

#: A plan older than this is made anew; what it depends on is compared in any case.
VALID_FOR = timedelta(days=7)


def make(request: Request, config: Config, valid: Validated, way: Profile | None = None) -> Plan:
    """
    Decide everything else.

    Parameters
    ----------
    request : Request
    config : Config
    valid : Validated
        From `esap_wf.request.validation`, without problems.
    way : Profile, optional
        Of the place that the request names: the only way in which it is to be used (`BackendBase.ways`).

    Returns
    -------
    Plan
        Without duplicates: `esap_wf.planning.duplicates` looks them up.

    Raises
    ------
    UsageError, RefusedError, UnavailableError
        Unknown size or backend; no place fits, or no software; no engine.
    """
    workflow = valid.workflow
    asked, problems = resources.allocation_of(workflow, request)
    if problems:
        raise UsageError("the request is not valid", problems)
    values, drawn = _seeded(workflow, valid.parameters)
    costs = Costs.of(valid, values)
    decision = decide(request, config, valid, values, asked, costs, way)
    runner, chosen, route = decision.runner, decision.chosen, decision.route
    profile = decision.place.profile
    earlier = earlier_runs(config, workflow.manifest, runner.choice, measured_at(profile))
    estimate = resources.corrected(
        decision.estimate, earlier, costs.units, chosen.allocation.cores * chosen.slicing.slices
    )
    queued.confirm_head(decision.place, runner.engine, estimate)
    plan = Plan(
        **_of_moment(),
        **_of_workflow(workflow, runner),
        request=msgspec.structs.replace(request, parameters=values, results=_absolute(request.results)),
        parameters={**values, **valid.placed},
        inside=valid.inside,
        inputs=valid.inputs,
        nested=valid.nested,
        volume=volume.of(config, valid.refs),
        selected=valid.selected,
        nonce=random.SystemRandom().getrandbits(128).to_bytes(16, "big").hex() if drawn else "",
        engine=runner.choice,
        software=route,
        backend=chosen.backend,
        profile=profile if profile.kind != backends.LOCAL else None,
        slicing=chosen.slicing,
        sharding=_sharding(request, decision, costs.units, estimate, earlier),
        queue=decision.queue,
        allocation=chosen.allocation,
        units=costs.units,
        estimate=estimate,
        offers=chosen.offers,
        digest=_science(workflow, values, valid, deterministic=not drawn),
        command=[],
        warnings=[
            *drawn,
            *(f"not taken: {other}" for other in runner.passed),
            *decision.warnings,
            *_no_container(workflow, request, route, runner.choice.place),
            *valid.warnings,
            *workflow.notes,
            *workflow.code_warnings(),
            *_weak_identities(valid),
        ],
    )
    plan = steps.with_steps(plan, workflow, config)
    return sealed(_recorded(_with_command(plan, workflow, runner)))


def sealed(plan: Plan) -> Plan:
    """The plan with the identity and the checksum that follow from its content."""
    digest = msgspec.structs.replace(plan.digest, identity=identity.of(plan), scheme=identity.SCHEME)
    plan = msgspec.structs.replace(plan, digest=digest)
    return msgspec.structs.replace(plan, checksum=checksum(plan))


def _sharding(
    request: Request,
    decision: Decision,
    units: int,
    estimate: Estimate,
    earlier: list[Measurement],
) -> Sharding:
    """
    How many units share a job.

    Raises
    ------
    UsageError
        It can't be done as it is asked for.
    """
    runner, chosen, queue = decision.runner, decision.chosen, decision.queue
    limits = [queue.wall_seconds, queue.most_wall_seconds] if queue else []
    work = Work(
        implementation=runner.implementation,
        engine=runner.engine.title,
        units=math.ceil(units / chosen.slicing.slices),
        slots=chosen.allocation.cores * chosen.allocation.nodes,
        estimate=estimate,
        earlier=earlier,
        queue=queue,
        limit=min((seconds for seconds in limits if seconds), default=None),
        sliced=chosen.slicing.slices > 1,
    )
    found, problems = sharding.share(work, request.resources.shard_size)
    if problems:
        raise UsageError("the request is not valid", problems)
    return found


def _of_moment() -> dict[str, Any]:
    expires = datetime.now(UTC) + VALID_FOR
    return {"created": now(), "expires": expires.isoformat(timespec="seconds").replace("+00:00", "Z")}


def _of_workflow(workflow: Workflow, runner: Runner) -> dict[str, Any]:
    """Fields of a plan that say what is run, whatever it is given."""
    manifest, implementation, code = workflow.manifest, runner.implementation, workflow.code_digest()
    position, _ = workflow.home(implementation)
    return {
        "workflow": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "source": str(workflow.document.source),
        "reference": workflow.reference,
        "place": workflow.position,
        "code": code,
        "entry": f"{render.snapshot_place(code)}/{position}/{implementation.file}",
        "config": implementation.config,
        "item": implementation.item,
        "outputs": manifest.outputs,
        "files": render.files_of(workflow, code),
    }


def _with_command(plan: Plan, workflow: Workflow, runner: Runner) -> Plan:
    """The plan with the command and the files that its engine renders."""
    rendered = render.rendered(plan, workflow)
    if plan.engine.place and rendered.links:
        what = f"is linked to by its name, and a link to what is at {plan.backend} can't be sent there"
        raise RefusedError(
            f"{runner.title} can't run {plan.workflow} like this",
            [Problem(path, what, "name one image for all steps") for path in rendered.links.values()],
        )
    copy = [f"{rendered.working_copy}/"] if rendered.working_copy else []
    stage = [staging.PROGRAM, staging.LISTING] if staging.brought_by_hand(plan) else []
    plan = msgspec.structs.replace(
        plan, command=rendered.command, files=[*plan.files, *stage, *rendered.files, *copy]
    )
    job = render.job_of(plan, workflow.manifest, workflow)
    if against := runner.engine.conflicts(runner.choice, job):
        raise RefusedError(f"{runner.title} can't run {plan.workflow} like this", against)
    return plan


def _no_container(workflow: Workflow, request: Request, route: SoftwareChoice, place: str) -> list[str]:
    """A warning where steps name images, and none of them can be used."""
    images = workflow.images if workflow.contained and not request.software else ()
    if not images or route.route == "container":
        return []
    why = f" ({'; '.join(route.refused[:2])})" if route.refused else ""
    named = ", ".join(images[:3])
    where = f"at {place}" if place else "here"
    return [f"no container can be started {where} for {named}, so the steps use what is on PATH{why}"]


def _weak_identities(valid: Validated) -> list[str]:
    return [
        f"the identity of {ref.path} rests on its size and times, not on its content"
        for refs in valid.inputs.values()
        for ref in refs
        if ref.strength == "stat"
    ]


def _absolute(folder: str | None) -> str | None:
    return str(Path(folder).expanduser().absolute()) if folder else None


def _seeded(workflow: Workflow, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """
    The values with a seed, and a warning if it was drawn here, so that it is recorded: such a run is never
    identical to another.
    """
    random_numbers = workflow.manifest.random
    if random_numbers is None or values.get(random_numbers.seed) is not None:
        return dict(values), []
    seed = random.SystemRandom().randrange(1, 2**31)
    warning = f"no seed was given, so {seed} was drawn; this run is identical to no other"
    return {**values, random_numbers.seed: seed}, [warning]


def _science(workflow: Workflow, values: Mapping[str, Any], valid: Validated, deterministic: bool) -> Digest:
    """
    The scientific identity, if the workflow declares one; that of the run is added when the plan is whole.
    """
    manifest, data = workflow.manifest, content(valid.inputs)
    science, shown = None, {}
    if manifest.identity:
        shown = {name: values[name] for name in manifest.identity.parameters}
        shown |= {f"input {name}": data.get(name, []) for name in manifest.identity.inputs}
        if deterministic:
            science = digests.of_data([manifest.identity.scheme, shown])
    return Digest(
        identity="", recorded={}, science=science, science_values=shown, deterministic=deterministic
    )


def _recorded(plan: Plan) -> Plan:
    """The plan with what its digest does not depend on, to be read beside it."""
    recorded = {
        "engine": plan.engine.version,
        "software": plan.software.route,
        "backend": plan.backend,
        "name": plan.request.name,
        "size": plan.request.size,
    }
    return msgspec.structs.replace(plan, digest=msgspec.structs.replace(plan.digest, recorded=recorded))


def content(inputs: Mapping[str, list[DataRef]]) -> dict[str, list[str | None]]:
    """Identity of all inputs whose content counts."""
    # of a pattern's matches and of secondary files each counts, whatever folder they are in
    return {
        name: [c for ref in refs for c in (ref.checksum, *sorted(ref.beside.values()))]
        for name, refs in inputs.items()
        if all(ref.counts for ref in refs)
    }
