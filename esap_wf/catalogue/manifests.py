"""Manifests: where they are, and what they say.

`entries` is light; `find` validates.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from esap_wf import files
from esap_wf.catalogue import consistency, records
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import EsapError, NotFoundError, Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import MANIFEST_VERSION, Manifest


def builtin() -> Path:
    """Folder of the workflows that come with esap-wf: in a checkout beside the package, else inside it."""
    package = Path(__file__).parents[1]
    beside = package.parent / "workflows"
    return beside if beside.is_dir() else package / "bundled" / "workflows"


def _sources(config: Config) -> Iterator[tuple[str, Path]]:
    yield "built-in", builtin()
    for folder in config.workflows:
        yield "configured", folder


def in_folder(folder: Path) -> list[Path]:
    """Manifest files of one workflow folder."""
    return [f for f in [folder / "workflow.yaml", *sorted(folder.glob("*.workflow.yaml"))] if f.is_file()]


def name_of(file: Path) -> str:
    """The name that a manifest's path gives its workflow."""
    return file.parent.name if file.name == "workflow.yaml" else file.name.removesuffix(".workflow.yaml")


def entries(config: Config) -> Iterator[tuple[str, Path, str]]:
    """Name (from the file's path), manifest file and source of every workflow; nothing is parsed."""
    for source, root in _sources(config):
        if root.is_dir():
            for folder in sorted(p for p in root.iterdir() if p.is_dir()):
                for file in in_folder(folder):
                    yield name_of(file), file, source


def summaries(config: Config) -> list[dict[str, Any]]:
    """What ``esap-wf workflows`` lists; a broken manifest is listed with its error."""
    rows = []
    for name, file, source in entries(config):
        row: dict[str, Any] = {"name": name, "title": "", "version": "", "engines": [], "source": source}
        try:
            data = documents.load(file).data
            row |= {"title": str(data["title"]), "version": str(data["version"])}
            row["engines"] = [str(i["engine"]) for i in data["implementations"]]
            record = records.read_record(file.parent)
            row["license"] = data.get("license") or record.license
            row["authors"] = [str(a["name"]) for a in data.get("authors") or []] or [
                a.name for a in record.authors
            ]
            row["citation"] = [str(c) for c in data.get("citation") or []] or list(record.citation)
        except (EsapError, KeyError, TypeError) as error:
            row["error"] = (
                str(error).replace("\n", " ")
                if isinstance(error, EsapError)
                else "the manifest is not valid: see esap-wf lint"
            )
        rows.append(row)
    return rows


