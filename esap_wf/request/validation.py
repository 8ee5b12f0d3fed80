"""
A request whose every part is known to be right: parameters, inputs, rules. Every problem is found at once,
nothing is written.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem
from esap_wf.formats.documents import Document
from esap_wf.models.request import DataRef, Request
from esap_wf.request import inputs, nested, orders, parameters, references
from esap_wf.request.remote import Remote


@dataclass(frozen=True)
class Validated:
    """
    A request whose every part is known to be right; `inside` is the identity of files inside of structured
    parameters, `nested` are those of them that lie elsewhere, and `placed` holds the parameters that name
    such files, with their places.
    """

    workflow: Workflow
    parameters: dict[str, Any]
    inputs: dict[str, list[DataRef]]
    selected: dict[str, Any]
    inside: dict[str, list[str]] = field(default_factory=dict)
    nested: list[DataRef] = field(default_factory=list)
    placed: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def refs(self) -> list[DataRef]:
        """All data that is named, wherever that is."""
        return [*chain.from_iterable(self.inputs.values()), *self.nested]


def validate(
    request: Request,
    config: Config,
    flags: Mapping[str, Any] | None = None,
    document: Document | None = None,
    pointer: tuple[str, ...] = (),
    workflow: Workflow | None = None,
    named: Container[str] = (),
) -> tuple[Validated, list[Problem]]:
    """
    Check parameters, inputs and rules.

    Parameters
    ----------
    request : Request
        Its parameters may still hold texts with units.
    config : Config
    flags : mapping, optional
        Parameters of the command line, as text.
    document : Document, optional
        Where the request's parameters stand, at `pointer`, for positions.
    workflow : Workflow, optional
        If it was read already.
    named : container of str, optional
        Which flags were written as ``--param NAME=VALUE``.

    Returns
    -------
    validated : Validated
    problems : list of Problem
        All of them; empty if the request may be planned.
    """
    workflow = workflow or workflows.find(config, request.workflow)
    own = {name: value for name, value in workflow.order.items() if name not in request.inputs}
    values, problems = parameters.resolve(
        workflow, {**own, **request.parameters}, flags or {}, document, pointer, named
    )
    remote = Remote(config)
    refs, wrong = inputs.resolve(
        workflow, request.inputs, config.cache, values.keys() - workflow.properties.keys(), remote
    )
    far = nested.resolve(workflow, values, refs, remote)
    refs |= far.inputs
    given = {**values, **far.values}
    files, missing = references.inside(given, workflow.manifest.inputs, config.cache, far.places)
    warnings = [*remote.warnings, *orders.passed_over(workflow, values)]
    problems += [*wrong, *far.problems, *missing, *orders.problems(workflow, values)]
    selected: dict[str, Any] = {}
    if not problems:
        selected, problems = inputs.select(workflow, values, refs, remote.found)
    valid = Validated(workflow, values, refs, selected, files, far.refs, far.values, warnings)
    return valid, problems
