"""Copies to the sandbox of a piece, and back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

#: Called with the number of files that were copied, and of those to copy; raises to break off.
Break = Callable[[int, int], None]
RECORD = ("engine", "logs")
SCRATCH = "work"


def send(folder: Path, sandbox: Path) -> None:
    """Copy a folder with its times; links that lead out of it become what they lead to."""
    _send(folder, sandbox, folder.resolve(), ())


def _send(source: Path, target: Path, root: Path, above: tuple[Path, ...]) -> None:
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_symlink() and _stays(entry, root):
            copy.symlink_to(entry.readlink())
        elif entry.is_dir():
            real = entry.resolve()
            if real in above:
                raise OSError(f"{entry} leads to a folder that it is in")
            _send(entry, copy, root, (*above, real))
        else:
            shutil.copy2(entry, copy)
    shutil.copystat(source, target)
    target.chmod(target.stat().st_mode | 0o700)


def _stays(link: Path, root: Path) -> bool:
    """Whether a link is relative and leads to something below the root."""
    return not link.readlink().is_absolute() and link.resolve().is_relative_to(root)


def listing(sandbox: Path) -> dict[str, list[int]]:
    """All that is in a folder: path → kind, size and time."""
    found = {}
    for path in sorted(sandbox.rglob("*")):
        there = path.lstat()
        is_folder = path.is_dir() and not path.is_symlink()
        found[str(path.relative_to(sandbox))] = (
            [there.st_mode >> 12] if is_folder else [there.st_mode >> 12, there.st_size, there.st_mtime_ns]
        )
    return found


def fetch(
    sandbox: Path,
    sent: Mapping[str, list[int]],
    into: Path,
    record: bool,
    wanted: Sequence[str],
    check: Break,
) -> None:
    """Copy what a piece has made, file by file; each is whole, or the one that was there before."""
    if record:
        chosen = set(_below(sandbox, RECORD))
    else:
        now = listing(sandbox)
        chosen = {
            name
            for name, kept in now.items()
            if sent.get(name) != kept and not name.startswith(f"{SCRATCH}/")
        } - {SCRATCH}
        chosen |= {
            name for link in chosen if (sandbox / link).is_symlink() for name in _below(sandbox, [link])
        }
    chosen |= set(_below(sandbox, wanted))
    into.mkdir(parents=True, exist_ok=True)
    files = sorted(chosen)
    for number, name in enumerate(files):
        check(number, len(files))
        _fetch(sandbox / name, into / name, into)


def _below(sandbox: Path, names: Sequence[str]) -> Iterator[str]:
    """Paths of files and folders, and of all that is in those; links to folders are followed, out of the sandbox none."""
    root = sandbox.resolve()
    for name in names:
        path = sandbox / name
        if ".." in Path(name).parts or not path.exists() or not path.resolve().is_relative_to(root):
            continue
        yield str(path.relative_to(sandbox))
        for above, folders, files in os.walk(path, followlinks=True):
            if Path(above).resolve() in [p.resolve() for p in Path(above).parents if p != sandbox.parent]:
                folders.clear()  # a circle
                continue
            yield from (os.path.relpath(Path(above) / n, sandbox) for n in (*folders, *files))


def _fetch(source: Path, target: Path, into: Path) -> None:
    if source.is_dir():
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            target.unlink()
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = into.parent / f".{into.name}.part"
    part.unlink(missing_ok=True)
    try:
        shutil.copy2(source, part)
    except FileNotFoundError:  # removed meanwhile, or a link to nothing
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    part.replace(target)
