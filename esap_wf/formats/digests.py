"""Digests: canonical JSON, files, folders of code, and a cache of file hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading

#: What stands at the top of a workflow folder and is not run, so that it changes no digest and no snapshot;
#: nor do caches and hidden files.
NOT_CODE = {"test", "tests", "README.md", "work", "outputs", "logs"}
#: Files up to this size are hashed to plan; larger ones are identified by their stat (weak) and verified when
#: staged.
HASH_UP_TO = 2_000_000_000
MAX_CODE_FILES = 5000
_CHUNK = 8_000_000


def of_data(data: Any) -> str:
    """SHA-256 of plain data, whatever the order of keys."""
    import msgspec

    return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()


def of_file(path: Path, beat: Callable[[], None] | None = None) -> str:
    """
    SHA-256 of a file's content; `beat` is called every few megabytes and may raise: hashing a terabyte takes
    an hour.
    """
    with reading.opened(path) as f:
        if beat is None:
            return hashlib.file_digest(f, "sha256").hexdigest()
        total = hashlib.sha256()
        while chunk := f.read(_CHUNK):
            total.update(chunk)
            beat()
        return total.hexdigest()


def code_files(folder: Path) -> Iterator[Path]:
    """
    Files of a workflow folder that belong to a snapshot, sorted.

    Raises
    ------
    UsageError
        A link that leads out of the folder, or far too many files.
    """
    root, count = folder.resolve(), 0
    for base, dirs, files in os.walk(folder):
        left_out = NOT_CODE if Path(base) == folder else set()
        dirs[:] = sorted(
            d for d in dirs if d not in left_out and d != "__pycache__" and not d.startswith(".")
        )
        for name in dirs:
            link = Path(base, name)
            if link.is_symlink():
                raise _wrong(link, "is a link to a folder: a snapshot would not contain what is in it")
        for name in sorted(files):
            if name in left_out or name.startswith(".") or name.endswith((".pyc", "~")):
                continue
            path = Path(base, name)
            if path.is_symlink() and not reading.real(path).is_relative_to(root):
                raise UsageError(
                    "a workflow reaches outside its folder",
                    [Problem(str(path), "is a link that leads out of the folder")],
                )
            if not path.is_file():  # a pipe would be waited for, for ever
                raise _wrong(
                    path,
                    "is a link that points to nothing"
                    if path.is_symlink()
                    else "is neither a file nor a folder",
                )
            if not path.name.isprintable():
                raise _wrong(
                    path.with_name(ascii(path.name)), "has a name that can't be used in a command or a report"
                )
            count += 1
            if count > MAX_CODE_FILES:
                hint = "it is copied into each run, so give data as inputs"
                raise UsageError(
                    "a workflow folder is too large",
                    [Problem(str(folder), f"more than {MAX_CODE_FILES} files", hint)],
                )
            yield path


def listed_files(folder: Path, names: Collection[str]) -> Iterator[Path]:
    """
    The named files of a folder, in the order of `code_files`.

    Raises
    ------
    UsageError
        One is not there, or leads out of the folder.
    """
    root = folder.resolve()
    for name in sorted(
        names, key=lambda n: [(i < n.count("/"), part) for i, part in enumerate(n.split("/"))]
    ):
        path = folder / name
        if not reading.real(path).is_relative_to(root):
            raise UsageError(
                "a pipeline reaches outside its folder", [Problem(str(path), "leads out of the folder")]
            )
        if not path.is_file():
            raise _wrong(path, "does not exist" if not path.exists() else "is not a file")
        yield path


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError("a workflow can't be snapshotted", [Problem(str(path), what)])


def of_input(path: Path, cache: Path) -> tuple[str, str]:
    """
    Identity of an input file.

    Parameters
    ----------
    path : Path
    cache : Path
        Folder for the hash cache, keyed by device, inode, size, mtime and ctime.

    Returns
    -------
    identity, strength : str
        ``sha256:…`` and ``checksum``, or ``stat:…`` and ``stat`` above `HASH_UP_TO` and for folders.
    """
    s = path.stat()
    key = f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}"
    if path.is_dir():
        parts = [
            (p.relative_to(path).as_posix(), (q := p.stat()).st_size, q.st_mtime_ns)
            for p in sorted(path.rglob("*"))
            if p.is_file()
        ]
        return f"stat:{of_data(parts)}", "stat"
    if s.st_size > HASH_UP_TO:
        return f"stat:{key}", "stat"
    if s.st_size < 1_000_000:
        return f"sha256:{of_file(path)}", "checksum"
    known = _cached(cache, key)
    if known is None:
        known = of_file(path)
        _remember(cache, key, known)
    return f"sha256:{known}", "checksum"


def _entry(cache: Path, key: str) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()
    return cache / "hashes" / name[:2] / name


def _cached(cache: Path, key: str) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        stored, _, digest = _entry(cache, key).read_text().partition(" ")
        if stored == key and len(digest) == 64:
            return digest
    return None


def _remember(cache: Path, key: str, digest: str) -> None:
    # a cache that can't be written costs time, nothing else
    with contextlib.suppress(OSError):
        entry = _entry(cache, key)
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.with_name(f"{entry.name}.{os.getpid()}")
        temporary.write_text(f"{key} {digest}")
        temporary.replace(entry)
