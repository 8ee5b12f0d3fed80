"""JSON Schema validation of everything: all problems at once, with position and a hint.

Imported by catalog, parameters, inputs, plan. jsonschema-rs is the one validator; schemas of our own
documents are derived from the models.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec

from esap_wf.documents import Document, Pointer, pointer_text
from esap_wf.errors import Problem, UsageError

T = TypeVar("T")

#: Annotation keywords of ours beside JSON Schema's.
OWN_KEYWORDS = {"unit", "group", "hidden"}
#: What react-jsonschema-form and nf-schema both understand in a property.
PROPERTY_KEYWORDS = OWN_KEYWORDS | {
    "type", "title", "description", "default", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "pattern", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "items", "format", "examples",
    "deprecated", "readOnly",
}  # fmt: skip
TOP_KEYWORDS = {"$schema", "$id", "title", "description", "type", "properties", "required", "additionalProperties"}
TYPES = {"string", "integer", "number", "boolean", "array", "null"}


def closest(word: str, known: Iterable[str]) -> str:
    """A hint: the name that was probably meant."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else ""


def clipped(text: str) -> str:
    """A message that quotes what was given, at a length that people read."""
    return text if len(text) < 400 else text[:180] + " … " + text[-180:]


def validator(schema: dict[str, Any]) -> Any:
    """
    A compiled validator.

    Raises
    ------
    UsageError
        The schema itself is broken.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise UsageError("a JSON Schema is broken", [Problem("", clipped(str(error).splitlines()[0]))]) from None


def wording(error: Any, schema: dict[str, Any] | None = None) -> tuple[list[str | int], str, str]:
    """Pointer, text and hint of one validation error."""
    pointer, kind = list(error.instance_path), error.kind.name
    if kind == "additionalProperties":
        names = list(error.kind.unexpected)
        known = list((schema or {}).get("properties", {}))
        hint = next(filter(None, (closest(n, known) for n in names)), "")
        return [*pointer, names[0]], f"unknown: {', '.join(names)}", hint
    if kind == "required":
        return pointer, f"{error.kind.property} is missing", ""
    if kind == "anyOf":
        # of the alternatives those that want another type say nothing; if all do, they say what is wanted
        branches = [b for b in error.kind.context if b]
        told = [b for b in branches if b[0].kind.name != "type"] or [b for b in branches if not b[0].message.endswith('"null"')]
        if told:
            return pointer, clipped(" or ".join(dict.fromkeys(b[0].message for b in told))), ""
    text = clipped(error.message)
    hint = closest(str(error.instance)[:80], map(str, error.kind.options)) if kind == "enum" else ""
    return pointer, text, hint


def problems(check: Any, document: Document, schema: dict[str, Any] | None = None) -> list[Problem]:
    """All that a validator finds in a document."""
    found = []
    for error in check.iter_errors(document.data):
        pointer, what, hint = wording(error, schema if not error.instance_path else None)
        found.append(Problem(document.where(pointer), what, hint))
    return found


@cache
def _schema_of(kind: type) -> tuple[dict[str, Any], Any]:
    schema = msgspec.json.schema(kind)
    return schema, validator(schema)


def convert(document: Document, kind: type[T], what: str) -> T:
    """
    A document as a model.

    Parameters
    ----------
    document : Document
    kind : type
        A model of `esap_wf.models`.
    what : str
        What the document is, for the message.

    Raises
    ------
    UsageError
        Every problem with its position.
    """
    schema, check = _schema_of(kind)  # type: ignore[arg-type]
    found = []
    for error in check.iter_errors(document.data):
        place = _resolve(schema, error.schema_path)
        pointer, text, hint = wording(error, place)
        found.append(Problem(document.where(pointer), text, hint))
    if found:
        raise UsageError(f"the {what} is not valid", found)
    try:
        return msgspec.convert(document.data, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"the {what} is not valid", [Problem(document.source, str(error))]) from None


def _resolve(schema: dict[str, Any], path: Pointer) -> dict[str, Any] | None:
    """The object schema that an error's keyword stands in, `$ref`s followed."""
    node: Any = schema
    for part in list(path)[:-1]:
        if isinstance(node, dict) and "$ref" in node and part == "$ref":
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif isinstance(node, (dict, list)):
            try:
                node = node[part]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                return None
    while isinstance(node, dict) and "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node if isinstance(node, dict) else None


def lint_parameters(document: Document, plain: bool = False) -> list[Problem]:
    """
    What is wrong with a ``params.schema.json``: the JSON Schema itself, our subset (docs/workflows.md), defaults that
    don't fit, names that are no flags, units that don't exist.

    Parameters
    ----------
    document : Document
    plain : bool
        The pipeline was not written for esap-wf: it has its own names and keywords, and defaults of its own.
    """
    schema, found = document.data, []

    def problem(pointer: Pointer, what: str, hint: str = "") -> None:
        found.append(Problem(document.where(pointer), what, hint))

    if not isinstance(schema, dict):
        return [Problem(document.where(), "a JSON Schema is an object")]
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        problem((), 'parameters are one flat object: "type": "object", "additionalProperties": false')
    for key in sorted(set(schema) - TOP_KEYWORDS):
        problem([key], f"{key} is outside the subset that forms and engines share", closest(key, TOP_KEYWORDS))
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        problem(["properties"], "properties is missing")
        return found
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        problem(["required"], "is a list of names")
        required = []
    for name in required:
        if name not in properties:
            problem(["required"], f"{name} is required, but is no property", closest(name, properties))
    for name, prop in properties.items():
        at = ["properties", name]
        if plain and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}", name):
            problem(at, "a parameter's name has letters, digits, and _ . -")
        elif not plain and (not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) or name in {"inputs", "selected", "workflow"}):
            problem(at, "a parameter is named in snake_case, and not inputs, selected or workflow")
        if not isinstance(prop, dict):
            problem(at, "a property is an object")
            continue
        for key in sorted(set(prop) - PROPERTY_KEYWORDS) if not plain else []:
            problem([*at, key], f"{key} is outside the subset that forms and engines share", closest(key, PROPERTY_KEYWORDS))
        given = prop.get("type")
        types = [str(t) for t in given] if isinstance(given, list) else [str(given)]
        if plain and (given is None or set(types) <= TYPES | {"object"}):
            pass
        elif not set(types) <= TYPES or not set(types) - {"null"}:
            problem([*at, "type"], f"type is one of {', '.join(sorted(TYPES))}, or a list of one of them and null")
        if not prop.get("title"):
            problem(at, "title is missing")
        if "unit" in prop:
            from esap_wf.quantities import unknown_unit

            if not {"number", "integer"} & set(types) and "array" not in types:
                problem([*at, "unit"], "only a number has a unit")
            if why := unknown_unit(prop["unit"]):
                problem([*at, "unit"], why)
    if found:
        return found
    try:
        validator(schema)
    except UsageError as error:
        return [Problem(document.where(), p.what) for p in error.problems]
    for name, prop in properties.items():
        if "default" in prop:
            for misfit in validator(prop).iter_errors(prop["default"]):
                problem(["properties", name, "default"], f"the default does not fit: {misfit.message}")
        elif name not in required and not plain:
            problem(["properties", name], "neither required nor with a default")
    return found


__all__ = ["closest", "convert", "lint_parameters", "pointer_text", "problems", "validator", "wording"]
