"""Values with which a workflow can be tried: defaults, ``examples`` of the schema, what lies in ``test/``.

docs/workflows.md says which files of ``test/`` are meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue import manifests
from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.config import Config
from esap_wf.engines import Job, JobInput
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Implementation, Input
from esap_wf.models.plan import Allocation, SoftwareChoice
from esap_wf.models.request import DataRef, Request
from esap_wf.planning import resources
from esap_wf.request.assembly import in_position
from esap_wf.request.validation import Validated, validate
from esap_wf.running import render

#: Stands for the digest of the code: a dry run's snapshot needs none.
SNAPSHOT = render.snapshot_place("0" * 16)
_ENDINGS = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Example:
    """
    A request that a dry run can be made of.

    Parameters
    ----------
    valid : Validated, optional
        None: there is none.
    lacks : list of str
        Why.
    """

    workflow: Workflow
    valid: Validated | None
    lacks: list[str] = field(default_factory=list)

    def job(self, workflow: Workflow, implementation: Implementation) -> Job:
        """What an engine would be asked for, in terms of a run directory."""
        assert self.valid is not None
        position, home = workflow.home(implementation)
        snapshot = {str(f.source): f"{SNAPSHOT}/{f.name}" for f in workflow.code_files()}

        def local(ref: DataRef) -> DataRef:
            return msgspec.structs.replace(ref, path=snapshot.get(str(ref.path), ref.path))

        inputs = {
            name: JobInput(tuple(map(local, refs)), spec.many, spec.format)
            for name, refs in self.valid.inputs.items()
            for spec in [workflow.manifest.inputs.get(name, Input(title=name))]
        }
        return Job(
            workflow=workflow.manifest.name,
            entry=f"{SNAPSHOT}/{position}/{implementation.file}",
            parameters=self.valid.parameters,
            inputs=inputs,
            selected=self.valid.selected,
            software=SoftwareChoice(route="installed", detail=""),
            allocation=Allocation(cores=1, memory_bytes=1_000_000_000, disk_bytes=0, wall_seconds=3600),
            plain=implementation.config == "plain",
            item=implementation.item,
            source=home / implementation.file,
            folder=f"{SNAPSHOT}/{position}",
            workdir=implementation.workdir or "",
            beside=workflow.beside,
        )


def of(workflow: Workflow, config: Config, errors: list[Problem], warnings: list[Problem]) -> Example:
    """
    The first that is valid; what is wrong with those that an author wrote is noted, and with the defaults.
    """
    base, lacks = _base(workflow)
    found: list[Validated] = []
    for file in _files(workflow):
        try:
            request, document, pointer = _read_example(workflow, file)
            valid, problems = _validated(workflow, config, request, base, document, pointer)
        except EsapError as error:
            errors += error.problems or [Problem(str(file), error.message)]
            continue
        new = [p for p in problems if not _is_reported(p, errors)]
        errors += [
            p if p.where.startswith(str(file)) else Problem(f"{file}: {p.where}", p.what, p.hint) for p in new
        ]
        found += [] if problems else [valid]
        if not problems:
            _costs(workflow, valid, errors)
    if found:
        return Example(workflow, found[0])
    if lacks:
        return Example(workflow, None, lacks)
    try:
        valid, problems = _validated(workflow, config, Request(workflow=workflow.manifest.name), base)
    except UsageError as error:
        problems = error.problems or [Problem(str(workflow.document.source), error.message)]
    if problems and workflow.kind is Kind.HOUSE:
        new = [p for p in problems if not _is_reported(p, errors)]
        errors += [Problem(p.where, f"with only defaults and examples: {p.what}", p.hint) for p in new]
    if problems:
        return Example(workflow, None, [f"{p.where}: {p.what}" for p in problems[:3]])
    _costs(workflow, valid, errors)
    return Example(workflow, valid)


def _is_reported(problem: Problem, errors: list[Problem]) -> bool:
    """Whether a problem is that of a default, which was reported with its line."""
    name = problem.where.removeprefix("parameter ")
    return any(e.where.endswith(f"properties.{name}.default") for e in errors)


def _files(workflow: Workflow) -> list[Path]:
    """
    ``test/params*.yaml`` and ``test/request*.yaml``; of a second manifest of a folder those whose name begins
    with its own.
    """
    folder, file = workflow.folder / "test", Path(workflow.document.source)
    name = (
        ""
        if file.name == "workflow.yaml" or not manifests.is_manifest(file)
        else f"{manifests.name_of(file)}."
    )
    if workflow.kind is Kind.DERIVED or not folder.is_dir():
        return []
    begins = tuple(f"{name}{word}" for word in ("params", "request", "job"))
    there = sorted(p for p in folder.iterdir() if p.suffix in _ENDINGS and p.is_file())
    return [p for p in there if p.name.startswith(begins) and ".schema." not in p.name]


def _read_example(workflow: Workflow, file: Path) -> tuple[Request, Document, tuple[str, ...]]:
    document = documents.load(file)
    data = document.data
    if not isinstance(data, dict):
        raise UsageError(
            "a test's values are not valid",
            [Problem(document.where(), "a mapping of names to values is expected")],
        )
    request, pointer = Request(workflow=workflow.manifest.name), ()
    if {"parameters", "workflow"} & set(data) - {*workflow.properties, *workflow.manifest.inputs}:
        asked = {**data, "workflow": workflow.manifest.name}
        request = schemas.convert(Document(asked, document.source, document.text), Request, "request")
        pointer = ("parameters",)  # type: ignore[assignment]
    else:
        request = msgspec.structs.replace(request, parameters=data)
    return in_position(workflow, request, file.parent, document, pointer), document, pointer


def _validated(
    workflow: Workflow,
    config: Config,
    request: Request,
    base: dict[str, Any],
    document: Document | None = None,
    pointer: tuple[str, ...] = (),
) -> tuple[Validated, list[Problem]]:
    """With the values and files that a request doesn't give, but that it needs."""
    parameters = {**{n: v for n, v in base.items() if n not in request.parameters}, **request.parameters}
    inputs = {**_beside(workflow, request), **request.inputs}
    full = msgspec.structs.replace(request, parameters=parameters, inputs=inputs)
    return validate(full, config, {}, document, pointer, workflow)


