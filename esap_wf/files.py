"""
Files that are whole or absent, and documents with a schema version. Standard library and msgspec only.

A name that a reader may open always leads to complete content, on local and on network file systems: content
goes to a temporary name in the same folder and gets its name by one `rename` or one `link`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from esap_wf.errors import EsapError, NotFoundError, Problem, RefusedError, UsageError
from esap_wf.formats.reading import LIMIT, read_bytes, real

T = TypeVar("T", bound=msgspec.Struct)

#: (document, version) to what turns that version, as a dict, into the next one.
Migration = Callable[[dict[str, Any]], dict[str, Any]]
migrations: dict[tuple[str, int], Migration] = {}

#: What decoding a broken document ends in: no JSON or another form, no UTF-8, nested too deeply.
BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: What programs print when the disk or the quota is full.
NO_SPACE = re.compile(r"No space left on device|Errno 28|Disk quota exceeded")
#: What the system says then.
NO_SPACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
#: Lustre without ``-o flock``, NFS without lockd.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,199}")


class NoSpaceError(RefusedError):
    """
    The disk or the quota is full: its own class, because a writer with a reserve can do something about it.
    """

    code = "no-space"


def explain(error: OSError, path: Path) -> EsapError:
    """
    What a failed write means to a person.

    Parameters
    ----------
    error : OSError
        What the system said.
    path : Path
        What was to be written.

    Returns
    -------
    EsapError
        To be raised ``from error``.
    """
    where = str(path)
    if error.errno == errno.ENOSPC:
        return NoSpaceError(
            f"no space left to write {where}",
            [Problem(where, "the disk is full", "free some space: `esap-wf rm RUN`")],
        )
    if error.errno == errno.EDQUOT:
        return NoSpaceError(
            f"the quota is used up; cannot write {where}",
            [Problem(where, "quota exceeded", "free space or ask for more")],
        )
    if error.errno == errno.EROFS:
        return RefusedError(
            f"cannot write {where}",
            [
                Problem(
                    where,
                    "the file system is read-only",
                    "choose another store: --store DIR or ESAP_WF_STORE",
                )
            ],
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return RefusedError(
            f"cannot write {where}",
            [
                Problem(
                    where, "permission denied", "ask the owner of the store, or choose another: --store DIR"
                )
            ],
        )
    if error.errno == errno.ENOENT:
        return NotFoundError(f"cannot write {where}", [Problem(where, "its folder does not exist")])
    return RefusedError(
        f"cannot write {where}", [Problem(where, os.strerror(error.errno) if error.errno else str(error))]
    )


def clock(folder: Path) -> float:
    """
    The time by the clock of a folder's file system, in seconds since 1970: a file server has one of its own,
    and times of files compare with that only.

    Raises
    ------
    OSError
        Nothing can be written there.
    """
    probe = folder / f".clock.{os.urandom(6).hex()}"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    import shutil

    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut, where the file system allows to."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:  # some network and FUSE file systems refuse this on folders
        pass
    finally:
        os.close(fd)


def _write_temporary(path: Path, data: bytes, mode: int | None, sync: bool) -> Path:
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            if mode is not None:
                os.fchmod(fd, mode)  # the umask of one member must not lock the others out of a shared store
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def write_atomic(path: Path, data: bytes, *, mode: int | None = None, sync: bool = True) -> None:
    """
    Write or replace a file: readers see the old or the new content, nothing between.

    Parameters
    ----------
    path : Path
        Target; its folder exists.
    data : bytes
        All of the content.
    mode : int, optional
        Permissions independent of the umask; by default the umask decides.
    sync : bool
        Survive a power cut. False for what is rewritten every few seconds anyway.

    Raises
    ------
    RefusedError
        Full, read-only, not permitted: says the path and what to do.
    """
    try:
        temporary = _write_temporary(path, data, mode, sync)
        try:
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise explain(error, path) from error
    if sync:
        sync_folder(path.parent)


def create_exclusive(path: Path, data: bytes, *, mode: int | None = None) -> bool:
    """
    Create a file if it does not exist: of all that try at once, one gets True, and no reader ever sees half
    of it.

    Parameters
    ----------
    path : Path
        Target; its folder exists.
    data : bytes
        All of the content.
    mode : int, optional
        Permissions independent of the umask.

    Returns
    -------
    bool
        Whether this call created it.
    """
    try:
        temporary = _write_temporary(path, data, mode, sync=True)
        try:
            created = _link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if created is None:
            created = _create_without_links(path, data, mode)
    except OSError as error:
        raise explain(error, path) from error
    if created:
        sync_folder(path.parent)
    return created


def _link(temporary: Path, path: Path) -> bool | None:
    """Whether the link was made; None where the file system has no links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # an NFS client that repeats a request whose answer was lost is told EEXIST about its own link
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno in _NO_LINKS:
            return None
        raise
    return True


