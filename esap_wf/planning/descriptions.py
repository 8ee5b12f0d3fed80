"""What a workflow does, takes, makes and needs, as data, for the verb show and for Python."""

from __future__ import annotations

from typing import Any

import msgspec

from esap_wf import tasks
from esap_wf.catalogue.workflow import Workflow
from esap_wf.planning import routes as software


def of(workflow: Workflow) -> dict[str, Any]:
    """The description of a workflow; parts of the manifest stay models."""
    m = workflow.manifest
    routes = [(software.route_of(s), msgspec.to_builtins(s)) for s in m.software]
    return {
        "name": m.name,
        "title": m.title,
        "description": m.description,
        "version": m.version,
        "engines": [i.engine for i in m.implementations],
        "parameters": workflow.schema,
        "inputs": m.inputs,
        "outputs": m.outputs,
        "resources": m.resources,
        "software": [
            {"route": route, **{k: v for k, v in details.items() if v is not None}}
            for route, details in routes
        ],
        "derived_from": workflow.derived_from or str(workflow.document.source),
        "units": m.units,
        "rules": m.rules,
        "identity": m.identity,
        "tasks": {i.engine: tasks.of(i.engine, i.file) for i in m.implementations},
        "authors": m.authors,
        "license": m.license,
        "citation": m.citation,
        "source": workflow.source,
        "notes": list(workflow.notes),
    }