def _base(workflow: Workflow) -> tuple[dict[str, Any], list[str]]:
    """Values of parameters that must be given, and what has none."""
    values, lacks = {}, []
    for name in workflow.schema.get("required", []):
        prop = workflow.properties.get(name, {})
        if "default" in prop or "engine_default" in prop:
            continue
        if shown := prop.get("examples") or prop.get("enum"):
            values[name] = shown[0]
        else:
            lacks.append(f"the parameter {name} has no example value")
    there = _beside(workflow, Request(workflow="x"))
    for name, spec in workflow.manifest.inputs.items():
        if (
            spec.required
            and not spec.default
            and not spec.engine_default
            and name not in there
            and name not in workflow.order
        ):
            lacks.append(
                f"the input {name} has no example: "
                f"test/{name}{spec.extensions[0] if spec.extensions else '.…'}"
            )
    return values, lacks


def _beside(workflow: Workflow, request: Request) -> dict[str, list[str]]:
    """Needed inputs that are not given: ``test/NAME.*`` or ``test/NAME``."""
    folder = workflow.folder / "test"
    found = {}
    for name, spec in workflow.manifest.inputs.items():
        if (
            workflow.kind is Kind.DERIVED
            or name in request.inputs
            or not spec.required
            or spec.default
            or not folder.is_dir()
        ):
            continue
        fits = sorted(
            p
            for p in folder.iterdir()
            if p.name.split(".")[0] == name and (not spec.extensions or p.suffix in spec.extensions)
        )
        if fits:
            found[name] = [str(p) for p in (fits if spec.many else fits[:1])]
    return found


def _costs(workflow: Workflow, valid: Validated, errors: list[Problem]) -> None:
    """The resource model with these values, in each size."""
    m = workflow.manifest
    names = {**valid.parameters, **valid.selected}
    rows = next((r.rows for refs in valid.inputs.values() for r in refs if r.rows is not None), None)
    size = sum(ref.bytes or 0 for refs in valid.inputs.values() for ref in refs)
    for key in {s.cores for s in m.resources.sizes.values()} or {1}:
        try:
            resources.estimate_of(workflow, names, resources.units_of(workflow, names, rows), key, size)
        except ValueError as error:
            errors.append(
                Problem(
                    workflow.document.where(["resources", "estimate"]), f"the resource model fails: {error}"
                )
            )
            return
