"""From a valid request to a plan: everything is decided here, nothing is written."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import backends, plugins
from esap_wf.catalogue.workflows import Workflow
from esap_wf.config import Config
from esap_wf.engines import Demand, EngineBase, finding
from esap_wf.errors import Problem, RefusedError, UnavailableError, UsageError
from esap_wf.formats import digests
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.manifest import Implementation, Manifest
from esap_wf.models.plan import Digest, EngineChoice, Estimate, Plan, checksum
from esap_wf.models.request import DataRef, Request
from esap_wf.models.run import now
from esap_wf.planning import identity, places, resources, routes
from esap_wf.request.validation import Validated
from esap_wf.running import render
from esap_wf.runs import measurements
from esap_wf.runs.measurements import Measurement

#: A plan older than this is made anew; what it depends on is compared in any case.
VALID_FOR = timedelta(days=7)


def make(request: Request, config: Config, valid: Validated) -> Plan:
    """
    Decide everything else.

    Parameters
    ----------
    request : Request
    config : Config
    valid : Validated
        From `esap_wf.request.validation`, without problems.

    Returns
    -------
    Plan
        Without duplicates: `esap_wf.planning.duplicates` looks them up.

    Raises
    ------
    UsageError, RefusedError, UnavailableError
        Unknown size or backend; no place fits, or no software; no engine.
    """
    workflow, manifest = valid.workflow, valid.workflow.manifest
    values, deterministic, warnings = _seeded(workflow, valid.parameters)
    table = manifest.units.table if manifest.units else None
    rows = next(
        (
            ref.rows
            for name, refs in valid.inputs.items()
            for ref in refs
            if table in (None, name) and ref.rows is not None
        ),
        None,
    )
    if rows is None and table and manifest.inputs[table].many:
        # an input of several files is a list of units, too
        rows = len(valid.inputs.get(table, ())) or None
    allocation, problems = resources.allocation_of(workflow, request)
    if problems:
        raise UsageError("the request is not valid", problems)
    implementation, engine, choice, passed = find_engine(workflow, config, request.engine)
    warnings += [f"not taken: {other}" for other in passed]
    place, home = workflow.home(implementation)
    wishes = places.wishes(
        request,
        bool(manifest.resources.sizes),
        _demands(engine, home, implementation, request, values),
        engine.title,
    )
    allocation = places.wanted(allocation, wishes)
    size = sum(ref.bytes or 0 for refs in valid.inputs.values() for ref in refs)
    names = {**values, **valid.selected}
    units, estimate = _costs(workflow, names, rows, allocation.cores, size)
    allocation = msgspec.structs.replace(
        allocation,
        memory_bytes=allocation.memory_bytes
        if request.resources.memory is not None
        else max(allocation.memory_bytes, estimate.memory_bytes),
        disk_bytes=allocation.disk_bytes
        if request.resources.disk is not None
        else max(allocation.disk_bytes, estimate.disk_bytes),
    )
    profiles = backends.profiles(config)
    backend, allocation, offers, unmet = places.choose(request, config, profiles, allocation, wishes)
    warnings += unmet
    if estimate.memory_bytes > allocation.memory_bytes:
        asked, needed = human_bytes(allocation.memory_bytes), human_bytes(estimate.memory_bytes)
        warnings.append(f"{asked} of memory was asked for, but the run will probably need {needed}")
    units, estimate = _costs(workflow, names, rows, allocation.cores, size)
    estimate = resources.corrected(estimate, _earlier(config, manifest, choice), units, allocation.cores)
    route = routes.choose(workflow, config, request.software, profiles[backend], engine)
    if workflow.contained and workflow.images and not request.software and route.route != "container":
        told = (
            f"no container can be started here for {', '.join(workflow.images[:3])}, so the steps use "
            "what is on PATH"
        )
        warnings.append(told + (f" ({'; '.join(route.refused[:2])})" if route.refused else ""))
    if against := places.refused_by(engine, config.store):
        raise RefusedError(f"{engine.title} {choice.version} can't run {manifest.name}", against)
    warnings += [*valid.warnings, *workflow.notes, *workflow.told_of_code()]
    warnings += [
        f"the identity of {ref.path} rests on its size and times, not on its content"
        for refs in valid.inputs.values()
        for ref in refs
        if ref.strength == "stat"
    ]
    code = workflow.code_digest()
    moment = datetime.now(UTC)
    plan = Plan(
        created=now(),
        expires=(moment + VALID_FOR).isoformat(timespec="seconds").replace("+00:00", "Z"),
        workflow=manifest.name,
        version=manifest.version,
        title=manifest.title,
        source=str(workflow.document.source),
        reference=workflow.reference,
        place=workflow.place,
        code=code,
        entry=f"{render.snapshot_place(code)}/{place}/{implementation.file}",
        config=implementation.config,
        item=implementation.item,
        request=msgspec.structs.replace(request, parameters=values, results=_absolute(request.results)),
        parameters=values,
        inside=valid.inside,
        inputs=valid.inputs,
        selected=valid.selected,
        outputs=manifest.outputs,
        nonce="" if deterministic else random.SystemRandom().getrandbits(128).to_bytes(16, "big").hex(),
        engine=choice,
        software=route,
        backend=backend,
        allocation=allocation,
        units=units,
        estimate=estimate,
        offers=offers,
        digest=_science(workflow, values, valid, deterministic),
        command=[],
        files=render.files_of(workflow, code),
        warnings=warnings,
    )
    drawn = render.rendered(plan, workflow)
    plan = msgspec.structs.replace(
        plan,
        command=drawn.command,
        files=[*plan.files, *drawn.files, *([f"{drawn.working_copy}/"] if drawn.working_copy else [])],
    )
    if against := engine.conflicts(choice, render.job_of(plan, manifest, workflow)):
        raise RefusedError(f"{engine.title} {choice.version} can't run {manifest.name} like this", against)
    return sealed(
        msgspec.structs.replace(plan, digest=msgspec.structs.replace(plan.digest, recorded=_recorded(plan)))
    )


def sealed(plan: Plan) -> Plan:
    """The plan with the identity and the checksum that follow from its content."""
    digest = msgspec.structs.replace(plan.digest, identity=identity.of(plan), scheme=identity.SCHEME)
    plan = msgspec.structs.replace(plan, digest=digest)
    return msgspec.structs.replace(plan, checksum=checksum(plan))


def _demands(
    engine: EngineBase,
    home: Path,
    implementation: Implementation,
    request: Request,
    values: Mapping[str, Any],
) -> list[Demand]:
    """What the steps ask for."""
    try:
        return engine.demands(home / implementation.file, implementation.item, request.engine_options, values)
    except UsageError:  # what is wrong with the pipeline is the engine's to say
        return []


def _earlier(config: Config, manifest: Manifest, engine: EngineChoice) -> list[Measurement]:
    """What the last runs with an engine used, of this version of the workflow if there are any."""
    found = [
        m for m in measurements.lately(config.store / "records", manifest.name) if m.engine == engine.name
    ]
    return [m for m in found if m.version == manifest.version] or found


def _costs(
    workflow: Workflow, names: Mapping[str, Any], rows: int | None, cores: int, size: int
) -> tuple[int, Estimate]:
    """Units and estimate, by the manifest's resource model."""
    try:
        units = resources.units_of(workflow, names, rows)
        return units, resources.estimate_of(workflow, names, units, cores, size)
    except ValueError as error:
        raise UsageError(
            "the manifest's resource model fails",
            [Problem(workflow.document.where(["resources"]), str(error))],
        ) from None


