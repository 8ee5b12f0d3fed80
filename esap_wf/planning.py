"""From a request to a plan: everything is decided and checked here, nothing is written.

Imported by flow and the command line. The steps are those of docs/architecture.md: validate, then plan.
"""

from __future__ import annotations

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import backends, digests, discovery, inputs, parameters, plugins, references, render, resources, software
from esap_wf.catalog import Workflow
from esap_wf.config import Config
from esap_wf.documents import Document
from esap_wf.engines import Engine, finding
from esap_wf.errors import Problem, RefusedError, UnavailableError, UsageError
from esap_wf.models.manifest import Implementation, Manifest
from esap_wf.models.plan import Allocation, Digest, EngineChoice, Estimate, Plan, checksum
from esap_wf.models.request import DataRef, Request
from esap_wf.models.run import now
from esap_wf.quantities import human_bytes
from esap_wf.runs import measurements
from esap_wf.runs.measurements import Measurement

#: A plan older than this is made anew; what it depends on is compared in any case.
VALID_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Validated:
    """A request whose every part is known to be right; `inside` is the identity of files inside of structured parameters."""

    workflow: Workflow
    parameters: dict[str, Any]
    inputs: dict[str, list[DataRef]]
    selected: dict[str, Any]
    inside: dict[str, list[str]] = field(default_factory=dict)


def validate(
    request: Request, config: Config, flags: Mapping[str, Any] | None = None, document: Document | None = None,
    pointer: tuple[str, ...] = (), workflow: Workflow | None = None, named: Container[str] = (),
) -> tuple[Validated, list[Problem]]:  # fmt: skip
    """
    Check parameters, inputs and rules.

    Parameters
    ----------
    request : Request
        Its parameters may still hold texts with units.
    config : Config
    flags : mapping, optional
        Parameters of the command line, as text.
    document : Document, optional
        Where the request's parameters stand, at `pointer`, for positions.
    workflow : Workflow, optional
        If it was read already.
    named : container of str, optional
        Which flags were written as ``--param NAME=VALUE``.

    Returns
    -------
    validated : Validated
    problems : list of Problem
        All of them; empty if the request may be planned.
    """
    workflow = workflow or discovery.find(config, request.workflow)
    values, problems = parameters.resolve(workflow, request.parameters, flags or {}, document, pointer, named)
    refs, wrong = inputs.resolve(workflow, request.inputs, config.cache)
    files, missing = references.inside(values, config.cache)
    problems += wrong + missing
    selected: dict[str, Any] = {}
    if not problems:
        selected, problems = inputs.select(workflow, values, refs)
    return Validated(workflow, values, refs, selected, files), problems


def make(request: Request, config: Config, valid: Validated) -> Plan:
    """
    Decide everything else.

    Parameters
    ----------
    request : Request
    config : Config
    valid : Validated
        From `validate`, without problems.

    Returns
    -------
    Plan
        Without duplicates: `esap_wf.duplicates` looks them up.

    Raises
    ------
    UsageError, RefusedError, UnavailableError
        Unknown size or backend; no place fits, or no software; no engine.
    """
    workflow, manifest = valid.workflow, valid.workflow.manifest
    values, deterministic, warnings = _seeded(workflow, valid.parameters)
    table = manifest.units.table if manifest.units else None
    rows = next((ref.rows for name, refs in valid.inputs.items() for ref in refs if table in (None, name) and ref.rows is not None), None)
    if rows is None and table and manifest.inputs[table].many:
        # an input of several files is a list of units, too
        rows = len(valid.inputs.get(table, ())) or None
    allocation, problems = resources.allocation_of(workflow, request)
    if problems:
        raise UsageError("the request is not valid", problems)
    size = sum(ref.bytes or 0 for refs in valid.inputs.values() for ref in refs)
    names = {**values, **valid.selected}
    units, estimate = _costs(workflow, names, rows, allocation.cores, size)
    allocation = msgspec.structs.replace(
        allocation,
        memory_bytes=allocation.memory_bytes
        if request.resources.memory is not None
        else max(allocation.memory_bytes, estimate.memory_bytes),
        disk_bytes=allocation.disk_bytes if request.resources.disk is not None else max(allocation.disk_bytes, estimate.disk_bytes),
    )
    backend, allocation, offers = _place(request, config, allocation)
    if estimate.memory_bytes > allocation.memory_bytes:
        asked, needed = human_bytes(allocation.memory_bytes), human_bytes(estimate.memory_bytes)
        warnings.append(f"{asked} of memory are asked for, but {needed} are estimated to be needed")
    units, estimate = _costs(workflow, names, rows, allocation.cores, size)
    implementation, engine, choice = find_engine(workflow, config, request.engine)
    estimate = resources.corrected(estimate, _earlier(config, manifest, choice), units, allocation.cores)
    route = software.choose(workflow, config, request.software, backends.profiles(config)[backend], engine)
    place, home = workflow.home(implementation)
    if against := engine.objections(choice, home / implementation.file, implementation.item):
        raise RefusedError(f"{engine.title} {choice.version} can't run {manifest.name}", against)
    warnings += workflow.notes
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
        inputs=valid.inputs,
        selected=valid.selected,
        engine=choice,
        software=route,
        backend=backend,
        allocation=allocation,
        units=units,
        estimate=estimate,
        offers=offers,
        digest=_digest(workflow, values, valid, code, choice, deterministic, request, route.route, backend),
        command=[],
        files=render.files_of(workflow, code),
        warnings=warnings,
    )
    told = render.rendered(plan, workflow)
    plan = msgspec.structs.replace(
        plan, command=told.command, files=[*plan.files, *told.files, *([f"{told.working_copy}/"] if told.working_copy else [])]
    )
    return msgspec.structs.replace(plan, checksum=checksum(plan))


