"""Locks of several processes of one user on this machine: private files, given back when a process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from esap_wf.backends.launcher import NeedsPersonError
from esap_wf.errors import Problem

#: Seconds between two looks at a lock that somebody else holds.
LOOK = 0.02
#: ssh needs a socket's name of less than 108 bytes, and adds some while it makes it.
_LONGEST = 60


def private_folder() -> Path:
    """
    A folder of this user alone on a local disk, with a short name: ``$XDG_RUNTIME_DIR/esap-wf``, else
    ``/tmp/esap-wf-UID``. It is looked at each time, because the first goes away when its user logs out.

    Raises
    ------
    NeedsPersonError
        It belongs to somebody else, or others may write there.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    folder = Path("/tmp") / f"esap-wf-{os.getuid()}"
    with contextlib.suppress(OSError):
        about = runtime.lstat()
        mine = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
        if mine and runtime.is_absolute() and len(str(runtime)) <= _LONGEST:
            folder = runtime / "esap-wf"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        what = "it must be a folder of yours that nobody else can enter"
        raise NeedsPersonError(
            f"{folder} can't be used", [Problem(str(folder), what, "remove it, or set XDG_RUNTIME_DIR")]
        )
    return folder


@contextlib.contextmanager
def held(paths: Sequence[Path], seconds: float) -> Iterator[int]:
    """
    Hold one of some locks. Gives its descriptor: a process that inherits it holds the lock, too.

    Raises
    ------
    TimeoutError
        None was free.
    """
    end = time.monotonic() + seconds
    while True:
        for path in paths:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            except BaseException:
                os.close(descriptor)
                raise
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            return
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(LOOK)
