"""What a host sends back, unpacked as what it is: data from somebody else."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from esap_wf import files
from esap_wf.backends.arriving import LONGEST, StrangeError, folder, put

#: Names.
MOST = 1_000_000


class Stream(Protocol):
    """What is read."""

    def read(self, count: int = ..., /) -> bytes:
        """Fewer than `count` only at the end."""


def unpack(stream: Stream, into: Path, expected: Callable[[PurePosixPath], bool]) -> int:
    """
    Unpack a tar: regular files and folders only, each file whole or not at all.

    Parameters
    ----------
    stream : Stream
    into : Path
        Existing files are replaced. Nothing is written through a symbolic link in it.
    expected : callable
        Says of each relative path whether it may be there.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    StrangeError
        What it holds does not belong there.
    EsapError
        It can't be written: the disk is full.
    """
    into.mkdir(parents=True, exist_ok=True)
    count = 0
    # beside it: what is there half after a crash is no result
    with tempfile.TemporaryDirectory(
        prefix=".pulling-", dir=into.parent, ignore_cleanup_errors=True
    ) as aside:
        try:
            with tarfile.open(fileobj=_File(stream), mode="r|", errorlevel=2) as tar:
                for member in tar:
                    count += 1
                    if count > MOST:
                        raise StrangeError(f"more than {MOST} files")
                    _place(tar, member, into, Path(aside), expected)
                    tar.members = []  # type: ignore[attr-defined]
        except (tarfile.TarError, ValueError, OverflowError, UnicodeError, EOFError) as error:
            raise StrangeError(str(error)[:200] or "not a tar") from None
        except OSError as error:
            raise files.explain(error, into) from error
    return count


def _place(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    into: Path,
    aside: Path,
    expected: Callable[[PurePosixPath], bool],
) -> None:
    tarfile.data_filter(member, str(into))  # raises for what leads out, links and devices
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not parts and member.isdir():
        return
    name = PurePosixPath(*parts) if parts else PurePosixPath(".")
    if member.name.startswith("/") or not parts or ".." in parts or len(os.fsencode(member.name)) > LONGEST:
        raise StrangeError(f"a name that can't be used: {member.name[:100]!r}")
    if not expected(name):
        raise StrangeError(f"a file that was not asked for: {member.name[:100]!r}")
    if member.isdir():
        folder(into, name)
        return
    if not member.isreg() or member.issparse():
        raise StrangeError(f"neither file nor folder: {member.name[:100]!r}")
    content = tar.extractfile(member)
    assert content is not None
    put(content, into, name, aside, float(member.mtime), bool(member.mode & 0o100))


class _File(io.RawIOBase):
    """A stream as a file that `tarfile` can read."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        return self._stream.read(count)
