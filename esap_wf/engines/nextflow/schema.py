"""
``nextflow_schema.json`` of both generations: draft-07 with ``definitions``, 2020-12 with ``$defs``, groups
joined by ``allOf``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.documents import Document

FILE = "nextflow_schema.json"
#: Formats of nf-schema that name something on disk.
FORMATS = {"file-path": "file", "directory-path": "folder", "path": "any", "file-path-pattern": "any"}
#: What JSON Schema itself says of a value.
_KEPT = schemas.VALUE_KEYWORDS | {
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
}
_TYPES = {"string", "integer", "number", "boolean", "array", "object", "null"}


@dataclass
class Declared:
    """
    One parameter of a schema.

    Attributes
    ----------
    property : dict
        JSON Schema of it, in our keywords.
    kind : str
        ``file``, ``folder`` or ``any`` if it names something on disk, else empty.
    pattern : bool
        Whether the name is one of many files.
    exists : bool, optional
        What the schema says of it.
    sheet : str
        Path of the schema of its rows, relative to the project.
    extensions : list of str
    required : bool
    origin : str
    """

    property: dict[str, Any]
    kind: str
    pattern: bool
    exists: bool | None
    sheet: str
    extensions: list[str]
    required: bool
    origin: str


@dataclass
class Schema:
    """What a schema says."""

    parameters: dict[str, Declared] = field(default_factory=dict)
    title: str = ""
    description: str = ""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_schema(path: Path) -> Schema:
    """
    A schema file.

    Raises
    ------
    UsageError
        It is no JSON.
    """
    document = documents.load(path, schema=True)
    found = Schema()
    if not isinstance(document.data, dict):
        found.problems.append(Problem(document.where(), "a JSON Schema must be an object"))
        return found
    found.title, found.description = (
        v if isinstance(v := document.data.get(k), str) else "" for k in ("title", "description")
    )
    for pointer, group in _groups(document, found):
        _group(document, pointer, group, found)
    return found


def _groups(document: Document, found: Schema) -> Iterator[tuple[list[str | int], dict[str, Any]]]:
    """The schema itself, and the groups that it is made of."""
    data = document.data
    yield [], data
    joined = data.get("allOf", [])
    if not isinstance(joined, list):
        found.problems.append(Problem(document.where(["allOf"]), "is a list"))
        return
    for i, part in enumerate(joined):
        reference = part.get("$ref") if isinstance(part, dict) else None
        match = (
            re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", reference) if isinstance(reference, str) else None
        )
        if match is None:
            found.warnings.append(
                f"{document.line(['allOf', i])}: a rule over several parameters is left to the pipeline"
            )
            continue
        group = data.get(match[1], {}).get(match[2]) if isinstance(data.get(match[1], {}), dict) else None
        if isinstance(group, dict):
            yield [match[1], match[2]], group
        else:
            found.problems.append(Problem(document.where(["allOf", i]), f"there is no {reference}"))


def _group(document: Document, pointer: list[str | int], group: dict[str, Any], found: Schema) -> None:
    """Add the parameters of a group of the schema, or of its top."""
    properties = group.get("properties", {})
    required = group.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        found.problems.append(
            Problem(document.where(pointer), ("properties must be an object, and required must be a list"))
        )
        return
    if rules := sorted(
        {"dependentRequired", "dependentSchemas", "if", "anyOf", "oneOf", "not", "dependencies"} & set(group)
    ):
        found.warnings.append(
            f"{document.line([*pointer, rules[0]])}: {', '.join(rules)} over several parameters is left to "
            "the pipeline"
        )
    title = group.get("title") if pointer and isinstance(group.get("title"), str) else "Parameters"
    for name, prop in properties.items():
        at = [*pointer, "properties", name]
        if not isinstance(prop, dict):
            found.problems.append(Problem(document.where(at), "a property must be an object"))
            continue
        if (
            "$ref" in prop
            and isinstance(prop["$ref"], str)
            and (match := re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", prop["$ref"]))
        ):
            target = document.data.get(match[1], {}).get(match[2])
            prop = {
                **(target if isinstance(target, dict) else {}),
                **{k: v for k, v in prop.items() if k != "$ref"},
            }
        declared = _property(document, at, name, prop, found)
        declared.property["group"] = title
        declared.required = name in required
        found.parameters[name] = declared


def _property(
    document: Document, at: list[str | int], name: str, prop: dict[str, Any], found: Schema
) -> Declared:
    """A parameter as our schema has it, and what Nextflow's own keywords say of its file."""
    kinds = prop.get("type")
    kinds = (
        kinds
        if isinstance(kinds, list)
        else [kinds]
        if kinds is not None
        else ["string", "integer", "number", "boolean"]
    )
    for kind in kinds:
        if not isinstance(kind, str) or kind not in _TYPES:
            found.problems.append(
                Problem(
                    document.where([*at, "type"]),
                    f"{kind!r} is not a type",
                    f"one of {', '.join(sorted(_TYPES))}",
                )
            )
    if "number" in kinds and "integer" not in kinds:
        kinds = ["integer", *kinds]  # so that 2 is handed on as 2
    description, text = (v if isinstance(v := prop.get(k), str) else "" for k in ("description", "help_text"))
    made: dict[str, Any] = {
        "title": (description or str(prop.get("title") or name)).strip(),
        **({"description": text.strip()} if text else {}),
    }
    made |= {k: v for k, v in prop.items() if k in _KEPT and v is not None}
    made["type"] = kinds[0] if len(kinds) == 1 else kinds
    if prop.get("hidden") is True:
        made["hidden"] = True
    if isinstance(prop.get("errorMessage"), str):
        made["error"] = prop["errorMessage"]
    format_ = prop.get("format")
    if isinstance(format_, str) and format_ not in FORMATS:
        made["format"] = format_
    if "default" in prop:
        made["engine_default"] = prop["default"]
    try:
        schemas.validator({k: v for k, v in made.items() if k != "format"})
    except UsageError as error:
        # a pattern in another dialect of regular expressions is no reason to refuse a pipeline
        found.warnings.append(f"{document.line(at)}: is left to the pipeline: {error.problems[0].what}")
        made = {k: v for k, v in made.items() if k not in _KEPT - {"type", "enum"}}
    pattern = prop.get("pattern") if isinstance(prop.get("pattern"), str) else ""
    exists = prop.get("exists") if isinstance(prop.get("exists"), bool) else None
    sheet = prop.get("schema") if isinstance(prop.get("schema"), str) else ""
    kind = FORMATS.get(format_, "") if isinstance(format_, str) else ""
    return Declared(
        made,
        kind or ("file" if sheet else ""),
        format_ == "file-path-pattern",
        exists,
        str(sheet or ""),
        _extensions(str(pattern)),
        False,
        document.line(at),
    )


def _extensions(pattern: str) -> list[str]:
    r"""File endings that a pattern such as ``^\S+\.(csv|tsv)$`` allows; none if it says something else."""
    match = re.search(r"\\\.(?:\((?:\?:)?([a-z0-9|.\\]+)\)|([a-z0-9]+(?:\\\.[a-z0-9]+)*))\$$", pattern)
    if match is None or not re.match(r"^\^?(?:\\S|\[\^\\s\]|\.)[+*]\\\.", pattern):
        return []
    endings = ["." + e.replace("\\.", ".") for e in (match[1] or match[2]).split("|")]
    return endings if all(re.fullmatch(r"\.[A-Za-z0-9.]{1,20}", e) for e in endings) else []
