"""
The values that an engine's configuration file holds: what house workflows get, and what a pipeline with its
own names gets.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from esap_wf.engines import Job, JobInput
from esap_wf.models.request import INPUTS, DataRef, is_file_object

#: Where what was brought lies in the run directory.
_PLACE = re.compile(rf"{INPUTS}/[^/]+/\d+/")


def house(job: Job) -> dict[str, Any]:
    """
    The flat configuration of a house workflow (docs/workflows.md), or the pipeline's own if the job is
    `plain`.
    """
    if job.plain:
        return plain(job)
    inputs = {name: [path_of(given, i) for i in range(len(given.refs))] for name, given in job.inputs.items()}
    shards = {"shard_size": job.shard_size} if job.shard_size else {}
    return {
        **job.parameters,
        "inputs": inputs,
        "selected": dict(job.selected),
        "workflow": job.workflow,
        **shards,
    }


def plain(job: Job) -> dict[str, Any]:
    """
    Parameters and paths of inputs under the names that the pipeline has; a name with dots is a nested value.

    Only what was given is among them: a null is meant, too, in the place of the pipeline's own value.
    """
    values: dict[str, Any] = dict(job.parameters)
    for name, given in job.inputs.items():
        paths = [path_of(given, i) for i in range(len(given.refs))]
        if paths:
            values[name] = paths if given.many else paths[0]
    return nested({**values, **job.selected})


def relocated(job: Job, start: str = "") -> Job:
    """
    A job that runs in a working copy of the pipeline's folder, at the top of the run directory: what comes
    with it has the path that it has there, what lies in the run directory one that leads to it.

    Parameters
    ----------
    job : Job
    start : str
        Where in the copy the paths are used.
    """
    inside = f"{job.folder}/"

    def there(ref: DataRef) -> DataRef:
        if ref.path is None or ref.path.startswith("/"):
            return ref
        if ref.path.startswith(inside):
            path = posixpath.relpath(ref.path.removeprefix(inside), start or ".")
        else:
            path = _upwards(ref.path, start)
        return msgspec.structs.replace(ref, path=path)

    return replace(
        job,
        inputs={n: replace(g, refs=tuple(map(there, g.refs))) for n, g in job.inputs.items()},
        parameters={n: _moved(value, start) for n, value in job.parameters.items()},
    )


def _upwards(path: str, start: str) -> str:
    """From a folder of the working copy to what lies in the run directory."""
    return posixpath.relpath(path, posixpath.join("copy", start))


def _moved(value: Any, start: str) -> Any:
    """A parameter, with the places of files that were brought for it."""
    if isinstance(value, list):
        return [_moved(v, start) for v in value]
    if not isinstance(value, dict):
        return value
    moved = {k: _moved(v, start) for k, v in value.items()}
    if is_file_object(value):
        places = {k: v for k in ("path", "location") if isinstance(v := value.get(k), str)}
        moved |= {k: _upwards(v, start) for k, v in places.items() if _PLACE.match(v)}
    return moved


def path_of(given: JobInput, number: int) -> str:
    """Path of one reference; `esap_wf.running.render` has seen to it that there is one."""
    path = given.refs[number].path
    assert path is not None
    return path


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a.b": 1}`` → ``{"a": {"b": 1}}``."""
    done: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        level = done
        for parent in parents:
            level = level.setdefault(parent, {})
        level[last] = value
    return done


def as_json(values: Mapping[str, Any]) -> bytes:
    """A configuration file."""
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
