"""CWL job orders: what a user's file says beside the values and files that a process declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import Problem
from esap_wf.formats import schemas
from esap_wf.models.request import is_file_object

#: What stands in a job order for the engine itself; and any key with a prefix (``cwl:requirements``).
_OWN = {"id", "cwlVersion", "$namespaces", "$schemas", "$base"}


def problems(workflow: Workflow, values: Mapping[str, Any]) -> list[Problem]:
    """What an engine refuses before any tool starts: a file without a format where a process wants one."""
    wanted = {
        name: spec.format for name, spec in workflow.manifest.inputs.items() if spec.format and name in values
    }
    return [
        Problem(
            f"parameter {name}",
            f"a file has no format, but {workflow.manifest.name} needs one",
            f"format: {uri}",
        )
        for name, uri in wanted.items()
        if workflow.takes_job_orders
        for part in (values[name] if isinstance(values[name], list) else [values[name]])
        if is_file_object(part) and part["class"] == "File" and not part.get("format")
    ]


def passed_over(workflow: Workflow, values: Mapping[str, Any]) -> list[str]:
    """
    Warnings of what an engine will pass over in silence: names that a process doesn't declare, and that
    records don't.
    """
    if not workflow.takes_job_orders:
        return []
    known = {**workflow.properties, **workflow.manifest.inputs}
    found = [
        f"{name} is not an input of {workflow.manifest.name}: the engine ignores it"
        + (f" ({hint})" if (hint := schemas.closest(name, known)) else "")
        for name in values
        if name not in known and name not in _OWN and ":" not in name
    ]
    for name, value in values.items():
        if name in workflow.properties:
            found += [
                f"{name} has no field {field}: the engine ignores it"
                for field in _strange(value, workflow.properties[name])
            ]
    return found


def _strange(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """
    Fields of a record that the engine will not see: it takes the first record of an alternative that has all
    it needs.
    """
    options = [schema, *schema.get("anyOf", ())]
    if isinstance(value, list):
        items = [o["items"] for o in options if isinstance(o.get("items"), dict)]
        for member in value if len(items) == 1 else ():
            yield from _strange(member, items[0])
    records = [o for o in options if isinstance(o.get("properties"), dict) and "class" not in o["properties"]]
    if not isinstance(value, dict):
        return
    seen = next((r for r in records if value.keys() >= set(r.get("required", ()))), None)
    if seen is None:
        return
    for name, member in value.items():
        if name in seen["properties"]:
            yield from _strange(member, seen["properties"][name])
        else:
            yield name
