"""
Removing runs, and what crashes have left. `Store` calls this; it imports files, errors, models and the modules of `runs` below the store.

A tombstone comes first: from then on the run is gone for everybody, and whoever comes next may finish the deletion.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.models.manifest import Base
from esap_wf.models.run import Phase, RunRecord, encode, now
from esap_wf.runs import crashpoints, journal, lease, processes, states
from esap_wf.runs.lease import Lease

if TYPE_CHECKING:
    from esap_wf.runs.store import Run, Store

DAY = 86_400.0


class Tombstone(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``tombstones/<2 hex>/<run id>.json``: what is left of a removed run."""

    schema_version: int = 1
    run: str
    removed: str
    by: str
    rev: int = 0
    record: RunRecord | None = None


class Staged(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``.staged.json`` of a staging folder: who works in it."""

    schema_version: int = 1
    holder: processes.Holder


def remove(run: Run, waiting: Callable[[str], None] | None = None) -> None:
    """
    Delete a run that is not at work; done again after a crash, it completes.

    Parameters
    ----------
    run : Run
    waiting : callable, optional
        Told that an owner which cannot be asked from here is watched, see `Run.judge`. Without it such a run is refused at once.

    Raises
    ------
    RefusedError
        It is active, or must be cancelled first.
    HeldByOther
        Somebody resumes it at this moment.
    """
    store = run.store
    if not store.tombstone_path(run.id).exists():
        if not run.dir.is_dir():
            raise NotFoundError(f"there is no run {run.id!r} in {store.root}")
        state = run.judge(waiting) if waiting else run.observe()
        if state.phase not in states.REMOVABLE or lease.alive(run):
            raise RefusedError(f"run {run.id} is {state.phase}", [Problem(run.id, "it is not at an end", f"esap-wf cancel {run.id}")])
        if state.phase is Phase.UNKNOWN and (left := processes.survivors(run.id)):
            raise RefusedError(
                f"run {run.id} has lost its supervisor, but {len(left)} of its processes live",
                [Problem(run.id, f"{left[0].name} {left[0].pid} may still write into it", f"esap-wf cancel {run.id}")],
            )
        owner = Lease.acquire(run)  # who resumes it at this moment and who removes it: one of them
        try:
            store.free_reserve(run.dir)  # `rm` is what one does on a full disk, and the tombstone needs a little space
            record, state = run.record(), run.state()
            journal.announce(store.root / "journal", run.id, state.rev + 1, mode=store.file_mode)
            owner.require()
            bury(store, run.id, rev=state.rev + 1, record=record)
        except BaseException:
            owner.release()
            raise
    crashpoints.reached("tombstone-written")
    delete(store, run.id)


def bury(store: Store, run_id: str, *, rev: int = 0, record: RunRecord | None = None) -> None:
    """Write the tombstone of a run, or of one that will never be published."""
    grave = Tombstone(run=run_id, removed=now(), by=processes.user(), rev=rev, record=record)
    path = store.tombstone_path(grave.run)
    store.make_folder(path.parent)
    files.create_exclusive(path, encode(grave), mode=store.file_mode)


def delete(store: Store, run_id: str) -> None:
    """Delete the directory of a run that has a tombstone."""
    gone = store.root / "tmp" / f"{run_id}.removed.{os.urandom(4).hex()}"
    try:
        store.path_of(run_id).rename(gone)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise files.explain(error, store.path_of(run_id)) from error
    crashpoints.reached("run-unlinked")
    for name in list(names(store.root / "tmp")):
        if name.startswith(f"{run_id}."):
            delete_tree(store.root / "tmp" / name)


def collect_garbage(store: Store, *, older_than: float = DAY) -> list[str]:
    """
    Delete what crashes have left: half-deleted runs, and staging folders whose creator is gone.

    Parameters
    ----------
    older_than : float
        Seconds; younger staging folders stay, whoever made them.

    Returns
    -------
    list of str
        Names of what was deleted.
    """
    deleted = []
    for run_id in list(store.ids()):
        if store.tombstone_path(run_id).exists():
            delete(store, run_id)
            deleted.append(run_id)
    for name in list(names(store.root / "tmp")):
        path = store.root / "tmp" / name
        try:
            age = time.time() - path.stat().st_mtime
            if ".removed." not in name:
                if age < older_than:
                    continue
                staged = files.read_json(path / ".staged.json", Staged)
                lives = processes.alive(staged.holder)
                if lives or (lives is None and age < 7 * DAY):
                    continue
        except NotFoundError:
            pass
        except (OSError, UsageError):
            continue
        delete_tree(path)
        deleted.append(name)
    return deleted


def delete_tree(path: Path) -> None:
    """Delete a folder, also read-only parts of it (a code snapshot is read-only), without following links out of it."""
    import shutil  # its compression modules would cost `list` and `status` some milliseconds

    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            try:
                mode = os.lstat(folder).st_mode
                if not mode & stat.S_IWUSR:
                    os.chmod(folder, stat.S_IMODE(mode) | stat.S_IRWXU)  # noqa: PTH101
            except OSError:
                pass
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def names(folder: Path) -> list[str]:
    """Names in a folder, none if it is missing."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise RefusedError(f"cannot read {folder}", [Problem(str(folder), error.strerror or str(error))]) from error
