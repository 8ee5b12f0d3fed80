"""``reana.yaml``: a pipeline as REANA describes it (serial, CWL, Snakemake), run here.

Its values are defaults that are filled in: REANA passes them, too.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf.code import repositories
from esap_wf.engines import Interface
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.documents import Document
from esap_wf.models.manifest import Input, Output
from esap_wf.models.request import declares_more, is_file_object, placed

#: Type in the file → engines that may run it.
ENGINES = {"serial": ("command",), "snakemake": ("snakemake",), "cwl": ("cwl", "toil")}
PROJECT = "project"
_NAME = re.compile(r"reana(?:[-_.][A-Za-z0-9_.-]+)?\.ya?ml")
_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.(?:/|$))[^\x00-\x1f\x7f]{1,250}")


@dataclass(frozen=True)
class Declared:
    """What the file says: its folder is the workspace; `pipeline` is what the engine reads."""

    document: Document
    root: Path
    kind: str
    pipeline: Path

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that may run it."""
        return ENGINES[self.kind]

    @property
    def file(self) -> Path:
        """The file itself."""
        return Path(self.document.source)


def find(path: Path) -> Path | None:
    """The file that is meant: itself, or ``reana.yaml`` of a folder."""
    if path.is_dir():
        return path / "reana.yaml" if (path / "reana.yaml").is_file() else None
    return path if _NAME.fullmatch(path.name) and path.is_file() else None


def declared(path: Path) -> Declared | None:
    """
    Read the file at a path, if there is one.

    Raises
    ------
    UsageError
        Every problem with its line.
    """
    file = find(path)
    if file is None:
        return None
    document = documents.load(file)
    problems = list(_problems(document, file.parent))
    if problems:
        raise UsageError("the reana.yaml is not valid", problems)
    workflow = document.data["workflow"]
    kind = workflow["type"]
    pipeline = file if kind == "serial" else file.parent / workflow["file"]
    return Declared(document, file.parent, kind, pipeline)


def _problems(document: Document, root: Path) -> Iterator[Problem]:
    data = document.data
    workflow = data.get("workflow") if isinstance(data, dict) else None
    if not isinstance(workflow, dict):
        yield Problem(document.where(), "workflow is missing; it needs type, and file or specification")
        return
    kind = workflow.get("type")
    if kind not in ENGINES:
        yield Problem(
            document.where(["workflow", "type"]), f"{kind!r} can't be run", f"one of {', '.join(ENGINES)}"
        )
        return
    if kind == "serial":
        steps = (
            (workflow.get("specification") or {}).get("steps")
            if isinstance(workflow.get("specification"), dict)
            else None
        )
        if not isinstance(steps, list) or not steps:
            yield Problem(document.where(["workflow"]), "a serial workflow needs specification.steps")
        for i, step in enumerate(steps if isinstance(steps, list) else []):
            at: list[str | int] = ["workflow", "specification", "steps", i]
            commands = step.get("commands") if isinstance(step, dict) else None
            if (
                not isinstance(commands, list)
                or not commands
                or not all(isinstance(c, str) for c in commands)
            ):
                yield Problem(document.where(at), "a step needs a list of commands")
            if not isinstance(step, dict) or not isinstance(step.get("environment"), str):
                yield Problem(document.where(at), "a step needs an environment, the name of an image")
    elif (
        not isinstance(workflow.get("file"), str)
        or not _PATH.fullmatch(workflow["file"])
        or not (root / workflow["file"]).is_file()
    ):
        yield Problem(
            document.where(["workflow", "file"]), f"there is no file {workflow.get('file')!r} beside it"
        )
    inputs = data.get("inputs") or {}
    if not isinstance(inputs, dict) or not isinstance(inputs.get("parameters") or {}, dict):
        yield Problem(document.where(["inputs"]), "must be a mapping with files, directories and parameters")
        return
    for part, key in (
        ("inputs", "files"),
        ("inputs", "directories"),
        ("outputs", "files"),
        ("outputs", "directories"),
    ):
        names = (data.get(part) or {}).get(key) or [] if isinstance(data.get(part) or {}, dict) else None
        if not isinstance(names, list):
            yield Problem(document.where([part]), f"{key} must be a list of paths")
            continue
        for i, name in enumerate(names):
            if not isinstance(name, str) or not _PATH.fullmatch(name):
                yield Problem(document.where([part, key, i]), "is not a path inside the workspace")
            elif part == "inputs" and not (root / name).exists():
                yield Problem(document.where([part, key, i]), f"there is no {name} beside it")