def _earlier(config: Config, manifest: Manifest, engine: EngineChoice) -> list[Measurement]:
    """What the last runs with an engine used, of this version of the workflow if there are any."""
    found = [m for m in measurements.lately(config.store / "records", manifest.name) if m.engine == engine.name]
    return [m for m in found if m.version == manifest.version] or found


def _costs(workflow: Workflow, names: Mapping[str, Any], rows: int | None, cores: int, size: int) -> tuple[int, Estimate]:
    """Units and estimate, by the manifest's resource model."""
    try:
        units = resources.units_of(workflow, names, rows)
        return units, resources.estimate_of(workflow, names, units, cores, size)
    except ValueError as error:
        raise UsageError("the manifest's resource model fails", [Problem(workflow.document.where(["resources"]), str(error))]) from None


def _absolute(place: str | None) -> str | None:
    return str(Path(place).expanduser().absolute()) if place else None


def _seeded(workflow: Workflow, values: dict[str, Any]) -> tuple[dict[str, Any], bool, list[str]]:
    """A run without a seed draws one here, so that it is recorded; it is never identical to another."""
    drawn = workflow.manifest.random
    if drawn is None or values.get(drawn.seed) is not None:
        return dict(values), True, []
    seed = random.SystemRandom().randrange(1, 2**31)
    return {**values, drawn.seed: seed}, False, [f"no seed was given: {seed} was drawn, so this run is identical to no other"]


def _place(request: Request, config: Config, wanted: Allocation) -> tuple[str, Allocation, list[Any]]:
    profiles = backends.profiles(config)
    if request.backend and request.backend not in profiles:
        from esap_wf.schemas import closest

        hint = closest(request.backend, profiles) or f"there are: {', '.join(profiles)}"
        raise UsageError("the request is not valid", [Problem("--backend", f"there is no backend {request.backend!r}", hint)])
    offers, capacities = resources.offers_of(profiles, wanted, config.store)
    if request.resources.cores is None:
        # fewer cores make a default size slower, not wrong: it may still run on a small machine
        for name, capacity in capacities.items():
            if capacity.cores < wanted.cores:
                smaller = msgspec.structs.replace(wanted, cores=capacity.cores)
                again, _ = resources.offers_of({name: profiles[name]}, smaller, config.store)
                offers = [again[0] if o.backend == name else o for o in offers]
    fitting = [o.backend for o in offers if o.fits]
    chosen = request.backend or next(iter(fitting), None)
    if chosen is None or chosen not in fitting:
        against = [o for o in offers if chosen is None or o.backend == chosen]
        raise RefusedError(
            f"backend {chosen} does not fit" if chosen else "no place fits",
            [Problem(f"backend {o.backend}", reason, "ask for less: --cores, --memory, --size") for o in against for reason in o.reasons],
        )
    cores = min(wanted.cores, capacities[chosen].cores)
    return chosen, msgspec.structs.replace(wanted, cores=cores), offers


