"""
What has come into a run directory of its inputs that lie elsewhere: ``engine/arrived.json``. It is looked at
again before results are accepted: what is not as it came then was changed by a step, or by somebody else.
"""

from __future__ import annotations

from pathlib import Path

from esap_wf import config, files
from esap_wf.errors import EsapError
from esap_wf.formats import digests
from esap_wf.models import Model
from esap_wf.models.run import Failure, Reason
from esap_wf.running.ownership import Ownership
from esap_wf.transfers import references

#: In the run directory.
RECORD = Path("engine", "arrived.json")


class File(Model, frozen=True, kw_only=True):
    """One file that has come, as it was then."""

    path: str
    uri: str
    sha256: str
    bytes: int
    modified_ns: int


class Arrived(Model, frozen=True, kw_only=True):
    """``engine/arrived.json``."""

    schema_version: int = 1
    files: list[File]


def as_it_is(run: Path, name: str, uri: str, sha256: str) -> File:
    """A file of a run directory, to be recognized."""
    about = (run / name).stat()
    return File(path=name, uri=uri, sha256=sha256, bytes=about.st_size, modified_ns=about.st_mtime_ns)


def recorded(run: Path) -> list[File]:
    """What has come into a run directory."""
    try:
        return files.read_json(run / RECORD, Arrived).files
    except EsapError:
        return []


def is_same(run: Path, file: File) -> bool:
    """Whether a file is as it came, by size and time: who writes into it changes the time."""
    try:
        about = (run / file.path).stat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (file.bytes, file.modified_ns)


def changed(owner: Ownership) -> list[Failure]:
    """
    Inputs that are not as they came: the results may come from something else. What the cache has of them is
    removed.
    """
    found = []
    for file in recorded(owner.run.dir):
        owner.beat()
        if is_same(owner.run.dir, file):
            continue
        path = owner.run.dir / file.path
        if path.is_file() and file.sha256 and digests.of_file(path, owner.beat) == file.sha256:
            continue  # touched only
        if file.sha256:
            references.cache_of(config.load(str(owner.store.root))).drop(file.sha256)
        what = "was changed while the run worked" if path.exists() else "was removed while the run worked"
        found.append(Failure(step="input", reason=Reason.INVALID_INPUT, detail=f"{file.path} {what}"))
    return found
