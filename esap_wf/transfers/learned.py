"""
What SHA-256 a file turned out to have, for all users of a store: its catalogue may know a weak checksum only,
and a server none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from esap_wf import files
from esap_wf.errors import EsapError, NotFoundError, Problem, RefusedError, UsageError
from esap_wf.formats import digests
from esap_wf.models import Model
from esap_wf.models.request import LAKE, WEB
from esap_wf.models.run import encode
from esap_wf.transfers.fetching import Wanted


class Learned(Model, frozen=True, kw_only=True):
    """A file, what was said of it when it was fetched, and what it turned out to be."""

    schema_version: int = 1
    uri: str
    bytes: int
    sha256: str
    checksums: dict[str, str] = {}


class OtherBytesError(RefusedError):
    """A name in a lake stands for other bytes than it did."""

    code = "other-bytes"


def _key(wanted: Wanted) -> str:
    # a name in a lake is never given out again; what an address means depends on the version, too
    return digests.of_data(wanted.uri) if wanted.uri.startswith(LAKE) else wanted.key


def _folder(store: Path, key: str) -> Path:
    return store / "learned" / key[:2]


def _place(store: Path, wanted: Wanted) -> Path:
    key = _key(wanted)
    return _folder(store, key) / f"{key}.json"


class Shelf:
    """
    What was known when it was looked at first: a folder is listed once, and only what is in it is opened.

    Parameters
    ----------
    store : Path
        The run store's folder.

    Attributes
    ----------
    empty : bool
        Nothing is known of any file.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.empty = not (store / "learned").is_dir()
        self._there: dict[str, frozenset[str]] = {}

    def known(self, wanted: Wanted) -> str | None:
        """As `known`."""
        key = _key(wanted)
        if key[:2] not in self._there:
            folder = _folder(self._store, key)
            with contextlib.suppress(OSError), os.scandir(folder) as there:
                self._there[key[:2]] = frozenset(one.name for one in there)
            self._there.setdefault(key[:2], frozenset())
        return known(self._store, wanted) if f"{key}.json" in self._there[key[:2]] else None


def _is_certain(wanted: Wanted) -> bool:
    """Whether what is said of a file stands for one content: a server that gives no mark may give another."""
    return bool(wanted.modified or wanted.checksums) or not wanted.uri.startswith(WEB)


def known(store: Path, wanted: Wanted) -> str | None:
    """
    The SHA-256 of a file, if somebody has fetched it.

    Raises
    ------
    OtherBytesError
        Its lake says something else of it now than it did then.
    """
    if not _is_certain(wanted):
        return None
    try:
        found = files.read_json(_place(store, wanted), Learned)
    except (NotFoundError, UsageError):
        return None
    if found.uri != wanted.uri:
        return None
    if wanted.uri.startswith(LAKE) and (what := _differs(found, wanted)):
        hint = "a name in a lake is given out once: tell who keeps it"
        raise OtherBytesError(
            f"{wanted.uri} stands for other bytes than it did", [Problem(wanted.uri, what, hint)]
        )
    return found.sha256 if wanted.bytes in (None, found.bytes) else None


def _differs(found: Learned, wanted: Wanted) -> str:
    if wanted.bytes not in (None, found.bytes):
        return f"it had {found.bytes} bytes, and has {wanted.bytes} now"
    before = {**found.checksums, "sha256": found.sha256}
    for kind, value in wanted.checksums.items():
        if before.get(kind, value).lower() != value.lower():
            return f"its {kind} was {before[kind]}, and is {value} now"
    return ""


def keep(store: Path, wanted: Wanted, sha256: str, size: int, mode: int | None) -> None:
    """Keep it; where that can't be done, somebody else finds it out again."""
    path = _place(store, wanted)
    with contextlib.suppress(EsapError, OSError):
        # one that can't be read is written again
        if _is_certain(wanted) and known(store, wanted) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            said = Learned(uri=wanted.uri, bytes=size, sha256=sha256, checksums=dict(wanted.checksums))
            files.write_atomic(path, encode(said), mode=mode, sync=False)