def _create_without_links(path: Path, data: bytes, mode: int | None) -> bool:
    """
    Still one winner, but a reader may meet a moment of half a file; who reads a claim tries again.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        if mode is not None:
            os.fchmod(fd, mode)
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _lock(fd: int) -> bool:
    """
    Lock a file where its file system can; on NFS this also makes the client look at the true end of the file.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False  # O_APPEND alone keeps lines apart, and readers skip a torn one
    return True


def append_line(path: Path, line: bytes, *, mode: int | None = None, sync: bool = False) -> None:
    """
    Append one line (or several) in one write, or nothing. After a torn last line it starts a new one: the
    damage stays at one line.

    Parameters
    ----------
    path : Path
        File of lines; created if missing.
    line : bytes
        With or without the newline at its end.
    mode : int, optional
        Permissions of a new file, independent of the umask.
    sync : bool
        Survive a power cut.
    """
    if not line.endswith(b"\n"):
        line += b"\n"
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            locked = _lock(fd)
            about = os.fstat(fd)
            if about.st_size == 0 and mode is not None and about.st_uid == os.geteuid():
                os.fchmod(fd, mode)
            if about.st_size and os.pread(fd, 1, about.st_size - 1) != b"\n":
                line = b"\n" + line
            try:
                view = memoryview(line)
                while view:
                    view = view[os.write(fd, view) :]
            except OSError:
                if locked:
                    # all or nothing: whoever tries again must not repeat what fitted
                    os.ftruncate(fd, about.st_size)
                raise
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise explain(error, path) from error


@lru_cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


@lru_cache
def _known_version(kind: type[msgspec.Struct]) -> int | None:
    for field in msgspec.structs.fields(kind):
        if field.name == "schema_version":
            return int(field.default)
    return None


def read_json(path: Path, kind: type[T], *, limit: int = LIMIT) -> T:
    """
    Read a stored document.

    Fields that this program does not know are ignored: another version of the same schema, in a shared store,
    may say more (`esap_wf.models.Model`). What users write is read by `esap_wf.formats.schemas.convert`,
    which refuses them.

    Parameters
    ----------
    path : Path
        Where it is.
    kind : type of msgspec.Struct
        What it should be; the default of its `schema_version` is the version that this program knows.
    limit : int
        Largest accepted size in bytes.

    Returns
    -------
    Struct
        In the present version, older ones went through `migrations`.

    Raises
    ------
    NotFoundError
        There is no such file.
    UsageError
        Broken, or written by a newer esap-wf.
    """
    data = read_bytes(path, limit=limit)
    known = _known_version(kind)
    try:
        document: T = _decoder(kind).decode(data)
        if known is None or getattr(document, "schema_version", None) == known:
            return document
    except BROKEN as error:
        if known is None:
            raise _broken(path, error) from error
    return _read_other_version(path, kind, data, known)


def _broken(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} is broken",
        [Problem(str(path), str(error), "restore it from a backup, or run the workflow again")],
    )


def _read_other_version(path: Path, kind: type[T], data: bytes, known: int) -> T:
    try:
        document = msgspec.json.decode(data, type=dict[str, Any])
    except BROKEN as error:
        raise _broken(path, error) from error
    version = document.get("schema_version", known)
    if not isinstance(version, int) or isinstance(version, bool):
        raise _broken(path, ValueError("schema_version is not a number"))
    if version > known:
        raise UsageError(
            f"{path} was written by a newer esap-wf",
            [
                Problem(
                    str(path),
                    f"written by a newer esap-wf (version {version}, this one reads up to {known})",
                    "upgrade esap-wf",
                )
            ],
        )
    while version < known:
        step = migrations.get((kind.__name__, version))
        if step is None:
            raise UsageError(
                f"{path} is too old",
                [Problem(str(path), f"no migration of {kind.__name__} from version {version}")],
            )
        document = step(document)
        version += 1
        document["schema_version"] = version
    try:
        return msgspec.convert(document, kind)
    except BROKEN as error:
        raise _broken(path, error) from error


def safe_name(text: str) -> str:
    """The text, if it may become one part of a path; UsageError otherwise."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} cannot be a file name",
            [Problem(repr(text), "only letters, digits and _ . = + - are allowed")],
        )
    return text


def inside(root: Path, path: Path | str) -> Path:
    """
    The path below a root, symbolic links resolved; UsageError when it leads out.

    Parameters
    ----------
    root : Path
        What must not be left.
    path : Path or str
        Relative to the root, or absolute.
    """
    base = root.resolve()
    target = real(base / path)
    if not target.is_relative_to(base):
        raise UsageError(f"{path} leads out of {root}", [Problem(str(path), "only paths inside are allowed")])
    return target
