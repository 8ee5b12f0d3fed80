"""Code from git repositories: pinned to a commit, kept in the cache by commit."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from esap_wf.catalogue.addresses import Reference
from esap_wf.catalogue.git import ANSWER, DOWNLOAD, git
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, RefusedError, UnavailableError, UsageError
from esap_wf.runs.folders import delete_tree

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """A repository's files at one commit: `folder` is never written again."""

    url: str
    commit: str
    folder: Path


def fetch(reference: Reference, config: Config) -> Source:
    """
    A repository's files at the commit that a reference means now.

    Parameters
    ----------
    reference : Reference
    config : Config
        Whose cache keeps them. A commit that is there needs no network.

    Raises
    ------
    NotFoundError
        There is no such repository, or no such ref in it.
    UnavailableError
        git is missing, the host does not answer, or it asks for a password.
    """
    home = config.cache / "sources" / hashlib.sha256(reference.url.encode()).hexdigest()[:20]
    if reference.ref and _COMMIT.fullmatch(reference.ref) and (kept := _kept(home, reference.ref, reference)):
        return kept
    commit, wanted = _resolve(reference, home)
    if commit and (kept := _kept(home, commit, reference)):
        return kept
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two starts download once
            if commit and (kept := _kept(home, commit, reference)):
                return kept
            for left in home.glob("new-*"):  # of a download that was killed: who has the lock is alone
                delete_tree(left)
            return _download(reference, home, commit, wanted)
    except OSError as error:
        raise RefusedError(
            "a repository can't be kept", [Problem(str(home), error.strerror or str(error), "ESAP_WF_CACHE")]
        ) from None


def _kept(home: Path, commit: str, reference: Reference) -> Source | None:
    folder = home / commit / reference.name
    if not folder.is_dir():
        return None
    if folder.stat().st_mode & 0o200:  # of an earlier version, or the last one was cut off
        _make_read_only(folder)
    return Source(reference.url, commit, folder)


def _make_read_only(folder: Path) -> None:
    """
    Take all write bits away: a commit is what it is, whoever looks into the cache. The top comes last, when
    all is done.
    """
    for base, _, names in os.walk(folder, topdown=False):
        for path in (*(Path(base, n) for n in names), Path(base)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o222:
                with contextlib.suppress(PermissionError):  # another user's, who has it all
                    path.chmod(stat.S_IMODE(mode) & ~0o222)


def known(config: Config, url: str) -> list[str]:
    """Commits of a repository that are in the cache, the last used first."""
    home = config.cache / "sources" / hashlib.sha256(url.encode()).hexdigest()[:20]
    with contextlib.suppress(OSError):
        return [
            p.name
            for p in sorted(home.iterdir(), key=lambda p: -p.stat().st_mtime)
            if _COMMIT.fullmatch(p.name)
        ]
    return []


def _resolve(reference: Reference, home: Path) -> tuple[str | None, str]:
    """The commit that a ref means (None for an abbreviated commit), and the name by which git fetches it."""
    ref = reference.ref
    if ref and _COMMIT.fullmatch(ref):
        return ref, ref
    names = (
        [ref]
        if ref and ref.startswith("refs/")
        else ["HEAD"]
        if ref is None
        else [f"refs/tags/{ref}", f"refs/heads/{ref}"]
    )
    out = git(
        ["ls-remote", "--", reference.url, *names, *(f"{n}^{{}}" for n in names)], reference, home, ANSWER
    )
    there = {name: commit for commit, _, name in (line.partition("\t") for line in out.splitlines())}
    found = {name: there.get(f"{name}^{{}}", there[name]) for name in names if name in there}
    if len(set(found.values())) > 1:
        hint = " or ".join(f"@{name}" for name in found)
        raise UsageError(
            "a ref is ambiguous", [Problem(str(reference), f"{ref} is a tag and a branch", f"write {hint}")]
        )
    if found:
        name, commit = next(iter(found.items()))
        return commit, name
    if ref is None:
        raise NotFoundError(
            "the repository is empty",
            [Problem(reference.url, "has no default branch", "name one: URL@BRANCH")],
        )
    if re.fullmatch(r"[0-9a-f]{7,39}", ref):
        return None, ref
    raise NotFoundError(
        "there is no such ref",
        [Problem(str(reference), f"the repository has no branch, tag or commit {ref!r}")],
    )


def _download(reference: Reference, home: Path, commit: str | None, wanted: str) -> Source:
    with tempfile.TemporaryDirectory(prefix="new-", dir=home) as temporary:
        tree = Path(temporary) / reference.name
        tree.mkdir()
        for argv in (["init", "--quiet", "."], ["remote", "add", "origin", reference.url]):
            git(argv, reference, tree, ANSWER)
        shallow = ["fetch", "--quiet", "--no-tags", "--depth", "1", "--no-recurse-submodules", "origin"]
        everything = [
            "fetch",
            "--quiet",
            "--force",
            "--no-recurse-submodules",
            "origin",
            "+refs/*:refs/upstream/*",
        ]
        try:
            git([*shallow, wanted] if commit else everything, reference, tree, DOWNLOAD)
        except (NotFoundError, UnavailableError) as error:
            # not every server gives a commit that is no tip by its name, and one that only has files knows no
            # depth
            if wanted != commit and "shallow" not in str(error):
                raise
            git(everything, reference, tree, DOWNLOAD)
        try:
            out = git(
                ["rev-parse", "--verify", "--quiet", f"{commit or wanted}^{{commit}}"],
                reference,
                tree,
                ANSWER,
            ).strip()
        except NotFoundError:
            what = (
                f"the repository has no branch, tag or commit {reference.ref!r}, or several that begin "
                "with this"
            )
            raise NotFoundError("there is no such commit", [Problem(str(reference), what)]) from None
        commit = out
        git(["checkout", "--quiet", "--force", "--detach", commit], reference, tree, DOWNLOAD)
        if (tree / ".gitmodules").is_file():
            git(["submodule", "--quiet", "update", "--init", "--recursive"], reference, tree, DOWNLOAD)
        for entry in [*tree.rglob(".git")]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        kept = home / commit
        kept.mkdir(exist_ok=True)
        # another cache user on a file system without locks was quicker: same content
        with contextlib.suppress(OSError):
            tree.rename(kept / reference.name)
        _make_read_only(kept / reference.name)
        return Source(reference.url, commit, kept / reference.name)