def find_engine(workflow: Workflow, config: Config, wanted: str | None) -> tuple[Implementation, Engine, EngineChoice]:
    """
    The first implementation whose engine is there.

    Raises
    ------
    UsageError
        The workflow has no implementation for the wanted engine.
    UnavailableError
        No engine is installed: with the command that installs it.
    """
    implementations = workflow.manifest.implementations
    if wanted:
        implementations = [i for i in implementations if i.engine == wanted]
        if not implementations:
            has = ", ".join(i.engine for i in workflow.manifest.implementations)
            raise UsageError(
                "the request is not valid", [Problem("--engine", f"{workflow.manifest.name} does not run with {wanted!r}", f"it has {has}")]
            )
    problems = []
    for implementation in implementations:
        try:
            engine: Engine = plugins.one("esap_wf.engines", implementation.engine)
        except (UsageError, UnavailableError) as error:
            problems += [Problem(implementation.engine, p.what, "this esap-wf has no plug-in for it") for p in error.problems]
            continue
        choice, refused = finding.first(engine, config, implementation.requires)
        if choice:
            return implementation, engine, choice
        needs = f" {implementation.requires}" if implementation.requires else ""
        what = f"none that is there fits: {'; '.join(refused)}" if refused else f"{engine.title}{needs} was not found"
        problems.append(Problem(implementation.engine, what, engine.how_to_get()))
    raise UnavailableError(f"{workflow.manifest.name} can't be run: no engine for it is there, or none fits", problems)


def _digest(
    workflow: Workflow, values: Mapping[str, Any], valid: Validated, code: str, engine: EngineChoice, deterministic: bool,
    request: Request, route: str, backend: str,
) -> Digest:  # fmt: skip
    manifest = workflow.manifest
    data = content(valid.inputs)
    identity: dict[str, Any] = {
        "workflow": manifest.name, "code": code, "parameters": values, "inputs": data, "selected": valid.selected,
        "engine": [engine.name, engine.version.split(".")[:2]], "options": request.engine_options,
    }  # fmt: skip
    if valid.inside:
        identity["files"] = valid.inside
    if workflow.own_names:
        # pipelines of others call their results after their inputs
        identity["names"] = {name: [Path(ref.path or ref.uri).name for ref in refs] for name, refs in valid.inputs.items() if refs}
    if not deterministic:
        identity["nonce"] = random.SystemRandom().getrandbits(128).to_bytes(16, "big").hex()
    science, shown = None, {}
    if manifest.identity:
        shown = {name: values[name] for name in manifest.identity.parameters}
        shown |= {f"input {name}": data.get(name, []) for name in manifest.identity.inputs}
        if deterministic:
            science = digests.of_data([manifest.identity.scheme, shown])
    recorded = {"engine": engine.version, "software": route, "backend": backend, "name": request.name, "size": request.size}
    return Digest(identity=digests.of_data(identity), recorded=recorded, science=science, science_values=shown, deterministic=deterministic)


def content(inputs: Mapping[str, list[DataRef]]) -> dict[str, list[str | None]]:
    """Identity of all inputs whose content counts."""
    # of a pattern's matches and of secondary files each counts, whatever folder they are in
    return {
        name: [c for ref in refs for c in (ref.checksum, *sorted(ref.beside.values()))]
        for name, refs in inputs.items()
        if all(ref.counts for ref in refs)
    }


def changes(saved: Plan, fresh: Plan) -> list[Problem]:
    """What is no longer as a saved plan says; empty if it may run."""
    found = []
    for what, old, new in (
        ("code of the workflow", saved.code, fresh.code),
        ("version of the workflow", saved.version, fresh.version),
        ("engine", saved.engine, fresh.engine),
        ("command", saved.command, fresh.command),
        ("selected values", saved.selected, fresh.selected),
        ("software", _route(saved), _route(fresh)),
        ("backend", saved.backend, fresh.backend),
        ("units", saved.units, fresh.units),
    ):
        if old != new:
            found.append(Problem(what, f"was {_short(old)}, is now {_short(new)}", "make a new plan"))
    was, is_now = content(saved.inputs), content(fresh.inputs)
    for name in sorted(was.keys() | is_now.keys()):
        if was.get(name) != is_now.get(name):
            paths = ", ".join(r.path or r.uri for r in fresh.inputs.get(name, [])) or "nothing"
            found.append(Problem(f"input {name}", f"its content changed since the plan was made: {paths}", "make a new plan"))
    return found


def _route(plan: Plan) -> tuple[object, ...]:
    """What of the software decides what runs: not whether an image was made ready meanwhile."""
    software = plan.software
    images = {"": software.container, **software.images}
    return software.route, software.bin_dirs, {n: (c.runtime, c.reference, c.digest) for n, c in images.items() if c}


def _short(value: object) -> str:
    if isinstance(value, EngineChoice):
        return f"{value.name} {value.version} at {value.path}"
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else text[:117] + "…"
