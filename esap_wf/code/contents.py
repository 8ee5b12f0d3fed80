"""The code of a workflow in a snapshot: its files, their digest, and how they are written."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from esap_wf.formats import digests


@dataclass(frozen=True)
class CodeFile:
    """A file, or a link that stays one (`link`: where it leads), and its name in the snapshot."""

    source: Path
    name: str
    link: str = ""


def kept(folder: Path, prefix: str, names: Iterable[str]) -> Iterator[CodeFile]:
    """Files of a repository in which links stay links; one that is absolute becomes relative."""
    root = folder.resolve()
    for name in names:
        path = folder / name
        link = ""
        if path.is_symlink():
            link = str(path.readlink())
            target = Path(os.path.normpath(link))
            if target.is_absolute() and target.is_relative_to(root):
                link = os.path.relpath(target, path.parent.resolve())
        yield CodeFile(path, f"{prefix}/{name}", link)


def contents(folder: Path, prefix: str, paths: Iterable[Path]) -> Iterator[CodeFile]:
    """Files of a folder, of which links are taken as what they lead to."""
    return (CodeFile(path, f"{prefix}/{path.relative_to(folder).as_posix()}") for path in paths)


def digest(files: Iterable[CodeFile], root: Path | None = None) -> str:
    """
    SHA-256 over name, executable bit and content, or over where a link leads; of a snapshot, if its `root` is
    given.
    """
    total = sha256()
    for file in files:
        path = root / file.name if root else file.source
        if file.link:
            total.update(
                f"{file.name}\0link\0{path.readlink() if root else file.link}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
        else:
            executable = bool(path.stat().st_mode & 0o100)
            total.update(f"{file.name}\0{executable:d}\0{digests.of_file(path)}\n".encode())
    return total.hexdigest()


def of_folders(folders: Mapping[str, Path]) -> str:
    """Digest of the code in folders of our own, each by its name in a snapshot."""
    return digest(
        f
        for prefix, folder in sorted(folders.items())
        for f in contents(folder, prefix, digests.code_files(folder))
    )


def write(files: Iterable[CodeFile], root: Path) -> None:
    """Write a snapshot: files read-only, folders writable until `close`."""
    for file in files:
        copy = root / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            copy.symlink_to(file.link)
        else:
            shutil.copyfile(file.source, copy)
            copy.chmod(0o555 if file.source.stat().st_mode & 0o100 else 0o444)


def close(root: Path) -> None:
    """
    Take the write bits of all folders below one away: a shared store's folders keep their group (setgid).
    """
    for base, folders, _ in os.walk(root):
        for name in folders:
            folder = Path(base, name)
            if not folder.is_symlink():
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o222)


def copy_tree(source: Path, target: Path) -> None:
    """A copy of a snapshot that the run may change: folders, files and links."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            copy = target / entry.name
            if entry.is_symlink():
                copy.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                copy_tree(Path(entry.path), copy)
            else:
                shutil.copyfile(entry.path, copy)
                copy.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)


def copy_content(source: Path, target: Path) -> None:
    """A copy of a file or folder of a snapshot that the run may change, with what links in it lead to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for inner in source.iterdir():
            # a circle has no end
            if not (inner.is_symlink() and source.resolve().is_relative_to(inner.resolve())):
                copy_content(inner, target / inner.name)
    elif source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
