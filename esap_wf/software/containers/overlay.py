"""Layers of an image, laid over each other in a folder.

A layer is foreign: whoever made it may have thought of the machine that unpacks it. So each name is followed
through the image's own links with the image as the root, as a container would; nothing outside of the folder
is read, made, changed or removed. What a member may be follows the data filter of ``tarfile``, whiteouts
follow the OCI image specification.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: Other names that begin so are an old storage driver's own.
_RESERVED = ".wh..wh."
#: Links that one name may lead through; Linux allows as many.
_MAX_LINKS = 40
_CHUNK = 1 << 20
#: A file system without hard links, or whose files have too many.
_NO_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def apply(files: tarfile.TarFile, target: Path, beat: Callable[[], None]) -> None:
    """
    Lay a layer over what is in a folder.

    Devices and pipes are left out; all belongs to whoever unpacks, who can read and delete it.

    Parameters
    ----------
    files : tarfile.TarFile
    target : Path
        A folder that nobody else writes into meanwhile.
    beat : callable
        Called for each member and each piece of a file; may raise.

    Raises
    ------
    ValueError
        A member leads out of the image, or can't be part of one.
    """
    layer = _Layer(target)
    for member in files:
        beat()
        parts = _parts(member.name, member.name)
        if not parts or (member.isdev() and not parts[-1].startswith(_WHITEOUT)):
            continue
        *above, name = parts
        if name.startswith(_WHITEOUT):
            layer.remove(layer.folder(above, make=False), name)
            continue
        path = layer.folder(above) / name
        layer.placed.update((path, *path.parents))
        if member.isdir():
            _make_folder(path, member.mode)
            continue
        _clear(path)
        if member.issym():
            if "\0" in member.linkname:
                raise ValueError(f"the link {member.name!r} contains a NUL")
            path.symlink_to(member.linkname)
        elif member.islnk():
            layer.link(member, path)
        else:
            _write(files, member, path, beat)


def share(target: Path, *folders: str) -> None:
    """
    Let everybody write into folders of an image, as far as it has them: a layer's modes don't say so any
    more.
    """
    for name in folders:
        path = _Layer(target).folder(_parts(name, name), make=False)
        if _is_folder(path):
            path.chmod(0o1777)


class _Layer:
    """
    Where members of one layer belong.

    Parameters
    ----------
    target : Path
        The root of the image.
    """

    def __init__(self, target: Path) -> None:
        self.root = target
        #: What this layer has: its own whiteouts are about those below it.
        self.placed: set[Path] = set()

    def folder(self, parts: list[str], make: bool = True) -> Path:
        """A folder of the image, through its links; `make` what is missing."""
        found, links, waiting = self.root, 0, list(reversed(parts))
        while waiting:
            part = waiting.pop()
            if part == "..":
                found = found if found == self.root else found.parent
                continue
            path = found / part
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                if make:
                    path.mkdir(mode=0o755)
                found = path
                continue
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MAX_LINKS:
                    raise ValueError(f"{'/'.join(parts)} leads in a circle")
                to = str(path.readlink())
                found = self.root if to.startswith("/") else found
                waiting += reversed([p for p in to.split("/") if p not in {"", "."}])
            elif stat.S_ISDIR(mode):
                found = path
            else:
                raise ValueError(f"{'/'.join(parts)} leads through a file")
        return found

    def link(self, member: tarfile.TarInfo, path: Path) -> None:
        """A second name of a file of the image; a link name is never one of this machine."""
        parts = _parts(member.linkname, member.name)
        source = self.folder(parts[:-1], make=False) / parts[-1] if parts else self.root
        try:
            mode = source.lstat().st_mode
        except OSError:
            raise ValueError(f"the link {member.name!r} leads to nothing") from None
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise ValueError(f"the link {member.name!r} leads to no file")
        try:
            os.link(source, path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copy2(source, path, follow_symlinks=False)

    def remove(self, folder: Path, whiteout: str) -> None:
        """What a whiteout takes away from the layers below; nothing that this layer has brought itself."""
        if whiteout == _OPAQUE:
            self._empty(folder)
            return
        if whiteout.startswith(_RESERVED):
            return
        name = whiteout.removeprefix(_WHITEOUT)
        if name in {"", ".", ".."}:
            raise ValueError(f"{whiteout!r} removes no file")
        if folder / name not in self.placed:
            _clear(folder / name)

    def _empty(self, folder: Path) -> None:
        for path in list(folder.iterdir()) if _is_folder(folder) else ():
            if path not in self.placed:
                _clear(path)
            elif _is_folder(path):
                self._empty(path)


def _parts(name: str, shown: str) -> list[str]:
    """Names below the root; leading slashes mean the image's own."""
    if "\0" in name:
        raise ValueError(f"{shown!r} contains a NUL")
    parts = [p for p in name.split("/") if p not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"{shown!r} leads out of the image")
    return parts


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _clear(path: Path) -> None:
    """Nothing of this name; a link goes, not what it leads to."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _make_folder(path: Path, mode: int) -> None:
    if not _is_folder(path):
        _clear(path)
        path.mkdir()
    path.chmod(mode & 0o755 | 0o700)


def _write(files: tarfile.TarFile, member: tarfile.TarInfo, path: Path, beat: Callable[[], None]) -> None:
    content = files.extractfile(member)
    if content is None:
        raise ValueError(f"{member.name!r} is neither a file, a folder nor a link")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        for piece in _pieces(content):
            beat()
            out.write(piece)
        out.flush()
        os.fchmod(fd, member.mode & 0o755 | 0o600)
        with contextlib.suppress(OSError, OverflowError, ValueError):  # a time that no file system can hold
            os.utime(fd, (member.mtime, member.mtime))


def _pieces(content: object) -> Iterator[bytes]:
    while piece := content.read(_CHUNK):  # type: ignore[attr-defined]
        yield piece