def is_path(name: str) -> bool:
    """Whether a workflow is meant by its path, not by its name."""
    endings = (".yaml", ".yml", ".cwl", ".nf", ".smk")
    return "/" in name or name in {".", "..", "Snakefile"} or name.partition("#")[0].endswith(endings)


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest by its name."""
    return path.name == "workflow.yaml" or path.name.endswith(".workflow.yaml")


def locate(config: Config, name: str) -> tuple[Path, str]:
    """
    Manifest file of a workflow given by name, by ``NAME@SOURCE`` (built-in or configured), or by path.

    Raises
    ------
    NotFoundError
        With what was probably meant.
    UsageError
        Several have this name.
    """
    if is_path(name):
        try:
            path = Path(name).expanduser()
            if path.is_file():
                return path.absolute(), "path"
            found = in_folder(path) if path.is_dir() else []
            if found:
                return found[0].absolute(), "path"
            what = (
                "the folder contains no workflow.yaml" if path.is_dir() else "there is no such file or folder"
            )
        except (OSError, RuntimeError, ValueError) as error:  # too long, not permitted, ~nobody, NUL
            what = getattr(error, "strerror", None) or str(error)
        raise NotFoundError(
            f"no workflow at {name}", [Problem(name, what, "esap-wf workflows lists them all")]
        )
    known: dict[str, list[tuple[Path, str]]] = {}
    for known_name, file, source in entries(config):
        known.setdefault(known_name, []).append((file, source))
    bare, at, wanted = name.rpartition("@")
    there = (
        [(f, s) for f, s in known.get(bare, []) if s == wanted]
        if at and bare in known
        else known.get(name, [])
    )
    if len(there) == 1:
        return there[0]
    if there:
        choices = [
            (f"{bare or name}@{s}" if [x for _, x in there].count(s) == 1 else str(f), f, s) for f, s in there
        ]
        raise UsageError(
            f"several workflows are named {name!r}",
            [Problem(str(f), s, f"choose it by {how}") for how, f, s in choices],
        )
    hint = schemas.closest(name, known) or f"known: {', '.join(sorted(known))}"
    with contextlib.suppress(OSError, ValueError):
        if Path(name).exists():
            hint = f"for the folder of that name, write ./{name}"
    raise NotFoundError(
        f"there is no workflow named {name!r}", [Problem("WORKFLOW", f"unknown workflow {name!r}", hint)]
    )


def find(config: Config, name: str) -> Workflow:
    """
    A workflow by name or path, its manifest validated.

    Raises
    ------
    NotFoundError, UsageError
        Unknown, or the manifest or the schema is broken: every problem with its position.
    """
    file, source = locate(config, name)
    workflow = read_manifest(file, source)
    if source != "path" and workflow.manifest.name != name_of(file):
        raise UsageError("a workflow's manifest and its folder disagree about its name", misnamed(workflow))
    return workflow


def read_manifest(file: Path, source: str = "path") -> Workflow:
    """Read and validate one manifest file; raises as `find`."""
    workflow, problems = opened(file, source)
    if problems:
        raise UsageError("the manifest is not valid", problems)
    return workflow


def opened(file: Path, source: str = "path") -> tuple[Workflow, list[Problem]]:
    """
    A workflow, and what its manifest refers to that isn't there; raises as `find` if there is nothing to go
    on with.
    """
    document = documents.load(file)
    version = document.data.get("schema_version") if isinstance(document.data, dict) else None
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise UsageError(
            "the manifest is newer than this esap-wf",
            [
                Problem(
                    document.where(["schema_version"]),
                    f"it has version {version}; this esap-wf reads versions up to {MANIFEST_VERSION}",
                    "upgrade esap-wf",
                )
            ],
        )
    manifest = schemas.convert(document, Manifest, "manifest")
    folder = file.parent
    # a link may lead to any file of this machine, and errors quote what they are about
    files.inside(folder, manifest.parameters)
    schema_document = documents.load(folder / manifest.parameters, schema=True)
    schema = schema_document.data
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise UsageError(
            "the parameter schema is broken",
            [Problem(schema_document.where(), "an object with properties is expected")],
        )
    if broken := list(unusable(schema_document)):
        raise UsageError("the parameter schema is broken", broken)
    workflow = Workflow(manifest, document, folder, schema, source)
    problems = list(consistency.problems(workflow))
    record = records.read_record(folder)
    return replace(
        workflow, manifest=records.completed(manifest, record, derived=False), notes=record.problems
    ), problems


def unusable(document: Document, derived: bool = False) -> Iterator[Problem]:
    """
    What no code here could read in a parameter schema, also in one that was `derived` from a pipeline's;
    `lint` says all the rest.
    """
    required = document.data.get("required", [])
    if not isinstance(required, list) or not all(isinstance(n, str) for n in required):
        yield Problem(document.where(["required"]), "must be a list of names")
    for name, prop in document.data["properties"].items():
        at = ["properties", name]
        if not isinstance(prop, dict):
            yield Problem(document.where(at), "a property must be an object")
            continue
        kinds = prop.get("type", "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in schemas.TYPES | {"object"}:
                yield Problem(
                    document.where([*at, "type"]),
                    f"{kind!r} is not a type",
                    f"one of {', '.join(sorted(schemas.TYPES))}",
                )
        if not derived and (kinds == "null" or kinds == ["null"] or kinds == []):
            yield Problem(document.where([*at, "type"]), "a type other than null is needed")
        for key, kind_of, what in (
            ("unit", str, "a text"),
            ("enum", list, "a list"),
            ("items", dict, "an object"),
        ):
            if not isinstance(prop.get(key, kind_of()), kind_of):
                yield Problem(document.where([*at, key]), f"is {what}")


def misnamed(workflow: Workflow) -> list[Problem]:
    """
    In a collection the path is the name: otherwise a run would be recorded, and run again, as another
    workflow.
    """
    file, own = workflow.document.source, workflow.manifest.name
    if own == name_of(Path(file)):
        return []
    what = f"it calls itself {own!r}, but its path says {name_of(Path(file))!r}"
    return [Problem(workflow.document.where(["name"]), what, "use the same name for both")]
