"""
Parameters of one run: defaults ← file ← flags ← prompts, checked against the workflow's schema and rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import islice
from typing import Any

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import Problem
from esap_wf.formats import expressions, patterns, quantities, schemas
from esap_wf.formats.documents import Document

#: Longer texts are data: they belong into an input.
MAX_TEXT = 100_000
#: Control characters and those that reorder what a reader sees; newline and tab only where the schema says
#: multiline.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

Where = Callable[[str], str]


def types_of(prop: Mapping[str, Any]) -> list[str]:
    """JSON types of a property, without null."""
    kind = prop.get("type", "string")
    return [t for t in (kind if isinstance(kind, list) else [kind]) if t != "null"]


def flag(name: str, kind: Kind = Kind.HOUSE) -> str:
    """``energy_min`` → ``--energy-min``; names of a plain workflow stay as they are."""
    return "--" + (name.replace("_", "-") if kind is Kind.HOUSE else name)


def defaults(workflow: Workflow) -> dict[str, Any]:
    """
    The schema's defaults, in the shape that given values get: a default and the same value given are one
    digest.
    """
    found = {}
    for name, prop in workflow.properties.items():
        if "default" in prop:
            try:
                found[name] = _normalised(prop["default"], prop)
            except ValueError:
                found[name] = prop["default"]  # the check against the schema says what is wrong with it
    return found


def _preset(prop: Mapping[str, Any]) -> bool:
    return bool({"default", "engine_default"} & set(prop))


def missing(workflow: Workflow, given: Mapping[str, Any]) -> list[str]:
    """Parameters that must still be asked for."""
    required = workflow.schema.get("required", [])
    return [name for name in required if name not in given and not _preset(workflow.properties.get(name, {}))]


def from_text(text: str, prop: Mapping[str, Any]) -> Any:
    """
    A flag's text, or a text in a file where a number is due, as the value that the schema wants.

    Raises
    ------
    ValueError
        It can't be one; says what is expected.
    """
    kind = prop.get("type", "string")
    types = types_of(prop)
    # to a pipeline of others "none" may be a word like any other
    nothing = {"null"} if "string" in types and "cwl_type" in prop else {"null", "none", ""}
    if isinstance(kind, list) and "null" in kind and text.strip().lower() in nothing:
        return None
    if "array" in types and (text.lstrip().startswith("[") or not {"string", "object"} & set(types)):
        if text.lstrip().startswith("[") and (listed := _from_json(text, list)) is not None:
            return listed
        items = [t for t in text.strip().removeprefix("[").removesuffix("]").split(",") if t.strip()]
        return [from_text(t.strip(), _item(prop)) for t in items]
    if "object" in types and (text.lstrip().startswith("{") or len(types) == 1):
        if (mapping := _from_json(text, dict)) is None:
            raise ValueError(f"{text!r} is not a JSON object; a parameter file (--params) can contain one")
        return mapping
    if len(types) > 1 and "string" in types:
        return _guessed(text, types)
    if "boolean" in types:
        if text.lower() in {"true", "yes", "on", "1"}:
            return True
        if text.lower() in {"false", "no", "off", "0"}:
            return False
        raise ValueError(f"{text!r} is neither true nor false")
    if "number" in types or "integer" in types:
        if re.fullmatch(r"\s*[-+]?\d+\s*", text, re.ASCII) and "integer" in types:
            return int(text)
        value = quantities.in_unit(text, prop.get("unit"))
        return whole(value) if "integer" in types and "number" not in types else value
    return text


def _from_json(text: str, kind: type) -> Any:
    """A list or a mapping that is written as JSON; None if it is none."""
    import json

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
        return [from_text(text, _item(prop)) for text in texts]
    return from_text(",".join(texts) if types == ["array"] else texts[-1], prop)


def whole(value: float) -> int | float:
    """``1e6`` is an integer too."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _normalised(value: Any, prop: Mapping[str, Any]) -> Any:
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
        return [_normalised(v, _item(prop)) for v in value]
    if isinstance(value, dict):
        members = prop.get("properties", {})
        return {k: _normalised(v, members[k]) if k in members else v for k, v in value.items()}
    return value


