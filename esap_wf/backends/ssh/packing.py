"""What is sent for a piece: its folder as a tar that is written while it is sent, with what starts it."""

from __future__ import annotations

import io
import os
import re
import shlex
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from esap_wf.backends.launcher import Piece
from esap_wf.backends.ssh.channel import Sink
from esap_wf.software.packed import MENTION

#: Files at the top of a folder in which a packed environment may be named.
SCRIPTS = ("piece.sh", "command.sh")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Item:
    """
    One name of a bundle.

    Parameters
    ----------
    name : str
        Relative to the folder.
    path : Path
        What is read.
    link : str
        Where a symbolic link leads; empty if it is none.
    """

    name: str
    path: Path
    link: str = ""


def items(folder: Path, shared: Sequence[str]) -> Iterator[Item]:
    """
    All that is sent of a folder. A link that leads out of it stands for what it leads to, unless that is seen
    there, too; one that leads nowhere, and what is neither file nor folder, is left out.
    """
    root = Path(os.path.realpath(folder))
    yield from _below(root, "", root, shared, (str(root),))


def _below(
    folder: Path, prefix: str, root: Path, shared: Sequence[str], above: tuple[str, ...]
) -> Iterator[Item]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        name, path = f"{prefix}{entry.name}", Path(entry.path)
        real = Path(os.path.realpath(path))
        if entry.is_symlink() and real.exists():
            if any(real.is_relative_to(one) for one in shared):
                yield Item(name, path, str(real))
                continue
            if path.parent.is_relative_to(root) and real.is_relative_to(root):
                yield Item(name, path, os.path.relpath(real, path.parent))
                continue
        if real.is_dir():
            if str(real) not in above:  # else a circle
                yield Item(name, real)
                yield from _below(real, f"{name}/", root, shared, (*above, str(real)))
        elif real.is_file():
            yield Item(name, real)


def size(found: Sequence[Item]) -> int:
    """Bytes of all files."""
    return sum(item.path.stat().st_size for item in found if not item.link and item.path.is_file())


def environments(piece: Piece) -> set[str]:
    """Digests of the packed environments that a piece names."""
    return {d for text in (*_scripts(piece), *piece.command) for d in MENTION.findall(text)}


def _scripts(piece: Piece) -> Iterator[str]:
    for name in SCRIPTS:
        path = piece.folder / name
        if path.is_file():
            yield path.read_text("utf-8", errors="surrogateescape")


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

    def placed(text: str) -> str:
        return MENTION.sub(lambda m: f"{there}/{m[1]}", text)

    with tarfile.open(fileobj=_Stream(sink), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_info("run", tarfile.DIRTYPE, 0o755))
        for item in found:
            _add(tar, item, placed)
        variables = {n: placed(v) for n, v in piece.environment.items()} | {"ESAP_WF_PIECE": piece.key}
        command = " ".join(shlex.quote(placed(word)) for word in piece.command)
        _text(tar, "start.sh", f"{_exports(variables)}set -- {command}\n")
        if secrets:
            _text(tar, "secrets.sh", _exports(secrets))
        _text(tar, "whole", "")


def _exports(variables: Mapping[str, str]) -> str:
    assert all(_VARIABLE.fullmatch(name) for name in variables), sorted(variables)
    return "".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables.items())


def _add(tar: tarfile.TarFile, item: Item, placed: object) -> None:
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
    if item.name in SCRIPTS and callable(placed):
        text = placed(item.path.read_text("utf-8", errors="surrogateescape"))
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
