"""The request: one JSON or YAML file that a form, a script or the command line writes."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

from esap_wf.models.manifest import Base

REQUEST_VERSION = 1

Label = Annotated[str, msgspec.Meta(pattern=r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,200}$")]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:=-]{0,99}$")]


class ResourceRequest(Base, frozen=True, kw_only=True):
    """What the user asks for beyond the size; None means as the manifest says."""

    cores: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    memory: int | float | str | None = None
    disk: int | float | str | None = None
    wall: int | float | str | None = None


class Request(Base, frozen=True, kw_only=True):
    """
    What a user wants to run.

    `inputs` maps a name to references: a path, a `file://` URL or (with a data lake) a `rucio://host/scope/name` URL.
    """

    schema_version: int = REQUEST_VERSION
    workflow: str
    parameters: dict[str, Any] = {}
    inputs: dict[str, list[str]] = {}
    backend: str | None = None
    engine: str | None = None
    engine_options: list[str] = []
    size: str | None = None
    resources: ResourceRequest = ResourceRequest()
    software: str | None = None
    results: str | None = None
    name: Label | None = None
    tags: list[Tag] = []


def absolute(text: str, folder: Path) -> str:
    """A path, taken from a folder if it is relative; a URL stays as it is."""
    if not text or re.match(r"[a-z][a-z0-9+.-]*://", text):
        return text
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~nobody
        path = path.expanduser()
    return str((folder / path).absolute())


def located(request: Request, folder: Path) -> Request:
    """The request with its relative paths taken from a folder: what is stored means the same wherever it is read again."""
    refs = {name: [absolute(ref, folder) for ref in given] for name, given in request.inputs.items()}
    results = absolute(request.results, folder) if request.results else request.results
    values = {name: _located(value, folder) for name, value in request.parameters.items()}
    return msgspec.structs.replace(request, inputs=refs, results=results, parameters=values)


def is_file_object(value: Any) -> bool:
    """Whether a value names a file or a folder in the way of CWL: ``{class: File, path: …}``."""
    return isinstance(value, dict) and value.get("class") in ("File", "Directory")


def _located(value: Any, folder: Path) -> Any:
    """Files inside of a value, in the way of CWL, with absolute paths."""
    if isinstance(value, list):
        return [_located(v, folder) for v in value]
    if isinstance(value, dict):
        moved = {k: _located(v, folder) for k, v in value.items()}
        if is_file_object(value):
            moved |= {k: absolute(v, folder) for k in ("path", "location") if isinstance(v := value.get(k), str)}
        return moved
    return value


class DataRef(Base, frozen=True, kw_only=True):
    """
    A reference to data, and what is known of its identity.

    `counts` is False for what is only looked up. `beside` holds the identity of files that belong to it (secondary files, what the rows
    of a table name, what a pattern matches). `strength` says how sure the identity is: ``checksum`` (catalogue or content hash) or
    ``stat`` (weak: device, inode, size, times).
    """

    uri: str
    path: str | None = None
    bytes: int | None = None
    checksum: str | None = None
    strength: str = "checksum"
    rows: int | None = None
    counts: bool = True
    folder: bool = False
    beside: dict[str, str] = {}
