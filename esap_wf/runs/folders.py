"""Folders of the store: their names, and how they are deleted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from esap_wf.errors import Problem, RefusedError
from esap_wf.formats.quantities import human_count


def delete_tree(path: Path) -> list[Path]:
    """
    Delete a folder, also read-only parts of it (a code snapshot is read-only), without following links out of
    it.

    Returns
    -------
    list of Path
        What could not be deleted, because it belongs to somebody else: empty in all normal cases.
    """
    import shutil  # its compression modules would cost `list` and `status` some milliseconds

    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return []
    for folder, _, _ in os.walk(path):
        try:
            mode = os.lstat(folder).st_mode
            if not mode & stat.S_IWUSR:
                os.chmod(folder, stat.S_IMODE(mode) | stat.S_IRWXU)  # noqa: PTH101
        except OSError:
            pass
    shutil.rmtree(path, ignore_errors=True)
    return [
        Path(folder, name) for folder, folders, inside in os.walk(path) for name in (*inside, *folders)
    ] or ([path] if path.exists() else [])


def left_behind(left: list[Path], root: Path) -> Problem:
    """What a person must know of files that could not be deleted."""
    owners = sorted({_owner(p) for p in left})
    whose = f"{human_count(len(left), 'file')} of {', '.join(owners)} could not be deleted"
    where = left[0].relative_to(root) if left[0].is_relative_to(root) else left[0]
    return Problem(str(where), whose, f"{' or '.join(owners)} can do so: esap-wf store clean")


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (OSError, KeyError):
        try:
            return f"user {path.lstat().st_uid}"
        except OSError:
            return "another user"


def make_read_only(folder: Path, shared: bool) -> None:
    """
    Take a folder's write bits away, but for the group's in a shared store: its owner, and what the owner
    starts, can't write into it, and other members can delete it. A shared store's folders keep their group
    (setgid).
    """
    mode = stat.S_IMODE(folder.stat().st_mode) & ~0o222
    folder.chmod(mode | (stat.S_IWGRP if shared else 0))


def names(folder: Path) -> list[str]:
    """Names in a folder, none if it is missing."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise RefusedError(
            f"cannot read {folder}", [Problem(str(folder), error.strerror or str(error))]
        ) from error
