"""
Repositories on this machine: where one begins, and what lies in it as git sees it. Reads only, and executes
nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which

#: What a shell that is inside of a repository, or a hook, sets for its own git.
OWN_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
    "GIT_TEMPLATE_DIR",
)
#: What engines, interpreters and tools leave; never part of a pipeline.
STATE = re.compile(
    r"\.git|\.snakemake|\.nextflow|\.nextflow\.log(\.\d+)?|\.venv|\.(mypy|ruff|pytest)_cache|\.ipynb_checkpoints|__pycache__|\.DS_Store"
    r"|\.nfs[0-9a-f]+|.*\.pyc|.*~"
)
#: Entries that are looked at in a folder without git, and seconds that git gets.
MAX_SEEN, SECONDS = 200_000, 60
#: A repository in the cache of commits: ``sources/<address>/<commit>/<name>``.
_KEPT = re.compile(r"(?P<top>.*/sources/[0-9a-f]{20}/[0-9a-f]{40}/[^/]+)(/.*)?")


@dataclass(frozen=True)
class Seen:
    """
    Files and links of a folder, relative to it.

    Parameters
    ----------
    names : dict of str to bool
        Name → whether git tracks it; a link is one name, whatever it leads to.
    absent : tuple of str
        Submodules that were not fetched.
    many : bool
        There are more than `MAX_SEEN`.
    """

    names: dict[str, bool]
    absent: tuple[str, ...] = ()
    many: bool = False


def is_kept(path: Path) -> bool:
    """Whether a path is in the cache of commits."""
    return _KEPT.fullmatch(str(path.absolute())) is not None


def top_of(path: Path) -> Path | None:
    """
    The repository that a path belongs to: git's work tree, or a commit in the cache.

    None if there is none, if git ignores the path there, or if the repository is somebody's home: then a
    folder is just a folder.
    """
    path = path.absolute()
    if kept := _KEPT.fullmatch(str(path)):
        return Path(kept["top"])
    top = next((p for p in (path, *path.parents) if (p / ".git").exists()), None)
    if top is None or (path != top and _ignored(top, path)):
        return None
    with contextlib.suppress(OSError, RuntimeError):
        home = Path.home()
        if path != top and any(p.samefile(top) for p in (home, *home.parents) if p.exists()):
            return None
    return top


def _ignored(top: Path, path: Path) -> bool:
    done = _git(top, "check-ignore", "--quiet", "--", str(path.relative_to(top)))
    return done is not None and done[0] == 0


def look(folder: Path) -> Seen:
    """
    What is in a folder: of a work tree what git tracks or does not ignore, of the cache all, else all but
    what tools leave.
    """
    tracked = is_kept(folder)
    own = not tracked and top_of(folder) is not None
    if own and (answer := _git(folder, *_LIST, "--cached")) and answer[0] == 0:
        return _listed(folder, answer[1])
    if (
        not tracked
        and (own or (folder / ".gitignore").is_file())
        and (left := _without_repository(folder)) is not None
    ):
        return _listed(folder, left)  # no repository, or one that belongs to another user, which git refuses
    names: dict[str, bool] = {}
    for name in _walked(folder):
        names[name] = tracked
        if len(names) > MAX_SEEN:
            return Seen(names, many=True)
    return Seen(names)


_LIST = ("ls-files", "-z", "-t", "--others", "--exclude-standard")


def _without_repository(folder: Path) -> bytes | None:
    """What .gitignore leaves of a folder that is in no repository."""
    with tempfile.TemporaryDirectory() as temporary:
        made = _git(Path(temporary), "init", "--quiet", "--bare", "--template=", ".")
        if made is None or made[0] != 0:
            return None
        answer = _git(folder, f"--git-dir={temporary}", f"--work-tree={folder}", *_LIST)
        return answer[1] if answer and answer[0] == 0 else None


def _listed(folder: Path, answer: bytes) -> Seen:
    """What ``git ls-files -t -z`` has printed, with what is in submodules."""
    names: dict[str, bool] = {}
    absent: list[str] = []
    for line in answer.split(b"\0"):
        tag, _, raw = line.partition(b" ")
        name = os.fsdecode(raw).rstrip("/")
        path = folder / name
        if not name or any(STATE.fullmatch(part) for part in name.split("/")):
            continue
        if path.is_dir() and not path.is_symlink():  # a submodule, or a repository in the repository
            inner = look(path) if (path / ".git").exists() else Seen({})
            if not inner.names and tag != b"?":
                absent.append(name)
            names |= {f"{name}/{n}": t for n, t in inner.names.items()}
            absent += [f"{name}/{n}" for n in inner.absent]
        elif os.path.lexists(path):  # not deleted since
            names[name] = tag != b"?"
        if len(names) > MAX_SEEN:
            return Seen(names, tuple(absent), many=True)
    return Seen(names, tuple(absent))


def _walked(folder: Path) -> Iterator[str]:
    for base, folders, files in os.walk(folder):
        here = Path(base)
        links = [n for n in folders if (here / n).is_symlink()]
        folders[:] = sorted(
            n for n in folders if n not in links and not STATE.fullmatch(n) and not _is_work(here / n)
        )
        for name in sorted([*files, *links]):
            if not STATE.fullmatch(name):
                yield (here / name).relative_to(folder).as_posix()


def _is_work(folder: Path) -> bool:
    """Whether a folder is one in which Nextflow worked: ``work/ab/…/.command.sh``."""
    if folder.name != "work":
        return False
    with contextlib.suppress(OSError):
        return next(folder.glob("[0-9a-f][0-9a-f]/*/.command.sh"), None) is not None
    return False


def _git(folder: Path, *words: str) -> tuple[int, bytes] | None:
    """Exit code and output of a git that only looks; None if there is no git, or it takes too long."""
    program = which("git")
    if program is None:
        return None
    kept = {k: v for k, v in os.environ.items() if k not in OWN_VARIABLES}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [program, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *words],
            cwd=folder,
            timeout=SECONDS,
            check=False,
            env={**kept, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout
    return None
