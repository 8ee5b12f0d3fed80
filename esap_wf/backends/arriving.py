"""What comes back of a piece: data from somebody else, put into a folder of this machine file by file."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import IO

#: Bytes of one name.
LONGEST = 1024
_LATEST = 2**33


class StrangeError(Exception):
    """Something that no honest place sends."""


def is_record(name: PurePosixPath) -> bool:
    """Whether a file belongs to the record of a piece."""
    return name.parts[0] in ("engine", "logs") or (
        name.parts[0] == "work" and name.name.startswith(".command.")
    )


def is_pattern(wanted: str) -> bool:
    """Whether what is wanted are files of a folder by their ending: ``work/a/*.jsonl``."""
    return re.fullmatch(r"[^*?\[\\]+/\*\.[A-Za-z0-9]+", wanted) is not None


def is_wanted(name: PurePosixPath, wanted: str) -> bool:
    """Whether a file is one of those that are wanted, or lies in a folder that is."""
    if is_pattern(wanted):
        folder, _, ending = wanted.rpartition("/*")
        return name.parent == PurePosixPath(folder) and name.name.endswith(ending)
    return name.is_relative_to(wanted)


def put(content: IO[bytes], into: Path, name: PurePosixPath, aside: Path, when: float, program: bool) -> None:
    """
    Put a file in its place, whole or not at all; what is there is replaced.

    Parameters
    ----------
    content : file
    into : Path
    name : PurePosixPath
        Below `into`. Nothing is written through a symbolic link.
    aside : Path
        A folder for what is half there, on the same disk.
    when : float
        Its time.
    program : bool
        Whether it can be started.

    Raises
    ------
    StrangeError
        It does not belong there.
    """
    folder(into, name.parent)
    half, target = aside / "half", into / name
    with half.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
    half.chmod(half.stat().st_mode | (0o111 & ~_umask() if program else 0))
    when = min(max(0.0, when), _LATEST)
    os.utime(half, (when, when))
    if target.is_dir() and not target.is_symlink():
        raise StrangeError(f"a file in the place of a folder: {str(name)[:100]!r}")
    half.rename(target)


def folder(into: Path, name: PurePosixPath) -> None:
    """Make a folder and those above it, none of them through a link."""
    at = into
    for part in name.parts:
        at = at / part
        with contextlib.suppress(FileExistsError):
            at.mkdir()
        if at.is_symlink() or not at.is_dir():
            raise StrangeError(f"a folder in the place of something else: {str(name)[:100]!r}")


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
