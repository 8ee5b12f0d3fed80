"""Which files of somebody's folder or repository a pipeline may read: these are snapshotted.

A file may be left out only if nothing can read it: what is left out changes no run and no identity.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from esap_wf.code import mentions, repositories
from esap_wf.code.mentions import hidden, text_of
from esap_wf.code.repositories import Seen
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading

#: Of a repository; a folder of a workflow that has a manifest has its own limit (`digests.MAX_CODE_FILES`).
MAX_FILES, MAX_BYTES = 10_000, 2_000_000_000
_LFS = b"version https://git-lfs.github.com/spec/v1\n"
#: The beginning of a saved plan: that of a run is no part of its own code.
_PLAN = re.compile(rb'\{\s*("schema_version":\s*\d+,\s*)?"created":\s*"[^"]*",\s*"expires":')


@dataclass(frozen=True)
class Chosen:
    """Files and links of a repository that a run may read, and warnings about the others."""

    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def choose(folder: Path, named: Collection[str] = ()) -> Chosen:
    """
    What of somebody's folder or repository is snapshotted.

    Parameters
    ----------
    folder : Path
        Its top.
    named : collection of str
        What the pipeline itself names, relative to it: that is taken even if git ignores it.

    Raises
    ------
    UsageError
        There is too much in it, or what the pipeline names leads out of it.
    """
    seen = repositories.look(folder)
    if seen.many:
        raise too_large(folder, f"more than {repositories.MAX_SEEN} files")
    return _Choice(folder, seen, named).made()


class _Choice:
    """One look at a folder."""

    def __init__(self, folder: Path, seen: Seen, named: Collection[str]) -> None:
        self.folder, self.seen = folder, seen
        self.root = folder.resolve()
        self.warnings: list[str] = []
        self.named = {n for name in named for real in _unlinked(self.root, name) for n in below(folder, real)}
        self.names = {*seen.names, *self.named}

    def made(self) -> Chosen:
        """What is taken: all that is somebody's, without what counts only if it is named, and isn't."""
        taken = {n for n in self.names if not self._own(n)}
        unsure = {n for n in taken - self.named if self._counts_if_named(n)}
        taken -= unsure
        taken |= self._mentioned(taken, unsure)
        taken = self._linked(taken)
        taken = {n for n in taken if self._readable(n)}
        self._warn(taken, unsure - taken)
        self._confirm_small(taken)
        return Chosen(tuple(sorted(taken)), tuple(self.warnings))

    def _own(self, name: str) -> bool:
        """Whether something is esap-wf's own: a store of runs in the folder, a saved plan."""
        for parent in _parents(name):
            if (self.folder / parent / "store.json").is_file() and (self.folder / parent / "claims").is_dir():
                return True
        if name.endswith(".json") and not self.seen.names.get(name):
            return _PLAN.match(_head(self.folder / name, 200)) is not None
        return False

    def _counts_if_named(self, name: str) -> bool:
        """
        Whether a file counts only if the pipeline names it: what is for people, and what is hidden and not in
        git.
        """
        if mentions.is_for_people(name):
            return True
        return hidden(name) is not None and not self.seen.names.get(name)

    def _mentioned(self, taken: set[str], unsure: set[str]) -> set[str]:
        """Those of `unsure` that some text in the others may mean; what is found may name more."""
        found: set[str] = set()
        left, new = set(unsure), set(taken)
        free = False  # whether something lists folders, so that any name may be meant
        while left and new:
            words = {n: mentions.words_of(n) for n in left}
            missing = {w for several in words.values() for w in several}
            met: set[str] = set()
            for name in sorted(n for n in new if not self._is_manifest(n)):
                text = text_of(self.folder / name)
                free = free or mentions.lists_folders(text)
                met |= {w for w in missing if mentions.names(text, w)}
                missing -= met
                if not missing or (free and all(self._is_open(n) for n in left)):
                    break
            # names that are read out of a folder: all that git has, or that are there for all to see
            new = {
                n
                for n, several in words.items()
                if not met.isdisjoint(several) or (free and self._is_open(n))
            }
            found |= new
            left -= new
        return found

    def _is_open(self, name: str) -> bool:
        """Whether a file is seen by who lists a folder, and no secret: in git, or not hidden."""
        return bool(self.seen.names.get(name)) or hidden(name) is None

    def _is_manifest(self, name: str) -> bool:
        """Whether a file is what esap-wf itself reads beside a pipeline: its patterns are of results."""
        end = name.rsplit("/", 1)[-1]
        return end.endswith("params.schema.json") or (
            end.endswith("workflow.yaml") and "schema_version:" in text_of(self.folder / name)
        )

    def _linked(self, taken: set[str]) -> set[str]:
        """
        With what links among them lead to; a link out of the folder is refused if the pipeline names it, else
        left out.
        """
        done, queue = set(taken), sorted(taken)
        while queue:
            name = queue.pop()
            path = self.folder / name
            if not path.is_symlink():
                continue
            target = Path(os.path.realpath(path))
            if target.is_relative_to(self.root):
                more = set(below(self.root, target.relative_to(self.root).as_posix())) - done
                more = more if not self._lies_around(target) else set()
            elif os.path.lexists(target):
                done.discard(name)
                self._leads_out(name, target, taken)
                continue
            else:
                continue  # to nothing: it is kept as it is, as in a clone
            done |= more
            queue += sorted(more)
        return done

    def _lies_around(self, target: Path) -> bool:
        """
        Whether a link leads to a folder that holds much else: then what is taken of that is decided
        elsewhere.
        """
        relative = target.relative_to(self.root).as_posix()
        return relative == "." or any(n.startswith(f"{relative}/") for n in self.seen.names)

    def _leads_out(self, name: str, target: Path, taken: set[str]) -> None:
        word = re.compile(rf"(?<![\w.-]){re.escape(Path(name).name.lower())}(?![\w-])")
        where = next((n for n in sorted(taken) if n != name and word.search(text_of(self.folder / n))), None)
        if where:
            hint = "give what it points to as an input, or copy it into the repository"
            what = f"is a link that leads out of the repository, to {target}, and {where} names it"
            raise UsageError(
                "a pipeline reaches outside its repository", [Problem(str(self.folder / name), what, hint)]
            )
        self.warnings.append(
            f"{name} is a link that leads out of the repository, so it is not part of the snapshot"
        )

    def _readable(self, name: str) -> bool:
        """Whether a file can be copied; a warning says why not."""
        path = self.folder / name
        if not name.isprintable():
            self.warnings.append(
                f"{name!a} has a name that can't be used in a command or a report, so it is not part of the "
                "snapshot"
            )
            return False
        if path.is_symlink():
            return True
        if not path.is_file():
            return False
        if not os.access(path, os.R_OK):
            self.warnings.append(f"{name} can't be read, so it is not part of the snapshot")
            return False
        return True

    def _warn(self, taken: set[str], left_out: set[str]) -> None:
        """Warn of what is missing in the snapshot."""
        if absent := self.seen.absent:
            self.warnings.append(
                f"{_few(absent)} is a submodule that has not been fetched: git submodule update --init "
                "--recursive"
            )
        secret = sorted({h for n in left_out if not mentions.is_for_people(n) and (h := hidden(n))})
        if secret:
            self.warnings.append(
                f"hidden files that no other file names are not part of the snapshot: {_few(secret)}"
            )
        pointers = [n for n in sorted(taken) if is_pointer(self.folder / n)]
        if pointers:
            self.warnings.append(
                f"{_few(pointers)}: Git LFS pointers without their content: git lfs pull fetches it"
            )

    def _confirm_small(self, taken: set[str]) -> None:
        if len(taken) > MAX_FILES:
            raise too_large(self.folder, f"it has {len(taken)} files; a snapshot has at most {MAX_FILES}")
        size = sum(os.lstat(self.folder / n).st_size for n in taken)
        if size > MAX_BYTES:
            largest = sorted(taken, key=lambda n: -os.lstat(self.folder / n).st_size)[:3]
            raise too_large(
                self.folder,
                (
                    f"{size // 1_000_000} MB, the largest are {_few(largest)}; a snapshot has at most "
                    f"{MAX_BYTES // 1_000_000} MB"
                ),
            )


