"""One way to a checked request, whoever asks: what a file, flags, Python or an earlier run gives is put
together here. The command line, Python and rerun only translate it into `Asked`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.documents import Document
from esap_wf.models.basket import Basket
from esap_wf.models.request import Request, located
from esap_wf.request import given, parameters
from esap_wf.request.validation import Validated, validate

Texts = Mapping[str, tuple[str, ...]]
#: Asks somebody for parameters that must be given, by name; answers with those that were.
Prompt = Callable[[list[str]], Texts]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """
    What somebody asks for. Of the same thing, flags win over the request, and the request over what an
    earlier run was asked for.

    Parameters
    ----------
    request : Request
        From a file, or from Python.
    folder : Path
        From which its relative paths are meant.
    document : Document, optional
        Where its parameters stand, at `pointer`, for positions.
    earlier : Request, optional
        Of a run that is run again, with absolute paths.
    flags : mapping
        Parameters and inputs as texts of the command line, by name.
    named : container of str
        Which of them were written as ``--param NAME=VALUE``.
    inputs : sequence of str
        Each ``NAME=REF``.
    fields : mapping
        Fields of the request that were set by themselves.
    problems : sequence of Problem
        What is wrong already.
    basket : Basket, optional
        From which inputs are taken that have no other references; `partly`: bad items are left out.
    """

    request: Request
    folder: Path = Path()
    document: Document | None = None
    pointer: tuple[str, ...] = ()
    earlier: Request | None = None
    flags: Texts = field(default_factory=dict)
    named: Container[str] = ()
    inputs: Sequence[str] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    basket: Basket | None = None
    partly: bool = False


@dataclass(frozen=True)
class Assembled:
    """A request with all that is wrong with it, or that its author may not have meant."""

    request: Request
    valid: Validated
    problems: list[Problem]
    warnings: list[str]

    def confirm_valid(self) -> None:
        """Raise UsageError with every problem, if there is any."""
        if self.problems:
            raise UsageError("the request is not valid", self.problems)


def assemble(
    asked: Asked, workflow: Workflow, config: Config, prompt: Prompt = lambda missing: {}
) -> Assembled:
    """
    Put a request together, and check it.

    Parameters
    ----------
    asked : Asked
    workflow : Workflow
        Which is asked for.
    config : Config
    prompt : callable, optional
        Asks for what is missing.

    Raises
    ------
    UsageError
        A part of it can't be understood; any other problem is in the answer.
    """
    flags, inputs, results = given.flags(workflow, asked.flags)
    inputs = _joined(inputs, given.input_pairs(workflow, asked.inputs))
    by_flag = {*flags, *inputs}
    request = in_position(workflow, asked.request, asked.folder, asked.document, asked.pointer)
    request = given.without(request, by_flag)
    warnings = [
        *given.mistaken_paths(workflow, request.parameters, asked.folder),
        *given.mistaken_paths(workflow, flags, Path()),
    ]
    if asked.earlier is not None:
        request = _over(given.without(asked.earlier, by_flag), request)
    fields = {**asked.fields, "workflow": workflows.reference_of(workflow)}
    if results is not None:
        fields["results"] = _one_folder(asked.fields.get("results"), results)
    if inputs:
        fields["inputs"] = {**request.inputs, **inputs}
    request = located(msgspec.structs.replace(request, **fields), Path())
    problems = list(asked.problems)
    if asked.basket is not None:
        from esap_wf.request import baskets  # for these requests alone

        declared = workflow.manifest.inputs
        taken, wrong, more = baskets.into(asked.basket, declared, request.inputs, asked.partly)
        request = msgspec.structs.replace(request, inputs=taken)
        problems, warnings = [*problems, *wrong], [*warnings, *more]
    missing = parameters.missing(workflow, {**request.parameters, **flags})
    flags = {**flags, **(prompt(missing) if missing else {})}
    valid, wrong = validate(request, config, flags, asked.document, asked.pointer, workflow, asked.named)
    if asked.basket is not None:
        wrong += baskets.contradictions(asked.basket, valid.inputs)
    return Assembled(request, valid, [*problems, *wrong], warnings)


def in_position(
    workflow: Workflow,
    request: Request,
    folder: Path,
    document: Document | None = None,
    pointer: tuple[str, ...] = (),
) -> Request:
    """
    A request with parameters, inputs and results told apart, and paths taken from a folder; raises as
    `esap_wf.request.given.sorted_out`.
    """
    return located(given.sorted_out(workflow, located(request, folder), document, pointer), folder)


def _joined(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: [*one.get(name, []), *other.get(name, [])] for name in (*one, *other)}


def _over(earlier: Request, request: Request) -> Request:
    """An earlier request with the values, inputs and folder of results of another."""
    kept = given.without(earlier, {*request.parameters, *request.inputs})
    inputs = {name: refs for name, refs in kept.inputs.items() if name not in request.parameters}
    return msgspec.structs.replace(
        kept,
        parameters={**kept.parameters, **request.parameters},
        inputs={**inputs, **request.inputs},
        results=request.results or kept.results,
        literals={**kept.literals, **request.literals},
    )


def _one_folder(option: str | None, own: str) -> str:
    """Where results go, which both ``--results`` and a pipeline's own flag may say."""
    if option not in (None, own):
        what = f"{option}, but the pipeline's own flag says {own}"
        raise UsageError("the request is not valid", [Problem("--results", what)])
    return own
