"""A piece's folder as a tar that is written while it is sent, with what starts it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Mapping, Sequence

from esap_wf.backends.bundles import SCRIPTS, Item, exports, placed, start
from esap_wf.backends.launcher import Piece
from esap_wf.backends.ssh.channel import Sink


def send(sink: Sink, piece: Piece, found: Sequence[Item], secrets: Mapping[str, str], there: str) -> None:
    """
    Write the tar: ``run/`` is the folder, ``start.sh`` sets variables and the command, ``whole`` is the end.

    Parameters
    ----------
    sink : Sink
    piece : Piece
    found : sequence of Item
    secrets : mapping
        Their values; they are read there from ``secrets.sh`` (0600), which is removed before the command
        begins.
    there : str
        Absolute path of the packed environments there.
    """

    def put(text: str) -> str:
        return placed(text, there)

    with tarfile.open(fileobj=_Stream(sink), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_info("run", tarfile.DIRTYPE, 0o755))
        for item in found:
            _add(tar, item, put)
        _text(tar, "start.sh", start(piece, there))
        if secrets:
            _text(tar, "secrets.sh", exports(secrets))
        _text(tar, "whole", "")


def _add(tar: tarfile.TarFile, item: Item, put: Callable[[str], str]) -> None:
    name = f"run/{item.name}"
    if item.link:
        info = _info(name, tarfile.SYMTYPE, 0o777)
        info.linkname = item.link
        tar.addfile(info)
        return
    about = item.path.stat()
    if stat.S_ISDIR(about.st_mode):
        # what is written below it may be more than it has now
        tar.addfile(_info(name, tarfile.DIRTYPE, 0o755, about.st_mtime))
        return
    mode = 0o755 if about.st_mode & 0o111 else 0o644
    if item.name in SCRIPTS:
        text = put(item.path.read_text("utf-8", errors="surrogateescape"))
        _text(tar, name, text, mode, about.st_mtime)
        return
    with item.path.open("rb") as file:
        info = _info(name, tarfile.REGTYPE, mode, about.st_mtime)
        info.size = os.fstat(file.fileno()).st_size
        tar.addfile(info, file)


def _text(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o600, when: float = 0) -> None:
    data = text.encode("utf-8", errors="surrogateescape")
    info = _info(name, tarfile.REGTYPE, mode, when)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _info(name: str, kind: bytes, mode: int, when: float = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, when
    return info


class _Stream(io.RawIOBase):
    """A sink as a file that `tarfile` can write."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._sink.write(bytes(data))  # type: ignore[call-overload]