def _absolute(place: str | None) -> str | None:
    return str(Path(place).expanduser().absolute()) if place else None


def _seeded(workflow: Workflow, values: dict[str, Any]) -> tuple[dict[str, Any], bool, list[str]]:
    """A run without a seed draws one here, so that it is recorded; it is never identical to another."""
    drawn = workflow.manifest.random
    if drawn is None or values.get(drawn.seed) is not None:
        return dict(values), True, []
    seed = random.SystemRandom().randrange(1, 2**31)
    return (
        {**values, drawn.seed: seed},
        False,
        [f"no seed was given, so {seed} was drawn; this run is identical to no other"],
    )


def find_engine(
    workflow: Workflow, config: Config, wanted: str | None
) -> tuple[Implementation, EngineBase, EngineChoice, list[str]]:
    """
    The first implementation whose engine is there and can run it, and which ones were passed over because
    they can't.

    Raises
    ------
    UsageError
        The workflow has no implementation for the wanted engine.
    RefusedError
        Engines are there, but can't run it.
    UnavailableError
        No engine is installed: with the command that installs it.
    """
    implementations = workflow.manifest.implementations
    if wanted:
        implementations = [i for i in implementations if i.engine == wanted]
        if not implementations:
            has = ", ".join(i.engine for i in workflow.manifest.implementations)
            raise UsageError(
                "the request is not valid",
                [
                    Problem(
                        "--engine", f"{workflow.manifest.name} does not run with {wanted!r}", f"it has {has}"
                    )
                ],
            )
    problems: list[Problem] = []
    passed: list[str] = []
    objected: RefusedError | None = None
    for implementation in implementations:
        try:
            engine: EngineBase = plugins.one("esap_wf.engines", implementation.engine)
        except (UsageError, UnavailableError) as error:
            problems += [
                Problem(implementation.engine, p.what, "this esap-wf has no plug-in for it")
                for p in error.problems
            ]
            continue
        if lacking := engine.lacks():
            problems += lacking
            passed += [problem.what for problem in lacking]
            continue
        file = workflow.home(implementation)[1] / implementation.file
        found = finding.first(
            engine, config, implementation.requires, partial(_objections, engine, file, implementation.item)
        )
        if found.choice:
            return implementation, engine, found.choice, passed + (found.refused if found.objector else [])
        passed += found.refused
        if found.objector:
            told = f"{engine.title} {found.objector.version} can't run {workflow.manifest.name}"
            objected = objected or RefusedError(told, found.objections)
            continue
        needs = f" {implementation.requires}" if implementation.requires else ""
        what = (
            f"none of those found fits: {'; '.join(found.refused)}"
            if found.refused
            else f"{engine.title}{needs} was not found"
        )
        problems.append(Problem(implementation.engine, what, finding.advice(engine, implementation.requires)))
    if objected:
        raise objected
    raise UnavailableError(f"{workflow.manifest.name} can't be run: no suitable engine was found", problems)


def _objections(engine: EngineBase, file: Path, item: str | None, choice: EngineChoice) -> list[Problem]:
    return engine.objections(choice, file, item)


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


def _recorded(plan: Plan) -> dict[str, Any]:
    return {
        "engine": plan.engine.version,
        "software": plan.software.route,
        "backend": plan.backend,
        "name": plan.request.name,
        "size": plan.request.size,
    }


def content(inputs: Mapping[str, list[DataRef]]) -> dict[str, list[str | None]]:
    """Identity of all inputs whose content counts."""
    # of a pattern's matches and of secondary files each counts, whatever folder they are in
    return {
        name: [c for ref in refs for c in (ref.checksum, *sorted(ref.beside.values()))]
        for name, refs in inputs.items()
        if all(ref.counts for ref in refs)
    }
