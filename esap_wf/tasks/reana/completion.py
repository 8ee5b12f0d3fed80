"""The interface of a pipeline that a ``reana.yaml`` describes: its engine's, with what the file says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf.engines import Interface
from esap_wf.models.manifest import Input, Output
from esap_wf.models.request import declares_more, is_file_object, placed
from esap_wf.tasks.reana.declaration import INSIDE, PROJECT, Declared, files, outputs, values


def completed(found: Declared, interface: Interface) -> Interface:
    """
    The engine's interface of a CWL or Snakemake pipeline, with the workspace, values and outputs that the
    file says.
    """
    if found.kind == "serial":
        return interface
    given, document, pointer = values(found)
    made = _Completion(found, interface, Path(document.source).parent)
    for name, value in _flat(given, found.kind == "snakemake"):
        made.add(name, value, document.line([*pointer, *name.split(".")]))
    declared_outputs, origins = outputs(found)
    if found.kind == "snakemake" and declared_outputs:
        kept = {k: v for k, v in made.origins.items() if not k.startswith("outputs.")}
        results, made.origins = tuple(declared_outputs), kept | origins
    else:
        results = _in_workspace(interface)
    required = interface.schema.get("required", [])
    schema = {
        **interface.schema,
        "properties": made.properties,
        "required": [n for n in required if "default" not in made.properties.get(n, {})],
    }
    return replace(
        interface,
        root=found.root,
        file=found.pipeline.relative_to(found.root).as_posix(),
        schema=schema,
        inputs=made.inputs,
        outputs=results,
        workdir="",
        named=(),
        origins={**made.origins, "reana": str(found.file)},
        files=files(found),
        name=found.root.name,
        order=made.order,
    )


def _in_workspace(interface: Interface) -> tuple[Output, ...]:
    """The engine's outputs: the workspace is where it is at work."""
    if not interface.workdir:
        return tuple(interface.outputs)
    inner = f"{PROJECT}/{interface.workdir}/"
    return tuple(
        msgspec.structs.replace(o, path=o.path.replace(inner, f"{PROJECT}/", 1)) for o in interface.outputs
    )


class _Completion:
    """
    Parameters and inputs of an interface, with the values that a file gives.

    Parameters
    ----------
    found : Declared
    interface : Interface
    beside : Path
        The folder of the file that gives the values.
    """

    def __init__(self, found: Declared, interface: Interface, beside: Path) -> None:
        self.found, self.beside = found, beside
        self.properties = {n: dict(p) for n, p in interface.schema.get("properties", {}).items()}
        self.inputs, self.origins = dict(interface.inputs), dict(interface.origins)
        self.order: dict[str, Any] = {}

    def add(self, name: str, value: Any, where: str) -> None:
        """A value: a file of CWL, the path of a file in the workspace, or a parameter."""
        if name not in self.inputs:
            known = self.properties.get(name) or {"title": name, **_type(value)}
            kept = {k: v for k, v in known.items() if k != "engine_default"}
            self.properties[name] = {**kept, "default": value}
            self.origins[f"parameters.{name}"] = where
        elif self.found.kind == "cwl" and is_file_object(_first(value)):
            self._add_file(name, value)
            self.origins[f"inputs.{name}"] = where
        elif path := self._path(value):
            self.inputs[name] = _with_default(self.inputs[name], path, self.found.kind)
            self.origins[f"inputs.{name}"] = where

    def _add_file(self, name: str, value: Any) -> None:
        """A file of CWL: its path, or all of it in the job order if more is said than that."""
        value, known = _where_it_is(self.found, value, self.beside), self.inputs[name]
        inside = _inside(self.found, value) if not declares_more(value, known) else ""
        if inside:
            self.inputs[name] = _with_default(known, inside, self.found.kind)
        else:
            self.inputs[name] = msgspec.structs.replace(known, required=False)
            self.order[name] = value

    def _path(self, value: Any) -> str:
        """The path of a file in the workspace that a value is; empty if it is none."""
        if isinstance(value, dict) and value.get("class") in {"File", "Directory"}:
            value = value.get("path", value.get("location"))
        known = isinstance(value, str) and INSIDE.fullmatch(value) and (self.found.root / value).is_file()
        return value if known else ""


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, list) else value


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
    return relative if INSIDE.fullmatch(relative) else ""


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
