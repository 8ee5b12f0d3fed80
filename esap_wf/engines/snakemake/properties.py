"""The JSON Schema of one parameter of a Snakemake pipeline: from a property of the pipeline's own schema, or
from a value of its default configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esap_wf.formats import schemas
from esap_wf.formats.documents import Document

#: What a property keeps of the pipeline's own schema.
_KEPT = schemas.VALUE_KEYWORDS | {"format"}
_TRUE, _FALSE = {"yes", "on", "y"}, {"no", "off", "n"}  # of YAML 1.1, which Snakemake reads
#: Truth values are numbers to Python: they come first.
_TYPES: tuple[tuple[type, str | list[str]], ...] = (
    (bool, "boolean"),
    (int, ["integer", "number"]),
    (float, "number"),
    (str, "string"),
    (dict, "object"),
)


@dataclass(frozen=True)
class Property:
    """A property of a schema: its name with dots, what it says, where it stands, which `$ref` led there."""

    name: str
    content: dict[str, Any]
    pointer: list[str | int]
    followed: set[str]
    required: bool


def mapping(value: Any) -> dict[str, Any]:
    """A value that is to be a mapping; an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def value_at(data: Any, path: list[str]) -> Any:
    """What stands in nested mappings; None if there is nothing."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def followed(
    document: Any, prop: Any, at: list[str | int], seen: set[str]
) -> tuple[Any, list[str | int], set[str]]:
    """
    A property with its ``$ref`` into the same document followed; one that leads in a circle, or elsewhere,
    means any value.
    """
    while isinstance(prop, dict) and isinstance(ref := prop.get("$ref"), str):
        if not ref.startswith("#/") or ref in seen:
            return {k: v for k, v in prop.items() if k != "$ref"}, at, seen
        seen, at = {*seen, ref}, [p.replace("~1", "/").replace("~0", "~") for p in ref[2:].split("/")]
        prop = value_at(document, [str(p) for p in at])
    return prop, at, seen


def kept(document: Document, prop: Property) -> dict[str, Any]:
    """What our schema takes over from a property of the pipeline's."""
    content = prop.content
    made = {k: v for k, v in content.items() if k in _KEPT}
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):  # draft-04 has them as booleans
        if isinstance(made.get(bound), bool):
            excluded, inclusive = made.pop(bound), bound.replace("exclusiveM", "m")
            if excluded and inclusive in made:
                made[bound] = made.pop(inclusive)
    if isinstance(made.get("items"), dict) and "$ref" in made["items"]:
        made["items"] = followed(document.data, made["items"], prop.pointer, prop.followed)[0]
    made["title"] = title_of(prop.name, content)
    if content.get("description") and str(content["description"]) != made["title"]:
        made["description"] = str(content["description"])
    return made


def title_of(name: str, prop: Mapping[str, Any]) -> str:
    """The first line of what a property says of itself, else its name."""
    lines = str(prop.get("title") or prop.get("description") or name).strip().splitlines()
    return lines[0][:200] if lines else name


def typed(value: Any) -> dict[str, Any]:
    """
    Type and default of a value of a default configuration. A whole number may have been meant as any number.
    """
    if value is None:
        return {}
    if not _finite(value):  # it is left to the engine
        return {"type": "number"} if isinstance(value, float) else {}
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return {"type": "boolean", "engine_default": value.lower() in _TRUE}
    return {"engine_default": value, **_type_of(value)}


def _type_of(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        kinds = {str(typed(v).get("type", "")) for v in value}
        if len(kinds) == 1 and all(isinstance(v, (str, int, float, bool)) for v in value):
            return {"type": "array", "items": {"type": typed(value[0])["type"]}}
        return {"type": "array"}
    return next(({"type": name} for kind, name in _TYPES if isinstance(value, kind)), {})


def _finite(value: Any) -> bool:
    """Whether JSON can carry a value: a configuration may hold ``.nan`` and whole numbers of any size."""
    if isinstance(value, (dict, list)):
        return all(_finite(v) for v in (value.values() if isinstance(value, dict) else value))
    return math.isfinite(value) and abs(value) < 2**63 if isinstance(value, (int, float)) else True
