"""What a piece has made in its sandbox, brought home: whole files, and all of them."""

from __future__ import annotations

import logging
import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from esap_wf.backends import arriving
from esap_wf.backends.launcher import OutageError, Part
from esap_wf.backends.slurm.sandbox import Sandbox

logger = logging.getLogger(__name__)

#: At the top of a piece's folder, what is no result.
_ASIDE = ("code", "inputs", "work", ".snakemake", ".nextflow")
#: Folders below ``work`` in which an engine keeps logs, at most so deep.
_DEPTH = 3
#: How often a file that changes while it is copied is copied.
_TRIES = 5


def pull(sandbox: Sandbox, into: Path, part: Part, wanted: Sequence[str]) -> None:
    """
    Copy files of a piece.

    Parameters
    ----------
    sandbox : Sandbox
    into : Path
        Existing files are replaced. Nothing is written through a symbolic link in it.
    part : Part
    wanted : sequence of str
        As `Launcher.pull`.

    Raises
    ------
    OutageError
        Not all that was made is seen here yet, or it still changes.
    StrangeError
        It does not belong there.
    """
    root, over = sandbox.root, sandbox.end() is not None
    if part is Part.RESULTS:
        _all_seen(sandbox)
    into.mkdir(parents=True, exist_ok=True)
    # beside it: what is there half after a crash is no result
    with tempfile.TemporaryDirectory(
        prefix=".pulling-", dir=into.parent, ignore_cleanup_errors=True
    ) as aside:
        found = _record(root) if part is Part.RECORD else _made(sandbox, into)
        for path in (*found, *_wanted(root, wanted)):
            name = PurePosixPath(path.relative_to(root))
            if len(os.fsencode(name)) > arriving.LONGEST:
                raise arriving.StrangeError(f"a name that can't be used: {str(name)[:100]!r}")
            _bring(path, into, name, Path(aside), whole=over)


def _bring(path: Path, into: Path, name: PurePosixPath, aside: Path, whole: bool) -> None:
    """Copy a file; of one that grows what is there now, of one that has its last bytes all of them."""
    for _ in range(_TRIES):
        try:
            with path.open("rb") as file:
                before = os.fstat(file.fileno())
                arriving.put(file, into, name, aside, before.st_mtime, bool(before.st_mode & 0o100))
                after = os.fstat(file.fileno())
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            return
        if not whole or (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return
    raise OutageError(f"{name} still changes")


def _all_seen(sandbox: Sandbox) -> None:
    """What was there when the piece ended is seen here, which takes its time on a folder of many machines."""
    try:
        listed = (sandbox.path / "made").read_bytes()
    except FileNotFoundError:
        return
    for entry in listed.split(b"\0"):
        size, _, name = entry.partition(b" ")
        if not name or not size.isdigit():
            continue
        path = sandbox.root / os.fsdecode(name)
        try:
            there = path.lstat().st_size
        except OSError:
            there = -1
        if there != int(size):
            raise OutageError(f"{path} is not seen here as it was written on its node yet")


def _files(at: Path, within: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """
    Regular files, what links lead to among them. A circle is left out, and so is what a link leads to that
    leaves the sandbox: a step in a container would get files of its user that it doesn't see.
    """
    real = os.path.realpath(at)
    if not Path(real).is_relative_to(os.path.realpath(within)):
        logger.warning("%s is a link that leads out of its piece: it is left there", at)
    elif at.is_file():
        yield at
    elif at.is_dir() and real not in above:
        for entry in _entries(at):
            yield from _files(entry, within, (*above, real))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # it may go away, or forbid it
        return []


def _record(root: Path) -> Iterator[Path]:
    for name in ("engine", "logs"):
        yield from _files(root / name, root)
    yield from _scratch(root / "work", _DEPTH)


def _scratch(folder: Path, depth: int) -> Iterator[Path]:
    for path in _entries(folder):
        if path.name.startswith(".command.") and path.is_file() and not path.is_symlink():
            yield path
        elif depth > 1 and path.is_dir():
            yield from _scratch(path, depth - 1)


def _made(sandbox: Sandbox, into: Path) -> Iterator[Path]:
    """What has come into being or was changed since the piece was put there; empty folders are made."""
    mark = (sandbox.path / "whole").stat().st_ctime_ns
    yield from _new(sandbox.root, sandbox.root, mark, into)


def _new(folder: Path, root: Path, mark: int, into: Path) -> Iterator[Path]:
    for path in _entries(folder):
        if folder == root and path.name in _ASIDE:
            continue
        try:
            is_new = path.lstat().st_ctime_ns > mark
        except OSError:
            continue
        if path.is_symlink():
            if is_new:
                yield from _files(path, root)
        elif path.is_dir():
            if is_new and not _entries(path):
                arriving.folder(into, PurePosixPath(path.relative_to(root)))
            yield from _new(path, root, mark, into)
        elif is_new and path.is_file():
            yield path


def _wanted(root: Path, wanted: Sequence[str]) -> Iterator[Path]:
    for name in wanted:
        plain = posixpath.normpath(name)
        if plain.startswith(("/", "..")):
            continue
        if arriving.is_pattern(plain):
            folder, _, ending = plain.rpartition("/*")
            found = [p for p in _entries(root / folder) if p.name.endswith(ending) and p.is_file()]
            yield from (one for path in found for one in _files(path, root))
        else:
            yield from _files(root if plain == "." else root / plain, root)
