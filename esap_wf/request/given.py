"""
What a user gives under the names that a pipeline itself has, sorted into parameters and inputs, as its own
users write it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import literals
from esap_wf.formats.documents import Document
from esap_wf.models.request import NAMING, Request, declares_more, is_file_object


def sorted_out(
    workflow: Workflow, request: Request, document: Document | None = None, pointer: tuple[str, ...] = ()
) -> Request:
    """
    The request with everything where it belongs.

    A file of values as a pipeline's own users write it names files beside numbers (``input: samples.csv``,
    ``{class: File, path: …}``), and nested values where the pipeline has names with dots; and the folder of
    results is a parameter to many pipelines, a folder to copy them to here. A file or folder of a CWL job
    order of which more is said than its path (another name, a format, what belongs to it, its content) stays
    among the parameters, as it stands.

    Parameters
    ----------
    workflow : Workflow
    request : Request
    document : Document, optional
        Where the parameters stand, at `pointer`, for positions.

    Raises
    ------
    UsageError
        What is given for an input names no file.
    """
    if workflow.kind is Kind.HOUSE:
        return request
    sorting = _Sorting(workflow, request, document, pointer)
    known = {*workflow.properties, *workflow.manifest.inputs}
    for name, value in _flat(request.parameters, known).items():
        if name in workflow.manifest.inputs and name not in workflow.properties:
            sorting.add_input(name, value)
        elif _says_where_results_go(workflow, name):
            sorting.add_results(name, value)
        else:
            sorting.values[name] = value
    if sorting.problems:
        raise UsageError("the request is not valid", sorting.problems)
    return msgspec.structs.replace(
        request, parameters=sorting.values, inputs=sorting.inputs, results=sorting.results
    )


class _Sorting:
    """Parameters of a request on their way to where they belong."""

    def __init__(
        self, workflow: Workflow, request: Request, document: Document | None, pointer: tuple[str, ...]
    ) -> None:
        self.workflow, self.request, self.document, self.pointer = workflow, request, document, pointer
        self.values: dict[str, Any] = {}
        self.inputs, self.results = dict(request.inputs), request.results
        self.problems: list[Problem] = []

    def where(self, name: str) -> str:
        if self.document:
            return self.document.where([*self.pointer, *name.split(".")])
        return f"parameter {name[:80]}"

    def add_input(self, name: str, value: Any) -> None:
        """A file or folder; one that is also given as an input is that one."""
        spec, is_free = self.workflow.manifest.inputs[name], name not in self.request.inputs
        if self.workflow.takes_job_orders and is_free and declares_more(value, spec):
            self.values[name] = value
            return
        refs = _references(value)
        if refs is None:
            hint = "a path, or {class: File, path: …}"
            self.problems.append(Problem(self.where(name), "names no file or folder", hint))
        elif refs and is_free:
            self.inputs[name] = refs
        elif value is None and is_free and self.workflow.takes_null and spec.engine_default:
            self.values[name] = None

    def add_results(self, name: str, value: Any) -> None:
        """The folder for the results, which many pipelines have a parameter for."""
        if value is None:
            return
        if not isinstance(value, str):
            self.problems.append(Problem(self.where(name), "is not a folder"))
            return
        if value == self.workflow.properties[name].get("default"):
            return
        if self.results and self.results != value:
            what = f"results are copied to only one folder, but {self.results} is another one"
            self.problems.append(Problem(self.where(name), what))
        self.results = value


def without(request: Request, names: Collection[str]) -> Request:
    """The request without what a file says of some parameters and inputs: a flag says it anew."""
    kept = {name: value for name, value in request.parameters.items() if name not in names}
    return msgspec.structs.replace(request, parameters=kept, literals=literals.of(kept, request.literals))


def _flat(values: Mapping[str, Any], known: set[str], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` → ``{"a.b": 1}``, where ``a.b`` is a name of the pipeline and ``a`` is none."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in known and any(k.startswith(f"{name}.") for k in known):
            found |= _flat(value, known, f"{name}.")
        else:
            found[name] = value
    return found


def _references(value: Any) -> list[str] | None:
    """References of an input: paths, URLs, or CWL's objects; None if it is something else."""
    if value is None:
        return []
    found: list[str] = []
    for part in value if isinstance(value, list) else [value]:
        if is_file_object(part) and not set(part) - {*NAMING, "basename", "format"}:
            part = part.get("path") or part.get("location")
        if not isinstance(part, str) or not part:
            return None
        found.append(part)
    return found


def flags(
    workflow: Workflow, given: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[str]], str | None]:
    """
    Flags of a workflow: those that are parameters, those that are inputs, and the folder of results.

    Parameters
    ----------
    workflow : Workflow
    given : mapping
        Texts of the command line by name.
    """
    values: dict[str, tuple[str, ...]] = {}
    inputs: dict[str, list[str]] = {}
    results: str | None = None
    for name, texts in given.items():
        prop = workflow.properties.get(name, {})
        if name in workflow.manifest.inputs and name not in workflow.properties:
            inputs[name] = list(texts)
        elif _says_where_results_go(workflow, name) and texts and texts[-1] != prop.get("default"):
            results = texts[-1]
        else:
            values[name] = texts
    return values, inputs, results


def _says_where_results_go(workflow: Workflow, name: str) -> bool:
    """Whether a parameter of a plain workflow says where its results go."""
    return workflow.kind is not Kind.HOUSE and bool(workflow.properties.get(name, {}).get("results"))


def mistaken_paths(workflow: Workflow, values: Mapping[str, Any], folder: Path) -> list[str]:
    """
    Warnings of texts that look like files of the user's, and will be taken from the run's folder.

    Parameters
    ----------
    workflow : Workflow
    values : mapping
        Parameters as they were given.
    folder : Path
        From which the user means them.
    """
    found = []
    for name, value in values.items() if workflow.kind is not Kind.HOUSE else ():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if (
                not isinstance(part, str)
                or not part
                or len(part) > 1000
                or "\0" in part
                or Path(part).is_absolute()
            ):
                continue
            with contextlib.suppress(OSError):
                if ("/" in part or Path(part).suffix) and (folder / part).exists():
                    there = (folder / part).absolute()
                    found.append(
                        f"{name}: {part!r} is text to this pipeline, not an input; if a file is meant, "
                        f"write {there}"
                    )
    return found


def input_pairs(workflow: Workflow, texts: Iterable[str]) -> dict[str, list[str]]:
    """
    ``--input NAME=REF``, and ``--input REF`` of a pipeline that has an input named so.

    Raises
    ------
    UsageError
        A text is neither.
    """
    found: dict[str, list[str]] = {}
    has_input = workflow.kind is not Kind.HOUSE and "input" in workflow.manifest.inputs
    for text in texts:
        name, equals, value = text.partition("=")
        if has_input and name not in workflow.manifest.inputs:
            name, value = "input", text
        elif not equals or not name:
            raise UsageError(
                "the command line is not valid", [Problem("--input", f"{text!r} is not of the form NAME=REF")]
            )
        found.setdefault(name, []).append(value)
    return found
