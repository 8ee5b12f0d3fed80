"""The request: one JSON or YAML file that a form, a script or the command line writes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf.models import Model
from esap_wf.models.manifest import Input

REQUEST_VERSION = 1

_LABEL = "at most 200 characters in one line, not only spaces"
_TAG = "letters, digits and _ . : = -, at most 100 of them, beginning with a letter or digit"
Label = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,200}$",
        description=_LABEL,
    ),
]
Tag = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:=-]{0,99}$", description=_TAG)]


class ResourceRequest(Model, frozen=True, kw_only=True):
    """
    What the user asks for beyond the size; None means as the manifest says. `slices`: into how many engine
    runs the units are cut, where workflow and place allow it; `shard_size`: how many units share one job of
    the engine, where the workflow has shards.
    """

    cores: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    nodes: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    gpus: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    slices: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    shard_size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    memory: int | float | str | None = None
    disk: int | float | str | None = None
    wall: int | float | str | None = None


class Request(Model, frozen=True, kw_only=True):
    """
    What a user wants to run.

    `inputs` maps a name to references: a path, a `file://` URL, ``rucio://LAKE/scope/name``, an ``https://``
    address or ``run:ID/output``. `literals` holds numbers of a job order as they are written there, by their
    place in `parameters` (`esap_wf.formats.literals`).
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
    literals: dict[str, str] = {}


#: How references begin that are no paths: data in a lake, results of runs, items of a basket, addresses.
LAKE, RUN, BASKET, WEB = "rucio://", "run:", "basket:", ("https://", "http://")
#: The folder in a run directory that has what lies elsewhere.
INPUTS = "inputs"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_address(text: str) -> bool:
    """Whether a reference is something else than a path: a URL, ``run:…`` or ``basket:…``."""
    return text.startswith((RUN, BASKET)) or _SCHEME.match(text) is not None


def is_remote(text: str) -> bool:
    """Whether what a reference means has to be brought: it is no file of this machine."""
    return is_address(text) and not text.startswith("file:")


def absolute(text: str, folder: Path) -> str:
    """A path, taken from a folder if it is relative; what is no path stays as it is."""
    if not text or is_address(text):
        return text
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~nobody
        path = path.expanduser()
    return str((folder / path).absolute())


def location(text: str, folder: Path) -> str:
    """
    A location of CWL, which is a URL and may be a relative one: percent-encoded, unless a file has the name
    as it is written.
    """
    if not text or is_address(text) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|file:", text):
        return text
    path = folder / unquote(text)
    with contextlib.suppress(OSError, ValueError):
        path = path if path.exists() or not (folder / text).exists() else folder / text
    return path.absolute().as_uri()


def located(request: Request, folder: Path) -> Request:
    """
    The request with its relative paths taken from a folder: what is stored means the same wherever it is read
    again.
    """
    refs = {name: [absolute(ref, folder) for ref in given] for name, given in request.inputs.items()}
    results = absolute(request.results, folder) if request.results else request.results
    values = {name: placed(value, folder) for name, value in request.parameters.items()}
    return msgspec.structs.replace(request, inputs=refs, results=results, parameters=values)


#: Members of CWL's File and Directory that say which one is meant, and nothing else.
NAMING = {"class", "path", "location"}


def is_file_object(value: Any) -> bool:
    """Whether a value names a file or a folder in the way of CWL: ``{class: File, path: …}``."""
    return isinstance(value, dict) and value.get("class") in ("File", "Directory")


def declares_more(value: Any, spec: Input) -> bool:
    """
    Whether files or folders as a job order has them are more than references, which an engine is given with
    the declared format.
    """
    members = value if isinstance(value, list) else [value]
    if value is None or not all(is_file_object(m) or m is None or isinstance(m, list) for m in members):
        return False
    # none is not the same as nothing said, and `File | File[]` takes one, too
    if not members or isinstance(value, list) != spec.many:
        return True
    return any(not is_file_object(m) or _more_than_a_location(m, spec) for m in members)


def _more_than_a_location(value: Mapping[str, Any], spec: Input) -> bool:
    where = value.get("path", value.get("location"))
    if not isinstance(where, str):
        return True
    name = Path(where if "path" in value else unquote(where)).name
    declared = set(value) - {*NAMING, *(["basename"] if value.get("basename") == name else [])}
    return value.get("format", "") != spec.format or bool(declared - {"format"})


def placed(value: Any, folder: Path) -> Any:
    """Files inside of a value, in the way of CWL, with absolute paths."""
    if isinstance(value, list):
        return [placed(v, folder) for v in value]
    if isinstance(value, dict):
        moved = {k: placed(v, folder) for k, v in value.items()}
        if is_file_object(value):
            moved |= {
                k: made(v, folder)
                for k, made in (("path", absolute), ("location", location))
                if isinstance(v := value.get(k), str)
            }
        return moved
    return value


class DataRef(Model, frozen=True, kw_only=True, gc=False):
    """
    A reference to data, and what is known of its identity.

    `counts` is False for what is only looked up. `beside` holds the identity of files that belong to it
    (secondary files, what the rows of a table name, what a pattern matches). `strength` says how sure the
    identity is: ``checksum`` (of the content), ``catalogue`` (a name that is never given out again, with size
    and what weak sums there are) or ``stat`` (weak: device, inode, size, times).

    What lies elsewhere is brought to `path` before the engine starts, which is relative to the run directory
    then; `checksums` and `modified` (RFC 3339) are what its catalogue says of it. `before` is the identity
    that it had until somebody fetched it and its content was known.

    A table whose rows name what lies elsewhere has `cells`: column → what stands there → its place in the run
    directory; `path` is that of a copy then, which is made when the run is prepared.
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
    checksums: dict[str, str] = {}
    modified: str = ""
    before: str = ""
    cells: dict[str, dict[str, str]] = {}

    @property
    def given(self) -> str:
        """What the user gave: an address, or a path."""
        return self.uri if self.is_brought or self.cells else self.path or self.uri

    @property
    def original(self) -> str:
        """The path in a ``file://`` address: of a table that is copied, the user's own."""
        return unquote(urlsplit(self.uri).path)

    @property
    def is_brought(self) -> bool:
        """Whether it lies elsewhere until the run is prepared."""
        return is_remote(self.uri)
