"""
What is wrong with a ``params.schema.json``: the JSON Schema itself, our subset of it (docs/workflows.md),
defaults that don't fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from esap_wf.catalogue.workflow import Kind
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.documents import Document, Pointer
from esap_wf.formats.schemas import (
    MAX_ERRORS,
    PROPERTY_KEYWORDS,
    TOP_KEYWORDS,
    TYPES,
    clipped,
    closest,
    validator,
)


def problems(document: Document, kind: Kind = Kind.HOUSE) -> list[Problem]:
    """
    Everything that is wrong with a schema of parameters.

    Parameters
    ----------
    document : Document
    kind : Kind
        A plain workflow has names and keywords of its own, and other defaults.
    """
    if not isinstance(document.data, dict):
        return [Problem(document.where(), "a JSON Schema must be an object")]
    schema = _Schema(document, kind)
    found = [*schema.frame(), *schema.required()]
    for name, prop in schema.properties.items():
        found += schema.of_property(name, prop)
    return found or list(schema.defaults())  # a schema that is wrong in itself says nothing of values


class _Schema:
    def __init__(self, document: Document, kind: Kind) -> None:
        self.document, self.is_house, self.data = document, kind is Kind.HOUSE, document.data
        given, names = self.data.get("properties"), self.data.get("required", [])
        self.properties: dict[str, Any] = given if isinstance(given, dict) else {}
        self.names: list[str] | None = (
            names if isinstance(names, list) and all(isinstance(n, str) for n in names) else None
        )

    def _problem(self, pointer: Pointer, what: str, hint: str = "") -> Problem:
        return Problem(self.document.where(pointer), what, hint)

    def frame(self) -> Iterator[Problem]:
        """One flat object, with the keywords that forms and engines share."""
        if self.data.get("type") != "object" or self.data.get("additionalProperties") is not False:
            yield self._problem(
                (), 'the parameters must be one flat object: "type": "object", "additionalProperties": false'
            )
        for key in sorted(set(self.data) - TOP_KEYWORDS):
            yield self._problem(
                [key], f"{key} is outside the subset that forms and engines share", closest(key, TOP_KEYWORDS)
            )
        if not isinstance(self.data.get("properties"), dict):
            yield self._problem(["properties"], "properties is missing")

    def required(self) -> Iterator[Problem]:
        if not isinstance(self.data.get("properties"), dict):
            return
        if self.names is None:
            yield self._problem(["required"], "must be a list of names")
        for name in self.names or ():
            if name not in self.properties:
                yield self._problem(
                    ["required"], f"{name} is required, but is not a property", closest(name, self.properties)
                )

    def of_property(self, name: str, prop: Any) -> Iterator[Problem]:
        at = ["properties", name]
        yield from self._name(name, at)
        if not isinstance(prop, dict):
            yield self._problem(at, "a property must be an object")
            return
        for key in sorted(set(prop) - PROPERTY_KEYWORDS) if self.is_house else []:
            yield self._problem(
                [*at, key],
                f"{key} is outside the subset that forms and engines share",
                closest(key, PROPERTY_KEYWORDS),
            )
        given = prop.get("type")
        types = {str(t) for t in given} if isinstance(given, list) else {str(given)}
        own = not self.is_house and (given is None or types <= TYPES | {"object"})
        if not own and (not types <= TYPES or not types - {"null"}):
            yield self._problem(
                [*at, "type"],
                f"type must be one of {', '.join(sorted(TYPES))}, or a list of one of them and null",
            )
        if not prop.get("title"):
            yield self._problem(at, "title is missing")
        if "unit" in prop:
            yield from self._unit(prop["unit"], types, [*at, "unit"])

    def _name(self, name: str, at: Pointer) -> Iterator[Problem]:
        if not self.is_house:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}", name):
                yield self._problem(at, "a parameter's name may contain letters, digits, and _ . -")
        elif not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) or name in {"inputs", "selected", "workflow"}:
            yield self._problem(
                at, "a parameter's name must be in snake_case, and not inputs, selected or workflow"
            )

    def _unit(self, unit: Any, types: set[str], at: Pointer) -> Iterator[Problem]:
        from esap_wf.formats.quantities import unknown_unit

        if not types & {"number", "integer", "array"}:
            yield self._problem(at, "only a number can have a unit")
        if why := unknown_unit(unit):
            yield self._problem(at, why)

    def defaults(self) -> Iterator[Problem]:
        """The schema as JSON Schema, then each default by it; what is not required has one."""
        file = Path(self.document.source)
        try:
            validator(self.data, file)
        except UsageError as error:
            yield from (Problem(self.document.where(), p.what) for p in error.problems)
            return
        check = validator(
            {k: v for k, v in self.data.items() if k not in {"required", "$schema", "$id"}}, file
        )
        for name, prop in self.properties.items():
            if "default" in prop:
                for found in islice(check.iter_errors({name: prop["default"]}), MAX_ERRORS):
                    yield self._problem(
                        ["properties", name, "default"],
                        f"the default does not fit: {clipped(found.message)}",
                    )
            elif name not in (self.names or ()) and self.is_house:
                yield self._problem(["properties", name], "it is neither required nor has a default")
