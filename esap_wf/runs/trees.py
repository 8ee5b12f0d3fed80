"""What a run left in its directory: files, folders, and where links among them lead. Reads only.

A link may lead to anything in the run directory and to what the user gave the run; where others lead is
told, and they are not followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from esap_wf.models.plan import Plan

#: Names that engines, editors and file systems leave beside results.
_LEFT = re.compile(
    r"\.snakemake(_timestamp)?|\.nextflow(\.log(\.\d+)?)?|\.nfs[0-9a-f]+|\.ipynb_checkpoints|\.DS_Store|__pycache__"
)
#: Links elsewhere and other things that are told one by one.
SHOWN = 5


def given_to(plan: Plan) -> list[Path]:
    """What the user gave a run: links may lead there."""
    paths = [Path(p) for refs in plan.inputs.values() for ref in refs for p in (ref.path, *ref.beside) if p]
    return [p for p in paths if p.is_absolute()]


class Tree:
    """
    A run directory, looked at from where its results are.

    Parameters
    ----------
    run : Path
        Run directory.
    given : iterable of Path
        Absolute paths outside of it to which links may lead, and what is below them.
    beat : callable, optional
        Called at each folder; may raise to stop.

    Attributes
    ----------
    passed_over : list of str
        What was passed over, and why.
    """

    def __init__(
        self, run: Path, given: Iterable[Path] = (), beat: Callable[[], None] = lambda: None
    ) -> None:
        self.run, self.beat = run, beat
        self.passed_over: list[str] = []
        self._roots = [os.path.realpath(run), *(os.path.realpath(p) for p in given)]
        self._folders: dict[str, str] = {}

    def name(self, path: Path) -> str:
        """A path as it is recorded: relative to the run directory."""
        return path.relative_to(self.run).as_posix()

    def wrong_with(self, path: Path) -> str:
        """
        Why a path can't be a result, although it is there; empty if it can. Links are followed, those of its
        folders too.
        """
        name = self.name(path)
        try:
            name.encode()
        except UnicodeEncodeError:
            return f"{name!a} is not a name in UTF-8"
        if path.is_symlink():
            target = Path(os.path.realpath(path))
        else:
            folder = str(path.parent)
            if folder not in self._folders:  # there may be 10^5 files in one
                self._folders[folder] = os.path.realpath(folder)
            target = Path(self._folders[folder], path.name)
        if not any(target.is_relative_to(root) for root in self._roots):
            return f"{name} is a link that leads out of the run directory, to {target}"
        if not target.exists():
            return f"{name} is a link that points to nothing ({target})"
        if not target.is_dir() and not target.is_file():
            return f"{name} is neither a file nor a folder"
        if not os.access(target, os.R_OK) and not _can_be_read(target):
            return f"{name} can't be read: permission denied"
        return ""

    def pass_over(self, what: str) -> None:
        """Note once why something is passed over."""
        if what not in self.passed_over:
            self.passed_over.append(what)

    def below(self, folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> Iterator[Path]:
        """
        Files below a folder, and folders in it that hold nothing, in the order of their names; links to
        folders are entered.

        What is not `wanted` is neither entered nor told.
        """
        stack: list[tuple[Path, tuple[str, ...]]] = [(folder, (os.path.realpath(folder),))]
        while stack:
            path, above = stack.pop()
            if not path.is_dir():
                yield path
                continue
            inner = self._entries(path, wanted)
            if not inner and path != folder and _is_empty(path):
                yield path
            for entry in reversed(inner):
                target = os.path.realpath(entry) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
                if (
                    entry.is_symlink()
                    and entry.is_dir()
                    and any(a == target or a.startswith(f"{target}/") for a in above)
                ):
                    self.pass_over(f"{self.name(entry)} is a link to a folder that contains it")
                    continue
                stack.append((entry, (*above, target) if entry.is_dir() else above))

    def _entries(self, folder: Path, wanted: Callable[[Path], bool] = lambda _: True) -> list[Path]:
        """What can be a result in a folder, sorted."""
        self.beat()
        try:
            inner = sorted(folder.iterdir(), key=lambda p: p.name)
        except OSError as error:
            self.pass_over(f"{self.name(folder)} can't be read: {error.strerror}")
            return []
        found = []
        for path in inner:
            if _LEFT.fullmatch(path.name) or not wanted(path):
                continue
            if wrong := self.wrong_with(path):
                self.pass_over(wrong)
            else:
                found.append(path)
        return found

    def matching(self, pattern: str) -> list[Path]:
        """
        What a pattern means, sorted: ``*`` and ``?`` within a name, ``**`` for any number of folders; links
        to folders are entered.

        A pattern that ends with ``**/*`` means all files, and folders that hold nothing.
        """
        parts = PurePosixPath(pattern).parts
        everything = parts[-2:] == ("**", "*")
        found = [self.run]
        for part in parts[:-2] if everything else parts:
            found = [path for folder in found for path in self._step(folder, part)]
        if everything:
            found = [path for folder in found if folder.is_dir() for path in self.below(folder)]
        return sorted(set(found))

    def _step(self, folder: Path, part: str) -> Iterator[Path]:
        if part == "**":
            yield folder
            yield from (p for p in self._folders_below(folder))
        elif any(c in part for c in "*?["):
            yield from (
                p for p in (self._entries(folder) if folder.is_dir() else []) if fnmatchcase(p.name, part)
            )
        elif os.path.lexists(path := folder / part):
            yield path

    def _folders_below(self, folder: Path) -> Iterator[Path]:
        seen = {
            p
            for leaf in self.below(folder)
            for p in (leaf, *leaf.parents)
            if p.is_relative_to(folder) and p != folder
        }
        yield from sorted(p for p in seen if p.is_dir())


def _can_be_read(path: Path) -> bool:
    """
    Whether it really can: `os.access` asks for the real user without capabilities, and is wrong on some file
    servers.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _is_empty(folder: Path) -> bool:
    try:
        return all(_LEFT.fullmatch(p.name) for p in folder.iterdir())
    except OSError:
        return False
