"""The interface of a CWL process without a manifest: v1.0 to v1.2, Workflow, CommandLineTool and
ExpressionTool, alone or in a ``$graph``.

Called by the CWL engines. Which process is meant is `process`'s business, types are `types`', references
`documents`'.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esap_wf.code import repositories
from esap_wf.engines import Interface
from esap_wf.engines.cwl import outputs as cwl_outputs
from esap_wf.engines.cwl import types
from esap_wf.engines.cwl.documents import Node, Reader, short
from esap_wf.engines.cwl.process import in_folder, is_cwl, process_of
from esap_wf.errors import Problem, UsageError
from esap_wf.models.manifest import Input
from esap_wf.models.request import is_file_object

#: What a manifest's input may be called (`esap_wf.models.manifest.InputName`).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def derive(path: Path, item: str | None) -> Interface | None:
    """
    The interface of a CWL file, or of the one process of a folder.

    Parameters
    ----------
    path : Path
        A file, or a folder: its ``main.cwl``, its only process, or the only one that no other one uses.
    item : str, optional
        Process of a ``$graph``; without it ``main``, or the only one.

    Returns
    -------
    Interface or None
        None if there is no CWL.

    Raises
    ------
    UsageError
        Every problem with file and line; several processes that may be meant.
    """
    file = in_folder(path) if path.is_dir() else path if is_cwl(path) else None
    if file is None:
        return None
    reader = Reader()
    root = reader.open(file)
    process = process_of(reader, root, item) if root else None
    if process is None or reader.problems:
        raise UsageError(f"{file} is not valid CWL", reader.problems)
    found = _interface(reader, process, file.absolute(), path)
    if reader.problems:
        raise UsageError(f"{file} is not valid CWL", reader.problems)
    return found


def _interface(reader: Reader, process: Node, file: Path, asked: Path) -> Interface:
    """What a process declares, as an interface: files are inputs, all else parameters."""
    root = _root(reader, file, asked)
    named = types.definitions(reader, process)
    inputs: dict[str, Input] = {}
    properties: dict[str, dict[str, Any]] = {}
    required: list[str] = []
    origins: dict[str, str] = {}
    for name, node in reader.entries(process.at("inputs"), "type"):
        kind = types.read_type(reader, node.at("type"), named)
        given = reader.resolved(node.at("default"))
        default = None if _is_gone(reader, given) else given.data
        needed = not kind.optional and default is None
        files = kind.files()
        title, text = _title_and_text(node, name)
        if files and _NAME.fullmatch(name):
            inputs[name] = Input(
                title=title,
                description=_described(text, node, kind),
                required=needed,
                many=files[1],
                kind=_kind(files[0]),
                secondary=list(_secondary(reader, node)),
                format=_format(reader, process, node),
                engine_default=_path_of(default),
            )
            origins[f"inputs.{name}"] = node.line
            continue
        if files:
            reader.warn(f"{name} can only be given in a parameter file, because its name can't be a flag")
        properties[name] = {
            "title": title,
            **({"description": text} if text else {}),
            **types.schema(kind),
            **({"engine_default": default} if default is not None else {}),
            "cwl_type": kind.shown(),
        }
        origins[f"parameters.{name}"] = node.line
        if needed:
            required.append(name)
    outputs, found = cwl_outputs.outputs(reader, process)
    label, doc = process.text("label"), process.text("doc")
    stem = file.stem if file.stem != "main" else file.parent.name
    return Interface(
        root=root,
        file=file.relative_to(root).as_posix(),
        name=stem,
        inputs=inputs,
        outputs=outputs,
        schema={
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": required,
        },
        unit_steps=tuple(_scattered(reader, process)),
        title=label or stem,
        description=doc,
        images=tuple(_images(reader, process)),
        contained=True,
        origins={**origins, **found},
        warnings=tuple(reader.warnings),
        files=tuple(sorted(_relative(reader, root))),
        **_credits(process),
    )


def _root(reader: Reader, file: Path, asked: Path) -> Path:
    """The smallest folder that holds all that the pipeline refers to, at most its repository."""
    folders = [p.parent.absolute() for p in {file, *reader.files}]
    root = Path(os.path.commonpath(folders))
    repository = repositories.top_of(file)
    outside = repository is not None and not root.is_relative_to(repository)
    if outside or root == Path(root.anchor):
        limit = repository or file.parent
        far = [f for f in sorted(reader.files) if not f.absolute().is_relative_to(limit)]
        raise UsageError(
            (f"{asked} refers to files far from it"),
            [Problem(str(f), f"lies outside of {limit}") for f in far],
        )
    return root


def _relative(reader: Reader, root: Path) -> Iterator[str]:
    for path in reader.files:
        yield path.absolute().relative_to(root).as_posix()


def _title_and_text(node: Node, name: str) -> tuple[str, str]:
    """Title and text: the label, else the first short line of the documentation, else the name."""
    label, doc = node.text("label").strip(), node.text("doc").strip()
    return label or name, doc


def _described(text: str, node: Node, kind: types.Type) -> str:
    formats = node.at("format").data
    shown = [f for f in (formats if isinstance(formats, list) else [formats]) if isinstance(f, str)]
    parts = [
        text,
        kind.shown() if kind.files() is None else "",
        f"format {', '.join(shown)}" if shown else "",
    ]
    return "\n".join(p for p in parts if p)


def _kind(kind: str) -> Any:
    return kind


def _secondary(reader: Reader, node: Node) -> Iterator[str]:
    """Patterns of files that must lie beside an input; ``?`` at the end of those that may lack."""
    given = reader.resolved(node.at("secondaryFiles"))
    if given.data is None:
        # of a list of records that each say it, or beside `type: File[]`
        given = reader.resolved(node.at("type").at("secondaryFiles"))
    members = [given.at(i) for i in range(len(given.data))] if isinstance(given.data, list) else [given]
    for member in members:
        pattern, needed = member.data, True
        if isinstance(pattern, dict):
            needed = pattern.get("required") in (None, True)  # an expression may say that it may lack
            pattern = pattern.get("pattern")
        if pattern is None:
            continue
        if not isinstance(pattern, str):
            reader.wrong(
                member,
                ("a pattern for secondary files must be a string, or a mapping with pattern and required"),
            )
        elif "$(" in pattern or "${" in pattern:
            reader.warn(
                f"{member.line}: secondary files are computed by an expression and can't be checked before "
                "the run"
            )
        elif "/" in pattern or not pattern.strip("^?"):
            reader.wrong(member, f"{pattern!r} is not a pattern for a file beside another one")
        else:
            yield pattern if needed or pattern.endswith("?") else f"{pattern}?"


def _format(reader: Reader, process: Node, node: Node) -> str:
    """
    URI of the first format that an input has, prefixes written out: engines hold it against that of the file
    that is given.
    """
    formats = node.at("format").data
    first = next((f for f in (formats if isinstance(formats, list) else [formats]) if isinstance(f, str)), "")
    if not first or "$(" in first or "${" in first:
        return ""
    prefix, colon, rest = first.partition(":")
    if "://" in first or not colon:
        return first
    root = reader.open(process.file)
    spaces = root.at("$namespaces").data if root else None
    space = {**(spaces if isinstance(spaces, dict) else {}), **(process.at("$namespaces").data or {})}.get(
        prefix
    )
    return f"{space}{rest}" if isinstance(space, str) else first


def _path_of(default: Any) -> str:
    """A default file as it is written."""
    if isinstance(default, list):
        return ", ".join(filter(None, map(_path_of, default)))
    if isinstance(default, dict):
        return str(
            default.get("location")
            or default.get("path")
            or ("a text" if "contents" in default else json.dumps(default))
        )
    return "" if default is None else str(default)


def _is_gone(reader: Reader, default: Node) -> bool:
    """Whether a default names a file that is not there: then one must be given."""
    text = default.data.get("location", default.data.get("path")) if is_file_object(default.data) else None
    path = reader.path(text, default) if isinstance(text, str) else None
    return path is not None and not path.exists()


def _scattered(reader: Reader, process: Node) -> Iterator[str]:
    if process.data.get("class") == "Workflow":
        for name, step in reader.entries(process.at("steps")):
            if step.at("scatter").data:
                yield name


def _images(reader: Reader, process: Node) -> Iterator[str]:
    """Images that the steps name, each once."""
    seen: list[str] = []
    for part in cwl_outputs.reachable(reader, process):
        for key in ("requirements", "hints"):
            for docker in types.requirements(reader, part, key, "DockerRequirement"):
                image = docker.text("dockerImageId") or docker.text("dockerPull")
                if not image:
                    reader.warn(
                        f"{docker.line}: an image that is built or loaded (dockerFile, dockerLoad, "
                        "dockerImport)"
                    )
                elif image not in seen:
                    seen.append(image)
    return iter(seen)


def _credits(process: Node) -> dict[str, Any]:
    """Authors, licence, version, citation and keywords, where schema.org's words are used."""
    data = {
        short(re.sub(r"^(s|schema|sc):", "", str(k)).rsplit("schema.org/", 1)[-1]): v
        for k, v in process.data.items()
        if isinstance(k, str) and re.match(r"(s|schema|sc):|https?://schema\.org/", k)
    }

    def texts(key: str) -> tuple[str, ...]:
        value = data.get(key)
        found = []
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, dict):
                v = next((v[k] for k in v if str(k).rsplit(":", 1)[-1].rsplit("/", 1)[-1] == "name"), None)
            if isinstance(v, str) and v.strip():
                found.append(v.strip())
        return tuple(found)

    people = texts("author") or texts("creator")
    licence = next(iter(texts("license")), None)
    if licence and "spdx.org/licenses/" in licence:
        licence = licence.rsplit("/", 1)[1].removesuffix(".html")
    version = next(iter(texts("softwareVersion") or texts("version")), "")
    words = tuple(w.strip() for text in texts("keywords") for w in text.split(","))
    return {
        "authors": people,
        "license": licence,
        "version": version,
        "citation": texts("citation"),
        "keywords": words,
    }
