"""
Snapshots that runs share: ``code/<2 hex>/<digest>/``, written once, read-only, hard-linked into runs. The
store knows them by digest only.

A run has links, or copies where there can be none, so a snapshot can go at any time: it is unused if none of
its files has another link, and whoever finds it gone while a run is made writes it again, with its own links
before others see it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from esap_wf.files import NO_SPACE_ERRORS
from esap_wf.runs.folders import delete_tree, make_read_only, names
from esap_wf.runs.layout import Layout

FOLDER = "code"
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Another file system, one without hard links, too many of them, or files of somebody else
#: (fs.protected_hardlinks).
_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}


class OtherContentError(ValueError):
    """What was written is not what was asked for."""


def path_of(store: Layout, digest: str) -> Path:
    """Where the snapshot with a digest is."""
    return store.root / FOLDER / digest[:2] / digest


def give(
    store: Layout, digest: str, target: Path, write: Callable[[Path], None], intact: Callable[[Path], bool]
) -> None:
    """
    Put a snapshot into a run that is being made.

    Parameters
    ----------
    store : Layout
    digest : str
        Of its content.
    target : Path
        A folder that is not there yet.
    write : callable
        Writes the content into a folder: called if the store has none.
    intact : callable
        Whether a folder has the content of the digest. What is linked is looked at each time: a step that
        runs as root could have written through a link.

    Raises
    ------
    OtherContentError
        What was written has another digest.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if _link_from_store(store, digest, target, intact):
        return
    staged = store.staging(digest[:16])
    try:
        made = staged / "tree"
        made.mkdir()
        write(made)
        if not intact(made):
            raise OtherContentError(f"the content does not have the digest {digest}")
        if not _link_from_store(store, digest, target, intact):  # nobody has put one there meanwhile
            # where nobody collects: a run has links before the store has the snapshot
            link_tree(made, target, store.shared)
            _publish(store, digest, made, intact)
    finally:
        delete_tree(staged)


def _link_from_store(store: Layout, digest: str, target: Path, intact: Callable[[Path], bool]) -> bool:
    """
    Link what the store has; False, and no target, if it has none, or not all of it. What was linked is looked
    at, not what is in the store: a folder that is collected while it is walked through may just seem to be a
    smaller one.
    """
    source = path_of(store, digest)
    if not source.is_dir():
        return False
    try:
        link_tree(source, target, store.shared)
        if intact(target):
            return True
    except OSError as error:
        if error.errno in NO_SPACE_ERRORS:
            raise
    delete_tree(target)
    return False


def _whole(folder: Path, intact: Callable[[Path], bool]) -> bool:
    try:
        return folder.is_dir() and intact(folder)
    except OSError:
        return False


def _publish(store: Layout, digest: str, made: Path, intact: Callable[[Path], bool]) -> None:
    final = path_of(store, digest)
    for folder in (final.parent.parent, final.parent):
        store.make_folder(folder)
    if final.is_dir() and not _whole(final, intact):
        discard(store, digest)  # damaged
    _close(made, store.shared)
    try:
        made.rename(final)
    except OSError as error:  # somebody was quicker
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        with suppress(FileNotFoundError):  # collected already
            make_read_only(final, store.shared)  # last: a folder that can't be written can't be moved


def link_tree(source: Path, target: Path, shared: bool = False) -> None:
    """The same folders and links, and hard links to the files; copies where there can be none."""
    target.mkdir(parents=True)
    linked = True
    for base, folders, inside in os.walk(source, onerror=_raise):
        here = target / Path(base).relative_to(source)
        for name in folders:
            path = Path(base, name)
            if path.is_symlink():
                (here / name).symlink_to(path.readlink())
            else:
                (here / name).mkdir()
        for name in inside:
            path = Path(base, name)
            if path.is_symlink():
                (here / name).symlink_to(path.readlink())
                continue
            if linked:
                try:
                    (here / name).hardlink_to(path)
                    continue
                except OSError as error:
                    if error.errno not in _NO_LINK:
                        raise
                    linked = error.errno == errno.EMLINK  # of this file only
            shutil.copyfile(path, here / name)
            (here / name).chmod(stat.S_IMODE(path.stat().st_mode))
    _close(target, shared)


def _raise(error: OSError) -> None:
    raise error


def _close(root: Path, shared: bool) -> None:
    """All folders below one become read-only."""
    for base, folders, _ in os.walk(root, topdown=False):
        for name in folders:
            if not Path(base, name).is_symlink():
                make_read_only(Path(base, name), shared)


def of_run(store: Layout, run: Path) -> list[str]:
    """
    Snapshots of the store that a run may have links to: it has them in ``code/<the digest's first digits>``.
    """
    begin = names(run / FOLDER)
    return [d for d in _all(store) if any(d.startswith(b) for b in begin if len(b) >= 8)]


def collect(store: Layout, digest: str | None = None) -> list[str]:
    """Delete snapshots that no run uses: all, or one; their digests."""
    found = [digest] if digest else list(_all(store))
    return [d for d in found if not _used(path_of(store, d)) and discard(store, d)]


def discard(store: Layout, digest: str) -> bool:
    """Take a snapshot away; False if it is somebody else's, or gone."""
    folder = path_of(store, digest)
    gone = store.root / "tmp" / f"{digest[:16]}.removed.{os.urandom(4).hex()}"
    try:
        if os.geteuid() in (0, folder.stat().st_uid):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IRWXU)
        elif not store.shared:
            return False
        folder.rename(gone)
    except OSError:
        return False
    delete_tree(gone)
    return True


def _all(store: Layout) -> Iterator[str]:
    for shard in names(store.root / FOLDER):
        yield from (n for n in names(store.root / FOLDER / shard) if _DIGEST.fullmatch(n))


def _used(folder: Path) -> bool:
    """Whether a run has links to its files; a snapshot that can't be looked at is."""
    try:
        for base, _, inside in os.walk(folder, onerror=_raise):
            if any(Path(base, n).lstat().st_nlink > 1 for n in inside):
                return True
    except OSError:
        return True
    return False
