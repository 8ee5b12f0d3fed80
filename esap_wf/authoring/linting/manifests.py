"""
What is wrong with a manifest and its schema that reading them lets pass: quantities, images, requirements,
outputs' paths.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from esap_wf.authoring.linting import parameters
from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents, quantities, schemas
from esap_wf.models.manifest import Software
from esap_wf.planning import steps
from esap_wf.software import environments


def look(workflow: Workflow, errors: list[Problem], warnings: list[Problem]) -> None:
    """Note what is wrong."""
    if workflow.kind is not Kind.DERIVED:
        _schema(workflow, errors)
        _sizes(workflow, errors)
        errors += steps.problems(workflow)
        for number, software in enumerate(workflow.manifest.software):
            _software(workflow, number, software, errors, warnings)
        if not (workflow.folder / "README.md").is_file():
            hint = "say what the workflow does, for whom, and what it costs"
            errors.append(Problem(str(workflow.folder), "README.md is missing", hint))
    where = workflow.document.where
    if workflow.kind is Kind.HOUSE:
        for number, output in enumerate(workflow.manifest.outputs):
            for key, path in (("path", output.path), ("verdict", output.verdict)):
                if path and not path.startswith("outputs/"):
                    what = f"{path} is outside outputs/, so it is neither kept separately nor delivered"
                    errors.append(
                        Problem(where(["outputs", number, key]), what, f"outputs/{path.rsplit('/', 1)[-1]}")
                    )
        for name in sorted({*workflow.manifest.inputs} & {*workflow.properties}):
            what = f"the input {name} has the same name as a parameter, and the flag is the parameter's"
            warnings.append(
                Problem(
                    where(["inputs", name]),
                    what,
                    f"choose another name, or tell users to write --input {name}=REF",
                )
            )


def _schema(workflow: Workflow, errors: list[Problem]) -> None:
    m = workflow.manifest
    try:
        document = documents.load(workflow.folder / m.parameters, schema=True)
    except EsapError as error:
        errors += error.problems
        return
    wrong = parameters.problems(document, workflow.kind)
    errors += wrong or _examples(workflow, document)
    for name, declared in m.inputs.items():
        if declared.rows:
            file = workflow.folder / declared.rows
            try:
                schemas.validator(documents.load(file, schema=True).data, file, workflow.folder)
            except UsageError as error:
                errors += [Problem(f"{file} ({name})", p.what) for p in error.problems]
    for number, output in enumerate(m.outputs):
        if output.schema:
            file = workflow.folder / output.schema
            try:
                schemas.validator(documents.load(file, schema=True).data, file, workflow.folder)
            except UsageError as error:
                errors += [
                    Problem(workflow.document.where(["outputs", number, "schema"]), f"{file.name}: {p.what}")
                    for p in error.problems
                ]


def _examples(workflow: Workflow, document: documents.Document) -> list[Problem]:
    """Examples that the schema itself refuses."""
    check = schemas.validator(
        {k: v for k, v in workflow.schema.items() if k not in {"required", "$schema", "$id"}},
        Path(document.source),
    )
    return [
        Problem(
            document.where(["properties", name, "examples", number]),
            f"the example does not fit: {schemas.clipped(error.message)}",
        )
        for name, prop in workflow.properties.items()
        if isinstance(prop.get("examples"), list)
        for number, value in enumerate(prop["examples"])
        for error in check.iter_errors({name: value})
    ]


def _sizes(workflow: Workflow, errors: list[Problem]) -> None:
    for name, size in workflow.manifest.resources.sizes.items():
        for key, read in (
            ("memory", quantities.to_bytes),
            ("disk", quantities.to_bytes),
            ("wall", quantities.to_seconds),
        ):
            try:
                read(getattr(size, key))
            except ValueError as error:
                hint = 'such as "90 min" or "2 h"' if key == "wall" else 'such as "500 MB" or "4 GiB"'
                errors.append(
                    Problem(workflow.document.where(["resources", "sizes", name, key]), str(error), hint)
                )


def _software(
    workflow: Workflow, number: int, software: Software, errors: list[Problem], warnings: list[Problem]
) -> None:
    """One alternative: its files pin something, and what it names is there."""

    def where(key: str) -> str:
        return workflow.document.where(["software", number, key])

    for key, name in (("installed", software.installed), ("python", software.python)):
        if isinstance(name, str) and (workflow.folder / name).is_file():
            errors += _unpinned(workflow.folder, name, key, where(key))
    if isinstance(software.installed, list):
        absent = [c for c in software.installed if shutil.which(c) is None]
        what, hint = f"{', '.join(absent)} is not on PATH here", "install it, or add another alternative"
        warnings += [Problem(where("installed"), what, hint)] if absent else []
    if software.container is not None:
        _container(workflow.folder, software.container, where("container"), errors, warnings)
    if software.mounted is not None and not Path(software.mounted).is_dir():
        warnings.append(Problem(where("mounted"), f"{software.mounted} is not mounted here"))


def _unpinned(folder: Path, name: str, key: str, where: str) -> list[Problem]:
    """What is wrong with a list of packages."""
    try:
        if environments.pins(folder / name):
            return []
    except EsapError as error:
        return error.problems
    what = "gives no version: such an alternative is never used" if key == "installed" else "pins nothing"
    return [Problem(where, f"{name} {what}", "write lines such as numpy==2.1.0")]


def _container(folder: Path, text: str, where: str, errors: list[Problem], warnings: list[Problem]) -> None:
    """The name of an image."""
    from esap_wf.software.containers import image as images

    try:
        image = images.parse(text, folder)
    except UsageError as error:
        errors += [Problem(where, p.what, p.hint) for p in error.problems]
        return
    if image.path is not None and not image.path.exists():
        hint = "paths are relative to the workflow's folder"
        errors.append(Problem(where, f"there is no {image.path}", hint))
    elif image.form == images.NAME and not (image.tag or image.digest):
        what = f"{text} has no version, so tomorrow it may be a different image"
        warnings.append(Problem(where, what, f"{text}:VERSION, or @sha256:…"))
