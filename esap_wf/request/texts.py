"""Texts as the values that a schema wants: of flags, and in files where a number is due."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from esap_wf.catalogue.workflow import Kind
from esap_wf.formats import quantities

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def types_of(prop: Mapping[str, Any]) -> list[str]:
    """JSON types of a property, without null."""
    kind = prop.get("type", "string")
    return [t for t in (kind if isinstance(kind, list) else [kind]) if t != "null"]


def from_text(text: str, prop: Mapping[str, Any]) -> Any:
    """
    A text as the value that the schema wants.

    Raises
    ------
    ValueError
        It can't be one; says what is expected.
    """
    types = types_of(prop)
    if _is_null(text, prop):
        return None
    if "array" in types and (text.lstrip().startswith("[") or not {"string", "object"} & set(types)):
        return _list(text, prop)
    if "object" in types and (text.lstrip().startswith("{") or len(types) == 1):
        if (mapping := _from_json(text, dict)) is None:
            raise ValueError(f"{text!r} is not a JSON object; a parameter file (--params) can contain one")
        return mapping
    if len(types) > 1 and "string" in types:
        return _guessed(text, types)
    if "boolean" in types:
        return _boolean(text)
    if "number" in types or "integer" in types:
        return _number(text, types, prop)
    return text


def _is_null(text: str, prop: Mapping[str, Any]) -> bool:
    kind = prop.get("type")
    if not isinstance(kind, list) or "null" not in kind:
        return False
    # to a pipeline of others "none" may be a word like any other
    nothing = {"null"} if "string" in kind and "cwl_type" in prop else {"null", "none", ""}
    return text.strip().lower() in nothing


def _list(text: str, prop: Mapping[str, Any]) -> list[Any]:
    """A list as JSON, or parted by commas."""
    if text.lstrip().startswith("[") and (listed := _from_json(text, list)) is not None:
        found: list[Any] = listed
        return found
    items = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [from_text(t.strip(), item_of(prop)) for t in items if t.strip()]


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in _TRUE


def _number(text: str, types: list[str], prop: Mapping[str, Any]) -> int | float:
    if re.fullmatch(r"\s*[-+]?\d+\s*", text, re.ASCII) and "integer" in types:
        return int(text)
    value = quantities.in_unit(text, prop.get("unit"))
    return whole(value) if "integer" in types and "number" not in types else value


def _from_json(text: str, kind: type) -> Any:
    """A list or a mapping that is written as JSON; None if it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, kind) else None


def _guessed(text: str, types: list[str]) -> Any:
    """A text for a parameter that may be several things: what it looks like."""
    if "boolean" in types and text in {"true", "false"}:
        return text == "true"
    if {"boolean", "integer", "number"} <= set(types) and not re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
        return text  # of what may be anything, 1e5 and +1 are texts: so Nextflow takes them
    if "integer" in types and re.fullmatch(r"[-+]?\d{1,18}", text, re.ASCII):
        return int(text)
    if "number" in types and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text, re.ASCII):
        return float(text)
    return text


def from_flags(texts: tuple[str, ...], prop: Mapping[str, Any], kind: Kind) -> Any:
    """
    The value of a flag that may have been given several times.

    Of a list of a plain workflow each is one item, whatever it holds; else commas part them.
    """
    types = types_of(prop)
    if (
        "array" in types
        and kind is not Kind.HOUSE
        and not (len(texts) == 1 and (texts[0].lstrip().startswith("[") or len(types) > 1))
    ):
        return [from_text(text, item_of(prop)) for text in texts]
    return from_text(",".join(texts) if types == ["array"] else texts[-1], prop)


def whole(value: float) -> int | float:
    """``1e6`` is an integer too."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def normalised(value: Any, prop: Mapping[str, Any]) -> Any:
    """
    A file's value in the shape that digests and jobs get: texts with units become numbers, 20 and 20.0 the
    same.
    """
    types = types_of(prop)
    if isinstance(value, str) and "string" not in types:
        return from_text(value, prop)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and "number" in types and "integer" not in types and abs(value) < 2**63:
        return float(value)
    if isinstance(value, float) and "integer" in types and "number" not in types:
        return whole(value)
    if isinstance(value, list):
        return [normalised(v, item_of(prop)) for v in value]
    if isinstance(value, dict):
        members = prop.get("properties", {})
        return {k: normalised(v, members[k]) if k in members else v for k, v in value.items()}
    return value


def item_of(prop: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of one item of an array; the array's unit is its items' unit."""
    return {**({"unit": prop["unit"]} if "unit" in prop else {}), **prop.get("items", {})}