def values(found: Declared) -> tuple[dict[str, Any], Document, list[str]]:
    """
    Parameters, the document in which they stand, and where in it: REANA's ``parameters.input`` names a file
    of them.
    """
    parameters = (found.document.data.get("inputs") or {}).get("parameters") or {}
    if (
        found.kind != "serial"
        and isinstance(parameters.get("input"), str)
        and (found.root / parameters["input"]).is_file()
    ):
        document = documents.load(found.root / parameters["input"])
        if not isinstance(document.data, dict):
            raise UsageError(
                "the reana.yaml is not valid",
                [Problem(document.source, "is not a mapping of names to values")],
            )
        return document.data, document, []
    return parameters, found.document, ["inputs", "parameters"]


def files(found: Declared) -> tuple[str, ...] | None:
    """What REANA would upload: that, and the file itself, is the snapshot. None if the file names nothing."""
    inputs = found.document.data.get("inputs") or {}
    names = [*(inputs.get("files") or []), *(inputs.get("directories") or [])]
    taken = {found.file.relative_to(found.root).as_posix(), found.pipeline.relative_to(found.root).as_posix()}
    for name in names:
        place = found.root / name
        inside = repositories.look(place).names if place.is_dir() else [""]
        taken |= {(PurePosixPath(name) / n).as_posix() for n in inside}
    return tuple(sorted(taken)) if names else None


def outputs(found: Declared) -> tuple[list[Output], dict[str, str]]:
    """Declared results, in the workspace."""
    declared_outputs = found.document.data.get("outputs") or {}
    made: dict[str, Output] = {}
    origins: dict[str, str] = {}
    for key in ("files", "directories"):
        for i, text in enumerate(declared_outputs.get(key) or []):
            path = f"{PROJECT}/{glob.escape(str(PurePosixPath(text)))}"
            name = re.sub(r"[^a-z0-9]+", "_", str(text).lower()).strip("_")[:50] or "output"
            name = name if name[0].isalpha() else f"output_{name}"
            while name in made:
                name += "_"
            made[name] = Output(name=name, path=path, required=True)
            origins[f"outputs.{name}"] = found.document.line(["outputs", key, i])
    return list(made.values()), origins


