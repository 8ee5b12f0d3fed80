"""
Files that were fetched, by their content: ``<store>/cache/<user>/<sha256>``, and what is half fetched.

A run has a file by a hard link, so an entry with more than one link is in use, whoever asks.
Each user has a folder of his own: who may read a file is said by the lake, not by the cache.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esap_wf import files

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: ``FICLONE`` of Linux: a copy that shares its blocks (XFS, Btrfs).
_CLONE = 0x40049409
#: Seconds after which what is half fetched is given up by a collection, and between two looks at a lock.
ABANDONED, _LOOK = 7 * 86400.0, 0.05
_NO_LINKS = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True)
class Kept:
    """An entry: its content, bytes, whether a run has it, when it was last wanted (seconds since 1970)."""

    sha256: str
    path: Path
    bytes: int
    used: bool
    last: float


class Cache:
    """
    The files of one user.

    Parameters
    ----------
    folder : Path
        Is made if it isn't there.
    mode : int
        Of its files.
    """

    def __init__(self, folder: Path, mode: int = 0o444) -> None:
        self.folder, self.mode = folder, mode
        self._parts = folder / "parts"

    def find(self, sha256: str) -> Path | None:
        """A file by its content; its use is noted."""
        path = self.place(sha256)
        try:
            about = path.stat()
            # the access time is when it was last wanted; the other one belongs to the data
            with contextlib.suppress(PermissionError):
                os.utime(path, ns=(time.time_ns(), about.st_mtime_ns))
        except FileNotFoundError:
            return None
        return path

    def has(self, sha256: str) -> bool:
        """Whether a file is there, without a note of its use."""
        return os.access(self.place(sha256), os.F_OK)

    def place(self, sha256: str) -> Path:
        """Where a file lies, if it is there."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"no SHA-256: {sha256[:80]!r}")
        return Path(f"{self.folder}/{sha256[:2]}/{sha256}")

    @contextlib.contextmanager
    def part(self, key: str) -> Iterator[Path]:
        """
        What is there of a file that is being fetched: one at a time has it, the others wait. It stays when
        who fetches it is killed, and the next one goes on from there.

        Parameters
        ----------
        key : str
            SHA-256 of what says which file it is.
        """
        path = self._parts / self.place(key).name
        lock = path.with_suffix(".lock")
        with self._explained(path):
            self._make(self._parts)
            handle = _held(lock)
        try:
            yield path
        finally:
            # while it is held: who waits for it sees that it is gone, and makes another one
            lock.unlink(missing_ok=True)
            os.close(handle)

    def keep(self, part: Path, sha256: str, modified: float | None) -> Path:
        """
        A file that is whole and known gets its name.

        Parameters
        ----------
        part : Path
            Is gone afterwards.
        sha256 : str
        modified : float, optional
            Seconds since 1970: engines do work again on inputs that are newer than results.
        """
        place = self.place(sha256)
        with self._explained(place):
            part.chmod(self.mode)
            if modified is not None:
                os.utime(part, (time.time(), modified))
            self._make(place.parent)
            try:
                os.link(part, place)
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                part.rename(place)
            part.unlink(missing_ok=True)
        return place

    def drop(self, sha256: str) -> None:
        """An entry that is not what it is called; runs that have it keep it."""
        self.place(sha256).unlink(missing_ok=True)

    def entries(self) -> Iterator[Kept]:
        """All that is there."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    about = path.stat()
                    if _SHA256.fullmatch(path.name):
                        yield Kept(path.name, path, about.st_size, about.st_nlink > 1, about.st_atime)

    def collect(self, most: int) -> list[Kept]:
        """
        Remove what no run has, the longest unwanted first, until no more than `most` bytes are left; and what
        was half fetched long ago. What was removed.
        """
        there = list(self.entries())
        total, gone = sum(one.bytes for one in there), []
        for one in sorted((e for e in there if not e.used), key=lambda e: e.last):
            if total <= most:
                break
            one.path.unlink(missing_ok=True)
            total -= one.bytes
            gone.append(one)
        for path in self._parts.glob("*") if self._parts.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
        return gone

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise files.explain(error, path) from error


def link(source: Path, target: Path) -> None:
    """
    Give a file another name: a hard link, else a copy that shares its blocks, else a copy. The name appears
    when the file is whole.

    Parameters
    ----------
    source : Path
    target : Path
        Replaced if it is there.

    Raises
    ------
    FileNotFoundError
        The source is gone.
    EsapError
        It can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
        return
    except FileNotFoundError:
        raise
    except OSError as error:  # it is there already, or there are no links
        if error.errno not in {*_NO_LINKS, errno.EEXIST}:
            raise files.explain(error, target) from error
    half = target.with_name(f".{target.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        try:
            os.link(source, half)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copy(source, half)
        half.rename(target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise files.explain(error, target) from error
    finally:
        half.unlink(missing_ok=True)


def copy(source: Path, target: Path) -> None:
    """A file of its own with the same content, rights and time of modification."""
    about = source.stat()
    with source.open("rb") as read, target.open("xb") as write:
        try:
            fcntl.ioctl(write.fileno(), _CLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, write, 4_000_000)
        write.flush()
        os.fsync(write.fileno())
    target.chmod(about.st_mode & 0o777)
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))


def _held(lock: Path) -> int:
    """A lock that nobody else has; its handle."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(handle):
                time.sleep(_LOOK)
            if os.fstat(handle).st_nlink:
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: two may fetch the same
        return True
    return True
