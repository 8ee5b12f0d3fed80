"""Reading what others made: whether it is a file is looked at before a byte of it is read, and no more of it
than a limit. Light.

A name in a foreign folder may lead to a pipe that nobody writes to, to a device that never ends, or to a
folder. Whoever waits for one of them is deaf to everything else; so nothing that a user or a workflow names
is opened in another way than by this module.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError

#: Largest document that is read; a state with 10 000 remembered failures stays below 2 MB.
LIMIT = 64 * 1024 * 1024
#: Longest line of a table.
MAX_LINE = 4 * 1024 * 1024
_FIRST = 65_536


class NotAFileError(OSError):
    """
    A name leads to a folder, a pipe or a device. Unlike every other `OSError` it has no number: it says
    itself what it is.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(what)
        self.filename = str(path)

    def __str__(self) -> str:
        return str(self.args[0])


def real(path: Path) -> Path:
    """
    Where a name leads, through all links. A circle of links leads to itself; `Path.resolve` ends in a crash
    there.
    """
    return Path(os.path.realpath(path))


def _descriptor(path: Path) -> int:
    try:
        # a pipe without a writer would block already here
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a NUL
        raise NotAFileError(path, str(error)) from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise NotAFileError(
            path, "is a folder, not a file" if stat.S_ISDIR(mode) else "is a pipe or a device, not a file"
        )
    return fd


def opened(path: Path) -> io.BufferedReader:
    """
    A regular file, to be read; never waits for one.

    Raises
    ------
    OSError
        It is missing, may not be read, or is something else: `NotAFileError`.
    """
    return os.fdopen(_descriptor(path), "rb")


def read_bytes(path: Path, *, limit: int = LIMIT) -> bytes:
    """
    All of a file; errors say what is missing, too large or not permitted.

    Raises
    ------
    NotFoundError, RefusedError, UsageError
        It is missing, may not be read, is something else, or holds more than `limit` bytes.
    """
    where = str(path)
    try:
        fd = _descriptor(path)
        try:
            # the usual small document is few system calls; a buffered reader costs more than decoding does
            data = os.read(fd, min(limit + 1, _FIRST))
            if len(data) == _FIRST:
                with os.fdopen(fd, "rb", closefd=False) as file:
                    data += file.read(max(0, limit + 1 - len(data)))
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{where} does not exist", [Problem(where, "there is no such file")]) from error
    except PermissionError as error:
        raise RefusedError(
            f"cannot read {where}", [Problem(where, "permission denied", "ask its owner")]
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read {where}", [Problem(where, error.strerror or str(error))]) from error
    if len(data) > limit:
        raise UsageError(
            f"{where} is too large",
            [Problem(where, f"at most {limit} bytes are read", "give large tables as inputs")],
        )
    return data


def read_text(path: Path, *, limit: int = LIMIT, strict: bool = True) -> str:
    """
    All of a text file, without a byte order mark.

    Parameters
    ----------
    path : Path
    limit : int
        Bytes.
    strict : bool
        False: what is not UTF-8 is replaced, not refused.

    Raises
    ------
    NotFoundError, RefusedError, UsageError
        See `read_bytes`; or it is not UTF-8.
    """
    data = read_bytes(path, limit=limit)
    try:
        return data.decode("utf-8-sig", "strict" if strict else "replace")
    except UnicodeDecodeError as error:
        what = f"not UTF-8: {error.reason} at byte {error.start}"
        raise UsageError(f"{path} is not text", [Problem(str(path), what)]) from None


def tail(path: Path, length: int, begin: int = 0) -> str:
    """
    The end of a log as text; nothing if it is missing, or can't be read. What is not UTF-8 is replaced.

    Parameters
    ----------
    path : Path
    length : int
        Bytes that are read at most.
    begin : int
        Nothing before this byte.
    """
    try:
        with opened(path) as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - length))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def lines(path: Path) -> Iterator[str]:
    """
    Lines of a text file of any length, one at a time, with their ends.

    Raises
    ------
    OSError
        See `opened`.
    ValueError
        A line is longer than `MAX_LINE`, or not UTF-8.
    """
    with io.TextIOWrapper(opened(path), encoding="utf-8-sig", newline="") as file:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise ValueError(f"a line is longer than {MAX_LINE} characters")
            yield line


def json_value(text: str | bytes) -> Any:
    """
    A JSON text's value.

    Raises
    ------
    ValueError
        It is none, is nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