def completed(found: Declared, interface: Interface) -> Interface:
    """
    The engine's interface of a CWL or Snakemake pipeline, with the workspace, values and outputs that the
    file says.
    """
    if found.kind == "serial":
        return interface
    given, document, pointer = values(found)
    properties = {n: dict(p) for n, p in interface.schema.get("properties", {}).items()}
    inputs, origins = dict(interface.inputs), dict(interface.origins)
    order: dict[str, Any] = {}
    for name, value in _flat(given, found.kind == "snakemake"):
        where = document.line([*pointer, *name.split(".")])
        path = (
            value.get("path", value.get("location"))
            if isinstance(value, dict) and value.get("class") in {"File", "Directory"}
            else value
        )
        if (
            found.kind == "cwl"
            and name in inputs
            and is_file_object(value if not isinstance(value, list) else next(iter(value), None))
        ):
            value = _where_it_is(found, value, Path(document.source).parent)
            inside = _inside(found, value) if not declares_more(value, inputs[name]) else ""
            inputs[name] = _with_default(inputs[name], inside, found.kind) if inside else _given(inputs[name])
            order |= {} if inside else {name: value}
            origins[f"inputs.{name}"] = where
        elif (
            name in inputs
            and isinstance(path, str)
            and _PATH.fullmatch(path)
            and (found.root / path).is_file()
        ):
            inputs[name] = _with_default(inputs[name], path, found.kind)
            origins[f"inputs.{name}"] = where
        elif name not in inputs:
            known = properties.get(name) or {"title": name, **_type(value)}
            properties[name] = {**{k: v for k, v in known.items() if k != "engine_default"}, "default": value}
            origins[f"parameters.{name}"] = where
    schema = {
        **interface.schema,
        "properties": properties,
        "required": [
            n for n in interface.schema.get("required", []) if "default" not in properties.get(n, {})
        ],
    }
    declared_outputs, more = outputs(found)
    # the workspace is where it is at work
    places = {
        o.name: o.path.replace(f"{PROJECT}/{interface.workdir}/", f"{PROJECT}/", 1)
        for o in interface.outputs
        if interface.workdir
    }
    own = tuple(msgspec.structs.replace(o, path=places.get(o.name, o.path)) for o in interface.outputs)
    if found.kind == "snakemake" and declared_outputs:
        origins = {k: v for k, v in origins.items() if not k.startswith("outputs.")} | more
    return replace(
        interface,
        root=found.root,
        file=found.pipeline.relative_to(found.root).as_posix(),
        schema=schema,
        inputs=inputs,
        outputs=tuple(declared_outputs) if found.kind == "snakemake" and declared_outputs else own,
        workdir="",
        named=(),
        origins={**origins, "reana": str(found.file)},
        files=files(found),
        name=found.root.name,
        order=order,
    )


def _where_it_is(found: Declared, value: Any, beside: Path) -> Any:
    """
    REANA reads places of a job file from the top of the workspace, cwltool from the file's own folder: the
    first where the files are.
    """
    tried = [placed(value, folder) for folder in (found.root, beside)]
    return next((v for v in tried if all(Path(p).exists() for p in _local(v))), tried[0])


def _local(value: Any) -> Iterator[str]:
    """Paths of files and folders on this machine that a CWL value names."""
    if isinstance(value, list):
        for item in value:
            yield from _local(item)
    elif isinstance(value, dict):
        text = str(value.get("path", value.get("location", "")))
        parts = urlsplit(text)
        if is_file_object(value) and text and parts.scheme in ("", "file"):
            yield unquote(parts.path) if parts.scheme else text
        yield from _local(value.get("secondaryFiles", []))


def _inside(found: Declared, value: Any) -> str:
    """The path of one file in the workspace; empty if it is something else."""
    text = str(value.get("path", value.get("location"))) if isinstance(value, dict) else ""
    path = Path(unquote(urlsplit(text).path) if text.startswith("file:") else text)
    there = path.is_file() and path.resolve().is_relative_to(found.root.resolve())
    relative = os.path.relpath(path, found.root) if there else ""
    return relative if _PATH.fullmatch(relative) else ""


def _given(declared_input: Input) -> Input:
    return msgspec.structs.replace(declared_input, required=False)


def _with_default(declared_input: Input, path: str, kind: str) -> Input:
    # Snakemake finds it in the workspace by the name that it has there
    changed: dict[str, Any] = {"engine_default": path} if kind == "snakemake" else {"default": path}
    return msgspec.structs.replace(declared_input, required=False, **changed)


def _flat(given: dict[str, Any], nested: bool, parents: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if nested and isinstance(value, dict) and value:
            yield from _flat(value, nested, (*parents, str(key)))
        else:
            yield ".".join((*parents, str(key))), value


def _type(value: Any) -> dict[str, Any]:
    kinds = {
        bool: "boolean",
        int: ["integer", "number"],
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return {"type": kinds[type(value)]} if type(value) in kinds else {}
