"""
What SHA-256 a file of a lake turned out to have, for all users of a store: its catalogue may know a weak
checksum only.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from esap_wf import files
from esap_wf.errors import EsapError
from esap_wf.models import Model
from esap_wf.models.run import encode
from esap_wf.transfers.fetching import Wanted


class Learned(Model, frozen=True, kw_only=True):
    """A file, and what it turned out to be."""

    schema_version: int = 1
    uri: str
    bytes: int
    sha256: str


def _place(store: Path, wanted: Wanted) -> Path:
    return store / "learned" / wanted.key[:2] / f"{wanted.key}.json"


def known(store: Path, wanted: Wanted) -> str | None:
    """The SHA-256 of a file, if somebody has fetched it."""
    with contextlib.suppress(EsapError):
        found = files.read_json(_place(store, wanted), Learned)
        if found.uri == wanted.uri and wanted.bytes in (None, found.bytes):
            return found.sha256
    return None


def keep(store: Path, wanted: Wanted, sha256: str, size: int, mode: int | None) -> None:
    """Keep it; where that can't be done, somebody else finds it out again."""
    path = _place(store, wanted)
    with contextlib.suppress(EsapError, OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            document = Learned(uri=wanted.uri, bytes=size, sha256=sha256)
            files.write_atomic(path, encode(document), mode=mode, sync=False)
