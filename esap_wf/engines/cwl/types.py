"""Types of CWL parameters, and JSON Schema of what a user may give for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from esap_wf.engines.cwl.documents import Node, Reader, short
from esap_wf.formats.schemas import closest

PRIMITIVE = {
    "null": "null",
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "string": "string",
}
FILES = ("File", "Directory")
#: Shortcuts for a File: of an input, and of an output.
STREAMS = ("stdin", "stdout", "stderr")
_ANY = ["string", "integer", "number", "boolean", "array", "object"]
_MAX_DEPTH = 30


@dataclass(frozen=True)
class Type:
    """
    A type without CWL's shorthands.

    Parameters
    ----------
    kind : str
        One of `PRIMITIVE`, `FILES`, ``Any``, ``array``, ``enum``, ``record``, ``union``.
    parts : tuple of Type
        Items of an array, alternatives of a union, fields of a record.
    names : tuple of str
        Symbols of an enum, names of a record's fields.
    docs : tuple of str
        What is said of a record's fields.
    """

    kind: str
    parts: tuple[Type, ...] = ()
    names: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        return self.kind == "null" or (self.kind == "union" and any(p.optional for p in self.parts))

    def core(self) -> Type:
        """It without null."""
        if self.kind != "union":
            return self
        parts = tuple(p for p in self.parts if p.kind != "null")
        return parts[0] if len(parts) == 1 else Type("union", parts)

    def files(self) -> tuple[str, bool] | None:
        """
        For files and folders and lists of them: ``file``, ``folder`` or ``any``, and whether several may be
        given.
        """
        core = self.core()
        if core.kind in FILES:
            return {"File": "file", "Directory": "folder"}[core.kind], False
        if core.kind == "array":
            inner = core.parts[0].files()
            return (inner[0], True) if inner and not inner[1] and not core.parts[0].optional else None
        if core.kind == "union":
            by_part = [p.files() for p in core.parts]
            found = [t for t in by_part if t]
            if found and len(found) == len(by_part):
                kinds = {kind for kind, _ in found}
                return kinds.pop() if len(kinds) == 1 else "any", any(many for _, many in found)
        return None

    def shown(self) -> str:
        """As a person writes it."""
        core = self.core()
        text = {
            "array": lambda: f"{core.parts[0].shown()}[]",
            "union": lambda: " or ".join(p.shown() for p in core.parts),
            "record": lambda: (
                "{"
                + ", ".join(f"{n}: {p.shown()}" for n, p in zip(core.names, core.parts, strict=True))
                + "}"
            ),
            "enum": lambda: "|".join(core.names),
        }.get(core.kind, lambda: core.kind)()
        return text + "?" if self.optional and self.kind != "null" else text


def read_type(reader: Reader, node: Node, named: dict[str, Node], depth: int = 0) -> Type:
    """
    The type that a value of a document says.

    Parameters
    ----------
    reader : Reader
        Problems go there.
    node : Node
    named : dict of str to Node
        Types of SchemaDefRequirement.
    """
    node = reader.resolved(node)
    if depth > _MAX_DEPTH:
        reader.wrong(node, "types are nested too deeply, or in a circle")
        return Type("Any")
    data = node.data
    if isinstance(data, str):
        return _named(reader, node, data, named, depth)
    if isinstance(data, list) and data:
        return Type(
            "union",
            tuple(_alternatives(read_type(reader, node.at(i), named, depth + 1) for i in range(len(data)))),
        )
    if isinstance(data, dict) and "type" in data:
        kind = data["type"]
        if kind == "array":
            return Type("array", (read_type(reader, node.at("items"), named, depth + 1),))
        if kind == "enum":
            symbols = data.get("symbols")
            if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) for s in symbols):
                reader.wrong(node, "an enum has a list of symbols")
                return Type("string")
            return Type("enum", names=tuple(dict.fromkeys(map(short, symbols))))
        if kind == "record":
            return _record(reader, node, named, depth)
        return read_type(reader, node.at("type"), named, depth + 1)
    reader.wrong(
        node,
        "a type is expected",
        f"one of {', '.join([*PRIMITIVE, *FILES, 'Any'])}, an array, an enum, a record",
    )
    return Type("Any")


def _record(reader: Reader, node: Node, named: dict[str, Node], depth: int) -> Type:
    fields = dict(reader.entries(node.at("fields"), "type"))
    parts = tuple(read_type(reader, field.at("type"), named, depth + 1) for field in fields.values())
    return Type(
        "record", parts, tuple(fields), tuple(f.text("label") or f.text("doc") for f in fields.values())
    )


def _alternatives(parts: Iterator[Type]) -> Iterator[Type]:
    for part in parts:
        yield from part.parts if part.kind == "union" else (part,)


def _named(reader: Reader, node: Node, text: str, named: dict[str, Node], depth: int) -> Type:
    """A type that is written as a text: ``int?``, ``File[]``, ``#name``, ``types.yml#name``."""
    if text.endswith("?"):
        return Type(
            "union", (Type("null"), *_alternatives(iter([_named(reader, node, text[:-1], named, depth)])))
        )
    if text.endswith("[]"):
        return Type("array", (_named(reader, node, text[:-2], named, depth),))
    if text in PRIMITIVE or text in FILES or text == "Any":
        return Type(text)
    if text in STREAMS:
        return Type("File")
    definition = named.get(text.removeprefix("#")) or named.get(short(text))
    if definition is None and "#" in text.lstrip("#"):
        definition = reader.refer(text, node)
        if definition is None:
            return Type("Any")
    if definition is None:
        reader.wrong(node, f"there is no type {text!r}", closest(text, [*PRIMITIVE, *FILES, "Any", *named]))
        return Type("Any")
    return read_type(reader, definition, named, depth + 1)


