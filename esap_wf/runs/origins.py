"""What a run was given, and which runs of its store that comes from: read from its plan."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from esap_wf import files
from esap_wf.models.request import RUN, DataRef, is_file_object
from esap_wf.runs.layout import Layout

PLAN = "plan.json"
#: An output of a run, and a path in the directory of one.
_OUTPUT = re.compile(rf"{RUN}([0-9a-f]{{16}})(?:/.*)?", re.DOTALL)
_IN_A_RUN = re.compile(r"(.*?)/runs/([0-9a-f]{2})/(\2[0-9a-f]{14})(?:/.*)?", re.DOTALL)


class Origin(NamedTuple):
    """One reference of an input; `run` is the id of the run whose output it is, if it is one of the store."""

    input: str
    uri: str
    checksum: str | None
    run: str | None


class _Given(msgspec.Struct):
    """Of a plan, what its run was given."""

    inputs: dict[str, list[DataRef]] = {}
    nested: list[DataRef] = []
    parameters: dict[str, Any] = {}
    inside: dict[str, list[str]] = {}


def of_plan(store: Layout, folder: Path) -> list[Origin]:
    """
    What a run was given, in the order of its plan.

    Files beside an input (rows of a table name them, a pattern matches them) are listed where another run
    made them.

    Parameters
    ----------
    store : Layout
    folder : Path
        The run directory.

    Raises
    ------
    NotFoundError, UsageError, RefusedError
        The plan can't be read.
    """
    given = files.read_json(folder / PLAN, _Given)
    addresses = {ref.path: ref.uri for ref in given.nested}
    found = []
    for name, refs in given.inputs.items():
        for ref in refs:
            made = Origin(
                name, ref.uri, ref.checksum, run_of(store, ref.uri, None if ref.cells else ref.path)
            )
            found.append(made)
            for path, identity in ref.beside.items():
                if uri := addresses.get(path):
                    found.append(Origin(name, uri, identity, run_of(store, uri)))
                    continue
                run = run_of(store, path)
                if run is not None and run != made.run:
                    found.append(Origin(name, Path(path).as_uri(), identity, run))
    for name, value in given.parameters.items():
        uris = [addresses.get(unquote(uri), uri) for uri in _described(value)]
        known = given.inside.get(name, [])
        # more identities than files are those of what lies beside them: not said which is whose
        sums = known if len(known) == len(uris) else [None] * len(uris)
        found += [Origin(name, u, s, run_of(store, u)) for u, s in zip(uris, sums, strict=True)]
    return found


def run_of(store: Layout, uri: str, path: str | None = None) -> str | None:
    """
    The run that made what a reference names.

    Parameters
    ----------
    store : Layout
    uri : str
        ``run:<id>/<output>``, ``file://…``, a path, or anything else, which no run of the store made.
    path : str, optional
        Where it lies, of a file.
    """
    if output := _OUTPUT.fullmatch(uri):
        return output[1]
    if uri.startswith("file:"):
        path = path or unquote(urlsplit(uri).path)
    elif uri.startswith("/"):
        path = uri
    else:
        return None  # of a lake, say: what was fetched lies in a cache
    match = _IN_A_RUN.fullmatch(os.path.normpath(path))
    if match is None:
        return None
    # by another path (a link, a store that has moved) it is known by its id
    root, run_id = match[1], match[3]
    known = root == str(store.root) or store.run_exists(run_id) or store.tombstone_path(run_id).exists()
    return run_id if known else None


def stamp(folder: Path) -> str:
    """Another one for each plan that a run has had; empty without a plan."""
    try:
        s = (folder / PLAN).stat()
    except OSError:
        return ""
    return f"{s.st_ino}.{s.st_size}.{s.st_mtime_ns}"


def _described(value: Any) -> Iterator[str]:
    """
    Files and folders inside of a parameter, as URIs; in the order of the identities in the plan
    (`esap_wf.request.references.inside`).
    """
    stack = [value]
    while stack:
        part = stack.pop()
        stack += part if isinstance(part, list) else part.values() if isinstance(part, dict) else []
        if is_file_object(part):
            where = part.get("location") or part.get("path")
            if isinstance(where, str):
                yield Path(where).as_uri() if where.startswith("/") else where