def _item(prop: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of one item of an array; the array's unit is its items' unit."""
    return {**({"unit": prop["unit"]} if "unit" in prop else {}), **prop.get("items", {})}


def resolve(
    workflow: Workflow,
    file: Mapping[str, Any],
    flags: Mapping[str, str | tuple[str, ...]],
    document: Document | None = None,
    pointer: tuple[str, ...] = (),
    named: Container[str] = (),
) -> tuple[dict[str, Any], list[Problem]]:
    """
    All parameters of a run.

    Parameters
    ----------
    workflow : Workflow
    file : mapping
        Values of the request or parameter file.
    flags : mapping
        Values of the command line, as text; they win.
    document : Document, optional
        The file, so that a problem names its line; `pointer` is the place of the parameters in it.
    named : container of str, optional
        Which flags were written as ``--param NAME=VALUE``.

    Returns
    -------
    values : dict
        Every parameter, in the unit of the schema.
    problems : list of Problem
    """
    properties, problems = workflow.properties, []

    def where(name: str) -> str:
        if name in flags:
            return f"--param {name[:80]}" if name in named else flag(name[:80], workflow.kind)
        return document.where([*pointer, name]) if document and name in file else f"parameter {name[:80]}"

    values = defaults(workflow)
    order = workflow.takes_job_orders
    for name, value in {**file, **flags}.items():
        if name not in properties and order and name not in flags:
            # the engine's own keys, files of which more is said than their place, what it passes over
            values[name] = value
            continue
        if (
            name not in properties
            and value is None
            and name in workflow.manifest.inputs
            and workflow.takes_null
        ):
            values[name] = None  # it takes the place of the pipeline's own default
            continue
        if name not in properties:
            hint = (
                schemas.closest(name, properties)
                or f"esap-wf show {workflow.manifest.name} lists the parameters"
            )
            problems.append(
                Problem(where(name), f"{workflow.manifest.name} has no parameter {name[:80]}", hint)
            )
            continue
        prop = properties[name]
        try:
            if name in flags:
                value = from_flags(value if isinstance(value, tuple) else (value,), prop, workflow.kind)
            values[name] = value
            values[name] = value if order and name not in flags else _normalised(value, prop)
        except ValueError as error:
            problems.append(Problem(where(name), schemas.clipped(str(error))))
    bad = {p.where for p in problems}
    problems += [
        p for name in values if not order for p in _texts(values[name], properties.get(name, {}), where(name))
    ]
    beyond = [
        Problem(where(name), "is not a finite number of at most 64 bits")
        for name, value in values.items()
        if not _stored(value)
    ]
    problems += beyond
    bad |= {p.where for p in beyond}
    # null in a job order is as good as nothing, where the document has a default
    given = {
        name: value
        for name, value in values.items()
        if name in properties
        and not (value is None and (workflow.takes_null or (order and _preset(properties[name]))))
    }
    checked = {name: _checkable(value) for name, value in given.items()}
    schema = {k: v for k, v in workflow.schema.items() if k not in {"$schema", "$id"}}
    check = schemas.validator(schema, workflow.folder / workflow.manifest.parameters, workflow.folder)
    for misfit in islice(check.iter_errors(checked), schemas.MAX_ERRORS):
        path, what, hint = schemas.wording(misfit, workflow.schema)
        name = str(path[0]) if path else misfit.kind.property if misfit.kind.name == "required" else ""
        unit = properties.get(name, {}).get("unit")
        if not path and name:
            what, hint = (
                "a value is needed",
                f"{flag(name, workflow.kind)} VALUE" + (f", in {unit}" if unit else ""),
            )
        elif path and isinstance(told := properties.get(name, {}).get("error"), str):
            what = f"{told} ({what})"
        elif path and misfit.kind.name == "pattern":
            what, hint = _form(misfit.instance, properties.get(name, {}))
        if where(name) not in bad:
            problems.append(Problem(where(name), what + (f" (in {unit})" if unit and path else ""), hint))
    wrong = {p.where for p in problems}
    return values, problems + _rules(workflow, values, where, wrong)


def _form(value: Any, prop: Mapping[str, Any]) -> tuple[str, str]:
    """
    What a text that does not match its pattern should be like, in the words of the schema: nobody reads
    regular expressions.
    """
    words = next(
        (w for key in ("description", "title") if isinstance(w := prop.get(key), str) and w.strip()), ""
    )
    examples = prop.get("examples") or ([prop["default"]] if prop.get("default") not in (None, "") else [])
    shown = ", ".join(str(e) for e in examples[:3]) if isinstance(examples, list) else ""
    what = f"{schemas.clipped(repr(value))} does not have the required form" + (
        f": {schemas.clipped(words.strip())}" if words else ""
    )
    form = patterns.in_words(str(prop.get("pattern", "")))
    hint = (
        f"for example {shown}"
        if shown
        else form or ("" if words else f"the pattern is {schemas.clipped(str(prop.get('pattern')))}")
    )
    return what, hint


def _stored(value: Any) -> bool:
    """Whether a value is one that JSON and the jobs' languages carry unchanged."""
    if isinstance(value, dict):
        return all(_stored(v) for v in value.values())
    if isinstance(value, list):
        return all(_stored(v) for v in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, float) or math.isfinite(value)


def _checkable(value: Any) -> Any:
    """What the validator can take: it raises at half a surrogate pair and at numbers that JSON hasn't."""
    if isinstance(value, list):
        return [_checkable(v) for v in value]
    if isinstance(value, dict):
        return {_checkable(k): _checkable(v) for k, v in value.items()}
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    return value if _stored(value) else 0


def _texts(value: Any, prop: Mapping[str, Any], where: str) -> list[Problem]:
    forbidden = _CONTROL_BUT_LINES if prop.get("format") == "multiline" else _CONTROL
    found = []
    for text in _inside(value):
        if isinstance(text, str):
            if len(text) > MAX_TEXT:
                found.append(
                    Problem(
                        where,
                        f"a text of {len(text)} characters; at most {MAX_TEXT} are allowed",
                        "give data as an input",
                    )
                )
            elif match := forbidden.search(text):
                found.append(
                    Problem(
                        where,
                        (
                            f"contains the control character U+{ord(match[0]):04X} at position "
                            f"{match.start() + 1}"
                        ),
                    )
                )
    return found


def _inside(value: Any) -> Iterator[Any]:
    """All that a value holds, names of members included."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack += [*part.values(), *part]
        elif isinstance(part, list):
            stack += part
        else:
            yield part


def _rules(workflow: Workflow, values: Mapping[str, Any], where: Where, wrong: set[str]) -> list[Problem]:
    """Rules that don't hold; one about a parameter that is wrong in itself is left until that is mended."""
    found = []
    for rule in workflow.manifest.rules:
        names = rule.parameters or sorted(expressions.names_in(rule.that))
        if any(where(n) in wrong for n in {*names, *expressions.names_in(rule.that)}):
            continue
        shown = ", ".join(f"{n} = {values.get(n)}" for n in names)
        try:
            if not expressions.evaluate(rule.that, values):
                found.append(
                    Problem(
                        ", ".join(dict.fromkeys(where(n) for n in names)),
                        f"{rule.message}: {rule.that} does not hold for {shown}",
                    )
                )
        except ValueError as error:
            found.append(Problem(", ".join(where(n) for n in names), str(error)))
    return found
