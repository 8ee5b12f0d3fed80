"""
Parameters of one run: defaults ← file ← flags ← prompts, checked against the workflow's schema and rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import Problem
from esap_wf.formats import expressions, patterns, schemas
from esap_wf.formats.documents import Document
from esap_wf.request import texts

#: Longer texts are data: they belong into an input.
MAX_TEXT = 100_000
#: Control characters and those that reorder what a reader sees; newline and tab only where the schema says
#: multiline.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

Where = Callable[[str], str]


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
                found[name] = texts.normalised(prop["default"], prop)
            except ValueError:
                found[name] = prop["default"]  # the check against the schema says what is wrong with it
    return found


def _preset(prop: Mapping[str, Any]) -> bool:
    return bool({"default", "engine_default"} & set(prop))


def missing(workflow: Workflow, given: Mapping[str, Any]) -> list[str]:
    """Parameters that must still be asked for."""
    required = workflow.schema.get("required", [])
    return [name for name in required if name not in given and not _preset(workflow.properties.get(name, {}))]


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
        The file, so that a problem names its line; `pointer` is the position of the parameters in it.
    named : container of str, optional
        Which flags were written as ``--param NAME=VALUE``.

    Returns
    -------
    values : dict
        Every parameter, in the unit of the schema.
    problems : list of Problem
    """
    stated = _Stated(workflow, file, flags, document, pointer, named)
    values, problems = stated.values()
    wrong = {p.where for p in problems}
    if not workflow.takes_job_orders:
        for name, value in values.items():
            problems += _in_texts(value, workflow.properties.get(name, {}), stated.where(name))
    beyond = [
        Problem(stated.where(name), "is not a finite number of at most 64 bits")
        for name, value in values.items()
        if not _stored(value)
    ]
    wrong |= {p.where for p in beyond}
    against = _against_schema(workflow, values, stated.where)
    problems += [*beyond, *(p for p in against if p.where not in wrong)]
    return values, problems + _rules(workflow, values, stated.where, {p.where for p in problems})


@dataclass(frozen=True)
class _Stated:
    """What a file and flags say, and where each of it stands."""

    workflow: Workflow
    file: Mapping[str, Any]
    flags: Mapping[str, str | tuple[str, ...]]
    document: Document | None
    pointer: tuple[str, ...]
    named: Container[str]

    def where(self, name: str) -> str:
        """Where a parameter stands, as its author sees it."""
        if name in self.flags:
            by_name = name in self.named
            return f"--param {name[:80]}" if by_name else flag(name[:80], self.workflow.kind)
        if self.document and name in self.file:
            return self.document.where([*self.pointer, name])
        return f"parameter {name[:80]}"

    def values(self) -> tuple[dict[str, Any], list[Problem]]:
        """Every parameter with its value, defaults included; what is none, and what can't be read."""
        properties, problems = self.workflow.properties, []
        values = defaults(self.workflow)
        for name, given in {**self.file, **self.flags}.items():
            if name not in properties:
                if self._passed_on(name, given):
                    values[name] = given
                else:
                    problems.append(self._unknown(name))
                continue
            try:
                values[name] = value = self._as_given(name, given)
                values[name] = value if self._is_ordered(name) else texts.normalised(value, properties[name])
            except ValueError as error:
                problems.append(Problem(self.where(name), schemas.clipped(str(error))))
        return values, problems

    def _as_given(self, name: str, given: Any) -> Any:
        if name not in self.flags:
            return given
        parts = given if isinstance(given, tuple) else (given,)
        return texts.from_flags(parts, self.workflow.properties[name], self.workflow.kind)

    def _is_ordered(self, name: str) -> bool:
        """Whether it stands in a job order, which the engine is given as it is."""
        return self.workflow.takes_job_orders and name not in self.flags

    def _passed_on(self, name: str, given: Any) -> bool:
        """Whether something that is no parameter reaches the engine all the same."""
        if self._is_ordered(name):
            # the engine's own keys, files of which more is said than their path, what it passes over
            return True
        # null takes the place of the pipeline's own default
        return given is None and name in self.workflow.manifest.inputs and self.workflow.takes_null

    def _unknown(self, name: str) -> Problem:
        workflow = self.workflow.manifest.name
        hint = (
            schemas.closest(name, self.workflow.properties) or f"esap-wf show {workflow} lists the parameters"
        )
        return Problem(self.where(name), f"{workflow} has no parameter {name[:80]}", hint)


def _against_schema(workflow: Workflow, values: Mapping[str, Any], where: Where) -> list[Problem]:
    """What does not agree with the workflow's JSON Schema."""
    schema = {k: v for k, v in workflow.schema.items() if k not in {"$schema", "$id"}}
    check = schemas.validator(schema, workflow.folder / workflow.manifest.parameters, workflow.folder)
    checked = {
        name: _checkable(value) for name, value in values.items() if _is_checked(workflow, name, value)
    }
    return [
        _incompatibility(error, workflow, where)
        for error in islice(check.iter_errors(checked), schemas.MAX_ERRORS)
    ]


def _is_checked(workflow: Workflow, name: str, value: Any) -> bool:
    if name not in workflow.properties:
        return False
    # null in a job order is as good as nothing, where the document has a default
    as_nothing = workflow.takes_null or (workflow.takes_job_orders and _preset(workflow.properties[name]))
    return not (value is None and as_nothing)


def _incompatibility(error: Any, workflow: Workflow, where: Where) -> Problem:
    """One error of the validator, in words about a parameter."""
    path, what, hint = schemas.wording(error, workflow.schema)
    name = str(path[0]) if path else error.kind.property if error.kind.name == "required" else ""
    prop = workflow.properties.get(name, {})
    unit = prop.get("unit")
    if not path and name:
        what, hint = (
            "a value is needed",
            f"{flag(name, workflow.kind)} VALUE" + (f", in {unit}" if unit else ""),
        )
    elif path and isinstance(own := prop.get("error"), str):
        what = f"{own} ({what})"
    elif path and error.kind.name == "pattern":
        what, hint = _form(error.instance, prop)
    return Problem(where(name), what + (f" (in {unit})" if unit and path else ""), hint)


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


def _in_texts(value: Any, prop: Mapping[str, Any], where: str) -> list[Problem]:
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
