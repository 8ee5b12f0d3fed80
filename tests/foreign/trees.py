"""What lies in a folder: names, kinds, bytes and links, as data that can be kept and compared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

#: Bytes of a text that are kept, so that a difference can be read.
SHOWN = 300
#: Caches of git and Python, which no engine makes.
NEVER = (".git", "__pycache__")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One name. What a link leads to counts as being there; `link` says how one gets to it."""

    #: file, folder, lost (a link to nothing), other (a pipe, a socket)
    kind: str
    #: None, link (it is one), below (it lies in a folder that is one)
    link: str | None = None
    bytes: int = 0
    sha256: str = ""
    executable: bool = False
    text: str = ""

    def __str__(self) -> str:
        way = {"link": "a link to a ", "below": "behind a link, a "}.get(self.link or "", "a ")
        size = f" of {self.bytes} bytes" if self.kind == "file" else ""
        return f"{way}{self.kind}{size}" + (f" {self.text!r}" if self.text else "")

    @property
    def content(self) -> tuple[str, str]:
        """What a reader gets, whatever way leads there."""
        return self.kind, self.sha256


Tree = dict[str, Entry]


def tree(folder: Path, left_out: tuple[str, ...] = ()) -> Tree:
    """
    Everything below a folder by its relative name; links are followed.

    Parameters
    ----------
    folder : Path
    left_out : tuple of str
        Names, or patterns of names, that are not looked at wherever they stand.
    """
    return dict(_below(folder, "", None, (*NEVER, *left_out), (os.path.realpath(folder),)))


def _below(
    folder: Path, prefix: str, link: str | None, left_out: tuple[str, ...], above: tuple[str, ...]
) -> Iterator[tuple[str, Entry]]:
    for item in sorted(os.scandir(folder), key=lambda e: e.name):
        if any(fnmatchcase(item.name, pattern) for pattern in left_out):
            continue
        name, way = f"{prefix}{item.name}", "link" if item.is_symlink() else link and "below"
        if item.is_dir():
            yield name, Entry(kind="folder", link=way)
            place = os.path.realpath(item.path)
            if place not in above:
                yield from _below(Path(item.path), f"{name}/", way, left_out, (*above, place))
        else:
            yield name, entry(Path(item.path), way)


def entry(path: Path, link: str | None = None) -> Entry:
    """One file, or what stands in its place."""
    if not path.exists():
        return Entry(kind="lost", link="link", text=str(path.readlink())[:SHOWN] if path.is_symlink() else "")
    if path.is_dir():
        return Entry(kind="folder", link=link)
    if not path.is_file():
        return Entry(kind="other", link=link)
    content = path.read_bytes()
    shown = content[:SHOWN].decode("utf-8", "replace") if len(content) <= SHOWN else ""
    return Entry(
        kind="file",
        link=link,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        executable=os.access(path, os.X_OK),
        text=shown,
    )


def appeared(before: Tree, after: Tree) -> Tree:
    """What is new, or has another content."""
    return {
        name: entry
        for name, entry in after.items()
        if name not in before or before[name].content != entry.content
    }


def results(found: Tree) -> Tree:
    """Files, and folders with nothing in them: all that a reader can miss."""
    filled = {name.rpartition("/")[0] for name in found}
    return {name: entry for name, entry in found.items() if entry.kind != "folder" or name not in filled}


def below(found: Tree, folder: str) -> Tree:
    """Names relative to a sub-folder; what lies elsewhere is left away."""
    folder = folder.strip("/").removeprefix("./")
    if folder in ("", "."):
        return found
    return {
        name.removeprefix(f"{folder}/"): entry
        for name, entry in found.items()
        if name.startswith(f"{folder}/")
    }


def matching(found: Tree, patterns: list[str]) -> Tree:
    """Those of which a pattern speaks; ``*`` goes over slashes, too."""
    return {name: entry for name, entry in found.items() if any(fnmatchcase(name, p) for p in patterns)}


def digest(found: Tree) -> str:
    """One for all names, kinds, contents and rights."""
    lines = (
        f"{n}\0{e.kind}\0{e.link}\0{e.executable}\0{e.sha256 or e.text}\n" for n, e in sorted(found.items())
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