def definitions(reader: Reader, process: Node) -> dict[str, Node]:
    """Types that a process defines (SchemaDefRequirement), by their names."""
    found: dict[str, Node] = {}
    for key in ("requirements", "hints"):
        for requirement in requirements(reader, process, key, "SchemaDefRequirement"):
            types = reader.resolved(requirement.at("types"))
            members = (
                [reader.resolved(types.at(i)) for i in range(len(types.data))]
                if isinstance(types.data, list)
                else [types]
            )
            while members:
                member = members.pop()
                if isinstance(member.data, list):  # a file that holds several
                    members += [reader.resolved(member.at(i)) for i in range(len(member.data))]
                elif isinstance(member.data, dict) and isinstance(member.data.get("$graph"), list):
                    members.append(member.at("$graph"))
                elif isinstance(member.data, dict) and isinstance(name := member.data.get("name"), str):
                    found[short(name)] = found[name.removeprefix("#")] = member
    return found


def requirements(reader: Reader, process: Node, key: str, kind: str) -> Iterator[Node]:
    """Requirements or hints (`key`) of one class: a map by class, or a list."""
    node = reader.resolved(process.at(key))
    if isinstance(node.data, dict):
        if kind in node.data:
            yield reader.resolved(node.at(kind))
    elif isinstance(node.data, list):
        for i in range(len(node.data)):
            member = reader.resolved(node.at(i))
            if isinstance(member.data, dict) and member.data.get("class") == kind:
                yield member


def schema(kind: Type) -> dict[str, Any]:
    """
    JSON Schema of a value; numbers keep the way in which they are written (2 is not 2.0 to a command line).
    """
    core = kind.core()
    made = _SCHEMAS.get(core.kind)
    found: dict[str, Any] = made(core) if made else {"type": PRIMITIVE[core.kind]}
    if kind.optional and core.kind != "null":
        found["type"] = [*_types(found), *(["null"] if "null" not in _types(found) else [])]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
        if "anyOf" in found:
            found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    return found


def _file_schema(core: Type) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "class": {"const": core.kind},
            "path": {"type": "string"},
            "location": {"type": "string"},
        },
        "required": ["class"],
    }


def _record_schema(core: Type) -> dict[str, Any]:
    fields = dict(zip(core.names, core.parts, strict=True))
    return {
        "type": "object",
        "properties": {n: schema(p) for n, p in fields.items()},
        "required": [n for n, p in fields.items() if not p.optional],
    }


def _union_schema(core: Type) -> dict[str, Any]:
    options = [schema(p) for p in core.parts]
    types = list(dict.fromkeys(t for o in options for t in _types(o)))
    return {"type": types} if all(set(o) == {"type"} for o in options) else {"type": types, "anyOf": options}


#: Kind of a type → its JSON Schema; a primitive one that is no number has its own word.
_SCHEMAS: dict[str, Callable[[Type], dict[str, Any]]] = {
    "Any": lambda _: {"type": list(_ANY)},
    "array": lambda core: {"type": "array", "items": schema(core.parts[0])},
    "enum": lambda core: {"type": "string", "enum": list(core.names)},
    "record": _record_schema,
    "union": _union_schema,
    **dict.fromkeys(FILES, _file_schema),
    **{k: lambda _: {"type": ["integer", "number"]} for k, v in PRIMITIVE.items() if v == "number"},
}


def _types(found: dict[str, Any]) -> list[str]:
    kinds = found.get("type", "string")
    return list(kinds) if isinstance(kinds, list) else [kinds]
