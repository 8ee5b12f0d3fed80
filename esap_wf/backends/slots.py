"""
What this user's runs on this machine have at one place, and what the place said of it last: files below
``<cache>/places/<name>/``, which all supervisors read and write.

- ``runs/<run>.json``: the pieces of a run, each a slot of the caps
- ``status.json``: the last answer of the place, for all of them
- ``submissions.json``: when pieces were started, in the last minute
- ``lock``, ``asking``: held while these are changed; while the place is asked

They are a cache: what is missing or broken is made anew by who needs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from esap_wf import files
from esap_wf.backends.launcher import Seen
from esap_wf.errors import EsapError, NotFoundError
from esap_wf.models import Model
from esap_wf.runs.processes import Holder

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Model)
#: Seconds for which somebody else may hold the lock, who only writes small files.
PATIENCE = 5.0
_PAUSE = 0.01
#: Of a status, which has all pieces of all runs.
_LIMIT = 256 * 1024 * 1024


class SlotsError(Exception):
    """The files can't be used: a full disk, permissions, somebody who holds the lock and stands still."""


def clock() -> float:
    """Seconds since this machine was started, also those in which it slept. No step of the wall clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Slot(Model, frozen=True, kw_only=True):
    """
    One piece.

    Parameters
    ----------
    handle : str, optional
    over : bool
        The place has said that it doesn't work any more.
    forgotten : bool
        Its run does not want to know of it any more.
    granted : bool
        It was let through by the caps; else its run has only asked for it, and it may never have been there.
    starting : Holder, optional
        The process that is about to start it. As long as that lives, nothing says that it is over.
    """

    handle: str | None = None
    over: bool = False
    forgotten: bool = False
    granted: bool = False
    starting: Holder | None = None


class Registered(Model, frozen=True, kw_only=True):
    """
    ``runs/<run>.json``.

    Parameters
    ----------
    folder : str
        The run directory: without it, this file means nothing.
    serial : int
        Raised whenever something was started or stopped: an older answer is none.
    pieces : dict
        Key → slot.
    """

    schema_version: int = 1
    folder: str
    serial: int
    pieces: dict[str, Slot] = {}


class Status(Model, frozen=True, kw_only=True):
    """
    ``status.json``.

    Parameters
    ----------
    boot : str
        The machine and its start by which times are meant.
    asked, answered : float
        By `clock`.
    serials : dict
        Run → `Registered.serial` before the place was asked.
    seen : dict
        Key → what was seen.
    person : str
        Why somebody has to do something; nothing was seen then.
    outages : int
        How often in succession nobody could be asked.
    """

    schema_version: int = 1
    boot: str
    asked: float
    answered: float
    serials: dict[str, int]
    seen: dict[str, Seen]
    person: str = ""
    outages: int = 0


class Submissions(Model, frozen=True, kw_only=True):
    """``submissions.json``: by `clock`, since this start of the machine."""

    schema_version: int = 1
    boot: str
    times: list[float]


class Slots:
    """
    The files of one place.

    Parameters
    ----------
    folder : Path
        ``<cache>/places/<name>``.
    boot : str
        This machine and its start.
    """

    def __init__(self, folder: Path, boot: str) -> None:
        self.folder, self.boot = folder, boot
        self._decoded: tuple[tuple[int, int, int], Status] | None = None

    # --- locks

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """
        Be the only one that changes the files.

        Raises
        ------
        SlotsError
        """
        with self._opened("lock") as lock:
            end = time.monotonic() + PATIENCE
            while not _try(lock):
                if time.monotonic() > end:
                    raise SlotsError(f"another process holds {self.folder / 'lock'}")
                time.sleep(_PAUSE)
            try:
                yield
            except (OSError, EsapError) as error:
                raise SlotsError(str(error)) from error

    @contextlib.contextmanager
    def asking(self) -> Iterator[bool]:
        """Whether this process may ask the place now; nobody else does meanwhile."""
        with self._opened("asking") as lock:
            may = _try(lock)
            if may:
                os.pwrite(lock, b"%20.3f" % clock(), 0)
            yield may

    def asking_for(self) -> float:
        """Seconds for which the process that asks has been at it, if one does."""
        try:
            return clock() - float((self.folder / "asking").read_bytes())
        except (OSError, ValueError):
            return 0.0

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SlotsError(str(error)) from error
        try:
            yield lock
        finally:
            os.close(lock)

    # --- pieces

    def run(self, run: str) -> Registered | None:
        """What a run has; None if that isn't known."""
        return self._read(self._path(run), Registered)

    def runs(self) -> dict[str, Registered]:
        """What all runs have; what is broken, or of runs that are gone, is dropped. Call it with the lock."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for path in sorted((self.folder / "runs").iterdir()):
                if path.suffix != ".json" or path.name.startswith("."):
                    continue
                registered = self._read(path, Registered)
                if registered is not None and not _is_gone(Path(registered.folder)):
                    found[path.stem] = registered
                    continue
                with contextlib.suppress(OSError):
                    path.unlink()
        return found

    def write(self, run: str, registered: Registered) -> None:
        """Write what a run has; nothing is left of one that has nothing. Call it with the lock."""
        path = self._path(run)
        if not registered.pieces:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(exist_ok=True)
        # not synced: after a power cut nothing of this counts any more
        files.write_atomic(path, msgspec.json.encode(registered), mode=0o600, sync=False)

    def next_serial(self, registered: Registered | None) -> int:
        """Higher than each that there was since the machine was started, also if its file was lost."""
        return max(registered.serial + 1 if registered else 0, int(clock() * 1e9))

    def _path(self, run: str) -> Path:
        return self.folder / "runs" / f"{files.safe_name(run)}.json"

    # --- what is known of them

    def status(self) -> Status | None:
        """The last answer, if it is one since this machine was started."""
        path = self.folder / "status.json"
        try:
            there = path.stat()
        except OSError:
            return None
        which = (there.st_ino, there.st_mtime_ns, there.st_size)
        if self._decoded is None or self._decoded[0] != which:
            read = self._read(path, Status)
            if read is None:
                return None
            self._decoded = which, read
        status = self._decoded[1]
        return status if status.boot == self.boot and status.answered <= clock() else None

    def keep(self, status: Status) -> None:
        """
        Write the answer of the place.

        Raises
        ------
        SlotsError
        """
        try:
            data = msgspec.json.encode(status)
            files.write_atomic(self.folder / "status.json", data, mode=0o600, sync=False)
        except (OSError, EsapError, UnicodeError, TypeError) as error:
            raise SlotsError(str(error)) from error

    # --- submissions

    def submissions(self) -> list[float]:
        """When pieces were started in the last minute. Call it with the lock."""
        read = self._read(self.folder / "submissions.json", Submissions)
        now = clock()
        return [t for t in read.times if now - 60 < t <= now] if read and read.boot == self.boot else []

    def keep_submissions(self, times: list[float]) -> None:
        """Write when pieces were started. Call it with the lock."""
        data = msgspec.json.encode(Submissions(boot=self.boot, times=times))
        files.write_atomic(self.folder / "submissions.json", data, mode=0o600, sync=False)

    def _read(self, path: Path, kind: type[T]) -> T | None:
        try:
            return files.read_json(path, kind, limit=_LIMIT)
        except NotFoundError:
            return None
        except (EsapError, OSError) as error:
            logger.warning("%s can't be used, and is made anew: %s", path, error)
            return None


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise SlotsError(f"this file system has no locks: {error}") from error
    return True


def _is_gone(folder: Path) -> bool:
    try:
        folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
