"""What ``--params`` names: a file with a whole request, or with the parameters alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.request import REQUEST_VERSION, Request


@dataclass(frozen=True)
class ParameterFile:
    """
    A request that a file holds.

    Parameters
    ----------
    request : Request
        Without what is wrong in it.
    document : Document
        The file, for positions.
    pointer : tuple of str
        Where the parameters stand in it.
    problems : list of Problem
        What is wrong with the other fields.
    """

    request: Request
    document: Document
    pointer: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def read_parameter_file(path: Path, workflow: Workflow | None, named: str = "") -> ParameterFile:
    """
    Read a file of parameters, or of a whole request.

    Parameters
    ----------
    path : Path
    workflow : Workflow, optional
        That it is for, if that is known; else the file names it.
    named : str
        How the workflow was named.

    Raises
    ------
    UsageError
        It can't be read, is no mapping, or is of a newer version.
    """
    document = documents.load(path, exact=workflow is not None and workflow.takes_job_orders)
    request = Request(workflow=named)
    if document.data is None:
        return ParameterFile(request, document)
    if not isinstance(document.data, dict):
        raise UsageError(
            "the parameter file is not valid",
            [Problem(document.where(), "a mapping of names to values is expected")],
        )
    if not _is_request(document.data, workflow):
        return ParameterFile(
            msgspec.structs.replace(request, parameters=document.data, literals=document.written), document
        )
    data = {"workflow": named, **document.data}
    whole = Document(data, document.source, document.text)
    request, problems = schemas.convert_parts(whole, Request, "request", {"workflow": data["workflow"]})
    if request.schema_version > REQUEST_VERSION:
        what = f"it has version {request.schema_version}; this esap-wf reads versions up to {REQUEST_VERSION}"
        raise UsageError(
            "the request is newer than this esap-wf",
            [Problem(document.where(["schema_version"]), what, "upgrade esap-wf")],
        )
    return ParameterFile(request, document, ("parameters",), problems)


def _is_request(data: dict[str, Any], workflow: Workflow | None) -> bool:
    """
    Whether a file is a whole request, not the values alone; a pipeline may have parameters of these names
    itself.
    """
    own: set[str] = set()
    if workflow is not None and workflow.kind is not Kind.HOUSE:
        own = {*workflow.properties, *workflow.manifest.inputs}
    return bool({"parameters", "workflow"} & set(data) - own)