def too_large(folder: Path, what: str) -> UsageError:
    """What is raised of a folder that no snapshot can hold."""
    hint = (
        "give data as an input (and list it in .gitignore), or put the pipeline into a repository of its own"
    )
    return UsageError("the repository is too large for a snapshot", [Problem(str(folder), what, hint)])


def is_pointer(path: Path) -> bool:
    """Whether a file is only Git LFS's word for a content that was not fetched."""
    try:
        return path.is_file() and path.stat().st_size < 1024 and _head(path, len(_LFS)) == _LFS
    except OSError:
        return False


def _head(path: Path, size: int) -> bytes:
    try:
        with reading.opened(path) as f:
            return f.read(size)
    except OSError:
        return b""


def below(folder: Path, name: str) -> Iterator[str]:
    """Files and links at or below a name, without what tools leave."""
    path = folder / name
    if path.is_symlink() or path.is_file():
        yield name
    elif path.is_dir():
        for inner in repositories.look(path).names if name != "." else ():
            yield f"{name}/{inner}"


def _unlinked(root: Path, name: str) -> Iterator[str]:
    """A name without links among its folders, and those links."""
    for _ in range(20):
        parts = PurePosixPath(name).parts
        at = next((i for i in range(1, len(parts)) if root.joinpath(*parts[:i]).is_symlink()), None)
        if at is None:
            yield name
            return
        yield "/".join(parts[:at])
        target = Path(os.path.realpath(root.joinpath(*parts[:at])))
        if not target.is_relative_to(root):
            return
        name = target.relative_to(root).joinpath(*parts[at:]).as_posix()


def _parents(name: str) -> Iterator[str]:
    return (name[: m.start()] for m in re.finditer("/", name))


def _few(names: Collection[str]) -> str:
    return ", ".join(list(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
