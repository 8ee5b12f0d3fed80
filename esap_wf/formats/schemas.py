"""JSON Schema validation of everything: all problems at once, with position and a hint.

jsonschema-rs is the one validator; schemas of our own documents are derived from the models.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf.errors import EsapError, Problem, UsageError
from esap_wf.formats import documents, patterns, printing, reading
from esap_wf.formats.documents import Document, Pointer, pointer_text

T = TypeVar("T")

#: Annotation keywords of ours beside JSON Schema's.
OWN_KEYWORDS = {"unit", "group", "hidden"}
#: What JSON Schema says of a value that every engine's form and check understand.
VALUE_KEYWORDS = {
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "items",
    "examples",
    "deprecated",
}
#: What react-jsonschema-form and nf-schema both understand in a property.
PROPERTY_KEYWORDS = OWN_KEYWORDS | VALUE_KEYWORDS | {"title", "description", "default", "format", "readOnly"}
TOP_KEYWORDS = {
    "$schema",
    "$id",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
}
TYPES = {"string", "integer", "number", "boolean", "array", "null"}
#: Errors reported of one document.
MAX_ERRORS = 100
#: Characters of a message.
LONGEST = 400
#: Choices that an error lists.
CHOICES = 30


def closest(word: str, known: Iterable[str]) -> str:
    """A hint: the name that was probably meant."""
    match = difflib.get_close_matches(word[:80], [k[:80] for k in islice(known, 1000)], n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else ""


def clipped(text: str) -> str:
    """A message that quotes what was given, at a length that people read."""
    return printing.clipped(text, LONGEST, LONGEST // 2, " … ")


def validator(schema: Any, file: Path | None = None, root: Path | None = None) -> Any:
    """
    A compiled validator. It fetches nothing: a reference leads to a part of the schema, or to another file of
    its folder.

    Parameters
    ----------
    schema : dict
    file : Path, optional
        Where it stands; without one it may refer to itself only.
    root : Path, optional
        The folder that no reference leaves; by default that of the file.

    Raises
    ------
    UsageError
        The schema itself is broken, or refers to something else.
    """
    import jsonschema_rs

    retrieve = _Beside(file, root or file.parent if file else None)
    base = file.absolute().as_uri() if file else None
    try:
        return jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, retriever=retrieve, base_uri=base
        )
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
        what = retrieve.refused or clipped((str(error).splitlines() or ["it can't be read"])[0])
        raise UsageError("a JSON Schema is broken", [Problem(str(file or ""), what)]) from None


class _Beside:
    """What a schema's references to other documents stand for: files of one folder, nothing else."""

    def __init__(self, file: Path | None, root: Path | None) -> None:
        self.file, self.root = file, root
        self.refused = ""

    def __call__(self, uri: str) -> Any:
        try:
            if self.root is None or not uri.startswith("file:///"):
                raise UsageError(
                    f"refers to {clipped(uri)}: nothing is fetched, only files beside it are read"
                )
            path = reading.real(Path(unquote(urlsplit(uri).path)))
            if not path.is_relative_to(self.root.resolve()):
                raise UsageError(f"refers to {clipped(uri)}, which leads out of the folder {self.root}")
            return documents.load(path, schema=True).data
        except (EsapError, OSError, ValueError) as error:
            self.refused = self.refused or str(error).replace("\n", " ")
            raise ValueError(self.refused) from None


def wording(error: Any, schema: dict[str, Any] | None = None) -> tuple[list[str | int], str, str]:
    """Pointer, text and hint of one validation error."""
    pointer, kind = list(error.instance_path), error.kind.name
    if kind == "additionalProperties":
        names = list(error.kind.unexpected)
        known = list((schema or {}).get("properties", {}))
        hint = next(filter(None, (closest(n, known) for n in names[:20])), "")
        return [*pointer, names[0]], clipped(f"unknown: {', '.join(names[:50])}"), hint
    if kind == "required":
        return pointer, f"{error.kind.property} is missing", ""
    if kind == "anyOf":
        # of the alternatives those that want another type say nothing; if all do, they say what is wanted
        branches = [b for b in error.kind.context if b]
        telling = [b for b in branches if b[0].kind.name != "type"] or [
            b for b in branches if not b[0].message.endswith('"null"')
        ]
        if telling:
            return pointer, clipped(" or ".join(dict.fromkeys(_sentence(b[0], schema) for b in telling))), ""
    text = _sentence(error, schema)
    hint = closest(str(error.instance)[:80], map(str, error.kind.options)) if kind == "enum" else ""
    return pointer, text, hint


