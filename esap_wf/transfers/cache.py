"""
Files that were fetched, by their content: ``<store>/cache/<user>/<sha256>``, and what is half fetched.

A run has a file by a hard link, so an entry with more than one link is in use, whoever asks. Who writes into
such a link changes the entry: what it was like when it was kept stands beside it (``<sha256>.kept``).
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from esap_wf import files
from esap_wf.formats import digests

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: ``FICLONE`` of Linux: a copy that shares its blocks (XFS, Btrfs).
_CLONE = 0x40049409
#: Seconds after which what is half fetched is given up by a collection, and between two looks at a lock.
ABANDONED, _LOOK = 7 * 86400.0, 0.05
#: Seconds after which who fetches a file, and gets nothing of it, is not waited for any more.
STILL = 60.0
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
        """A file by its content; its use is noted. One that somebody has changed is dropped."""
        path = self.place(sha256)
        try:
            about = path.stat()
            if _kept(about) != _read(_mark(path)) and not self._is_still(path, sha256):
                return None
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

    def _is_still(self, path: Path, sha256: str) -> bool:
        """Whether a file of which nobody knows it is what it is called, by reading it."""
        try:
            found = digests.of_file(path)
        except OSError:  # gone meanwhile, or can't be read: another one is fetched
            found = ""
        if found != sha256:
            self.drop(sha256)
            return False
        _note(path)
        return True

    @contextlib.contextmanager
    def part(self, key: str, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
        """
        What is there of a file that is being fetched: one at a time has it, the others wait. It stays when
        who fetches it is killed, and the next one goes on from there. Who gets nothing, or was stopped, is
        waited for no longer than `STILL`: then the file is fetched beside.

        Parameters
        ----------
        key : str
            SHA-256 of what says which file it is.
        waiting : callable, optional
            Called while another one is waited for; may raise to stop.
        """
        path = self._parts / self.place(key).name
        lock = path.with_suffix(".lock")
        with self._explained(path):
            self._make(self._parts)
            handle = _held(lock, path, waiting)
        if handle is None:
            path = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            with contextlib.suppress(FileNotFoundError):
                # who was killed, or had no space, while it got its name
                if path.stat().st_nlink > 1:
                    path.unlink()
                else:
                    path.chmod(0o600)
            yield path
        finally:
            if handle is None:
                path.unlink(missing_ok=True)
            else:
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
            while not _named(part, place):
                if self.find(sha256):
                    break
            part.unlink(missing_ok=True)
        return place

    def drop(self, sha256: str) -> None:
        """An entry that is not what it is called; runs that have it keep it."""
        self._remove(self.place(sha256))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        _mark(path).unlink(missing_ok=True)

    def entries(self) -> Iterator[Kept]:
        """All that is there."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if not _SHA256.fullmatch(path.name):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    about = path.stat()
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
            self._remove(one.path)
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


def link(source: Path, target: Path, own: bool = True) -> None:
    """
    Give a file another name: a hard link, else a copy that shares its blocks, else a copy. The name appears
    when the file is whole.

    Parameters
    ----------
    source : Path
    target : Path
        Replaced if it is there.
    own : bool
        Whether it stays as it is; what belongs to somebody else is copied, who may write into it.

    Raises
    ------
    FileNotFoundError
        The source is gone.
    EsapError
        It can't be written.
    """
    half = target.with_name(f".half.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if own and _linked(source, target):
            return
        if not (own and _linked(source, half)):
            copy(source, half)
        half.rename(target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise files.explain(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


def _linked(source: Path, name: Path) -> bool:
    """Whether a file got another name; not if that is taken, or if there are no links."""
    try:
        os.link(source, name)
    except OSError as error:
        if error.errno not in {*_NO_LINKS, errno.EEXIST}:
            raise
        return False
    return True


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


def _named(part: Path, place: Path) -> bool:
    """Give a whole file its name; False if another one has it."""
    try:
        os.link(part, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        part.rename(place)
    _note(place)
    return True


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.kept")


def _kept(about: os.stat_result) -> str:
    """What changes when somebody writes into a file."""
    return f"{about.st_size}.{about.st_mtime_ns}"


def _read(mark: Path) -> str:
    try:
        return str(mark.readlink())
    except OSError:
        return ""


def _note(path: Path) -> None:
    """Write down what a file is like, in a link: that needs no block. Without it the file is read again."""
    mark = _mark(path)
    with contextlib.suppress(OSError):
        mark.unlink(missing_ok=True)
        mark.symlink_to(_kept(path.stat()))


def _held(lock: Path, part: Path, waiting: Callable[[], None]) -> int | None:
    """A lock that nobody else has, its handle; None if who has it gets nothing."""
    size, since = -1, time.monotonic()
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(handle):
                waiting()
                if size != (now := _size(part)):
                    size, since = now, time.monotonic()
                elif time.monotonic() - since > STILL:
                    os.close(handle)
                    return None
                time.sleep(_LOOK)
            if os.fstat(handle).st_nlink:
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: two may fetch the same
        return True
    return True