def _sentence(error: Any, schema: Mapping[str, Any] | None) -> str:
    """An error in words: all choices, and no regular expression that people would have to read."""
    kind = error.kind.name
    if kind == "enum" and len(error.kind.options) <= CHOICES:
        return clipped(
            f"{msgspec.json.encode(error.instance).decode()} is not one of: "
            f"{', '.join(map(str, error.kind.options))}"
        )
    if kind == "pattern":
        pointer = list(error.instance_path)
        if words := patterns.described(schema or {}, pointer[-1] if pointer else "", str(error.kind.pattern)):
            return (
                f"{clipped(repr(error.instance))} does not have the required form: {clipped(words.strip())}"
            )
    return clipped(error.message)


def problems(check: Any, document: Document, schema: dict[str, Any] | None = None) -> list[Problem]:
    """All that a validator finds in a document."""
    found = []
    for error in islice(check.iter_errors(document.data), MAX_ERRORS):
        pointer, what, hint = wording(error, schema if not error.instance_path else None)
        found.append(Problem(document.where(pointer), what, hint))
    return _ended(found, document)


def _ended(found: list[Problem], document: Document) -> list[Problem]:
    return [*found, Problem(document.source, "there may be more")] if len(found) >= MAX_ERRORS else found


@cache
def _schema_of(kind: type) -> tuple[dict[str, Any], Any]:
    schema = _closed(msgspec.json.schema(kind))
    return schema, validator(schema)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """
    The schema of a model (`esap_wf.models.Model`) that allows no members but its own: people who write one
    that nobody reads have made a mistake.
    """
    for definition in schema.get("$defs", {}).values():
        if "properties" in definition:  # a model, not a mapping of free names
            definition["additionalProperties"] = False
    return schema


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
    for error in islice(_innermost(check.iter_errors(document.data)), MAX_ERRORS):
        part = _resolve(schema, error.schema_path)
        pointer, text, hint = wording(error, part)
        found.append(Problem(document.where(pointer), text, hint))
    if found:
        raise UsageError(f"the {what} is not valid", _ended(found, document))
    try:
        return msgspec.convert(document.data, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"the {what} is not valid", [Problem(document.source, str(error))]) from None


def _innermost(errors: Iterable[Any]) -> Iterator[Any]:
    """What is wrong inside of a member that may be left out, in the place of "it is no null, and …"."""
    for error in errors:
        telling = (
            [b for b in error.kind.context if b and b[0].kind.name != "type"]
            if error.kind.name == "anyOf"
            else []
        )
        inside = [e for b in telling for e in b if len(e.instance_path) > len(error.instance_path)]
        members = [e for b in telling for e in b if e.kind.name in ("additionalProperties", "required")]
        if len(telling) == 1 and (inside or members):
            yield from _innermost(telling[0])
        else:
            yield error


def convert_parts(
    document: Document, kind: type[T], what: str, needed: dict[str, Any]
) -> tuple[T, list[Problem]]:
    """
    A document as a model without those of its members that are wrong, and what is wrong with them: the rest
    can be looked at as well.

    Parameters
    ----------
    document : Document
    kind : type
    what : str
    needed : dict
        Members without which there is no model, in place of those that are wrong.

    Raises
    ------
    UsageError
        It is no mapping.
    """
    try:
        return convert(document, kind, what), []
    except UsageError as error:
        if not isinstance(document.data, dict):
            raise
        good = dict(needed)
        for name, value in document.data.items():
            with contextlib.suppress(UsageError):
                convert(Document({**needed, name: value}, document.source), kind, what)
                good[name] = value
        return convert(Document(good, document.source), kind, what), error.problems


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


__all__ = ["closest", "convert", "pointer_text", "problems", "validator", "wording"]
