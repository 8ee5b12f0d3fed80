"""Removing runs, and what crashes have left.

A tombstone comes first: from then on the run is gone for everybody, and whoever comes next may finish the
deletion.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.formats.quantities import human_count
from esap_wf.models import Model
from esap_wf.models.run import RunRecord, encode, now
from esap_wf.runs import attempts, crashpoints, journal, lease, pieces, processes, snapshots, states
from esap_wf.runs.folders import delete_tree, left_behind, names
from esap_wf.runs.layout import Layout, Staged
from esap_wf.runs.lease import Lease
from esap_wf.runs.run import Run

DAY = 86_400.0
#: Seconds that a supervisor which has written its last word may take to go.
GOING = 2.0


class Tombstone(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``tombstones/<2 hex>/<run id>.json``: what is left of a removed run."""

    schema_version: int = 1
    run: str
    removed: str
    by: str
    rev: int = 0
    record: RunRecord | None = None


def remove(
    run: Run, waiting: Callable[[str], None] | None = None, before: Callable[[Run], None] | None = None
) -> None:
    """
    Delete a run that is not at work; done again after a crash, it completes.

    Parameters
    ----------
    run : Run
    waiting : callable, optional
        Told that an owner which cannot be asked from here is watched, see `Run.observe`. Without it such a
        run is refused at once.
    before : callable, optional
        Called by the owner of the run, before anything is deleted; what it raises ends the removal.

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
        state = run.observe(waiting)
        if state.phase not in states.REMOVABLE or lease.alive(run):
            raise RefusedError(
                f"run {run.id} is {state.phase}",
                [Problem(run.id, "it has not ended", f"esap-wf cancel {run.id}")],
            )
        _confirm_idle(run, waiting is not None)
        owner = Lease.acquire(run)  # who resumes it at this moment and who removes it: one of them
        try:
            if before:
                before(run)
            # `rm` is what one does on a full disk, and the tombstone needs a little space
            store.free_reserve(run.dir)
            record, state = run.record(), run.state()
            journal.announce(store.root / "journal", run.id, state.rev + 1, mode=store.file_mode)
            owner.require()
            bury(store, run.id, rev=state.rev + 1, record=record)
        except BaseException:
            owner.release()
            raise
    crashpoints.reached("tombstone-written")
    shared = snapshots.of_run(store, run.dir)
    left = delete(store, run.id)
    for digest in shared:
        snapshots.collect(store, digest)
    if left:
        problem = left_behind(left, store.root)
        raise RefusedError(f"run {run.id} was removed, but not all of it could be deleted", [problem])


def _confirm_idle(run: Run, wait: bool) -> None:
    """
    Refuse while anything of the run lives, whatever its phase says: here, or where its engine gives signs of
    life.
    """
    epoch = attempts.last(run.dir, lease.latest_epoch(run) + 1)
    process = attempts.of(run.dir, epoch) if epoch else None
    hint = f"esap-wf cancel {run.id} ends it; esap-wf resume {run.id} takes it up again"
    if left_there := pieces.not_forgotten(run.dir, run.store):
        what = f"{human_count(len(left_there), 'piece')} of it may still be at {run.record().backend}"
        raise RefusedError(f"run {run.id} can't be removed yet", [Problem(run.id, what, hint)])
    until = time.monotonic() + GOING
    while left := processes.survivors(run.id, [process.keeper] if process else []):
        if time.monotonic() > until:
            raise RefusedError(
                (
                    f"run {run.id} has ended, but {human_count(len(left), 'process is', 'processes are')} "
                    "still alive"
                ),
                [Problem(run.id, f"{left[0].name} {left[0].pid} may still write into it", hint)],
            )
        time.sleep(0.05)
    away = process and not attempts.end_of(run.dir, epoch) and processes.alive(process.engine) is None
    if (
        process
        and away
        and not attempts.is_void(run.dir, epoch)
        and attempts.beats(run.dir, epoch, lease.TTL if wait else 2 * lease.RENEW)
    ):
        what = f"its engine is running on {process.engine.host}, out of reach from here"
        raise RefusedError(f"run {run.id} has an engine that is still alive", [Problem(run.id, what, hint)])


def bury(store: Layout, run_id: str, *, rev: int = 0, record: RunRecord | None = None) -> None:
    """Write the tombstone of a run, or of one that will never be published."""
    grave = Tombstone(run=run_id, removed=now(), by=processes.user(), rev=rev, record=record)
    path = store.tombstone_path(grave.run)
    store.make_folder(path.parent)
    files.create_exclusive(path, encode(grave), mode=store.file_mode)


def delete(store: Layout, run_id: str) -> list[Path]:
    """Delete the directory of a run that has a tombstone; what could not be deleted is in ``tmp/`` then."""
    gone = store.root / "tmp" / f"{run_id}.removed.{os.urandom(4).hex()}"
    try:
        store.path_of(run_id).rename(gone)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise files.explain(error, store.path_of(run_id)) from error
    crashpoints.reached("run-unlinked")
    mine = [name for name in names(store.root / "tmp") if name.startswith(f"{run_id}.")]
    return [left for name in mine for left in delete_tree(store.root / "tmp" / name)]


def collect_garbage(store: Layout, *, older_than: float = DAY) -> tuple[list[str], list[Problem]]:
    """
    Delete what crashes have left: half-deleted runs, staging folders whose creator is gone, and snapshots of
    code that no run uses.

    Parameters
    ----------
    older_than : float
        Seconds; younger staging folders stay, whoever made them.

    Returns
    -------
    deleted : list of str
        Names of what is gone now.
    left : list of Problem
        What could not be deleted, and who can.
    """
    deleted: list[str] = []
    left: list[Problem] = []

    def note(name: str, remains: list[Path]) -> None:
        if remains:
            left.append(left_behind(remains, store.root))
        else:
            deleted.append(name)

    for run_id in list(store.ids()):
        if store.tombstone_path(run_id).exists():
            note(run_id, delete(store, run_id))
    for name in list(names(store.root / "tmp")):
        path = store.root / "tmp" / name
        if not _is_in_use(path, older_than):
            note(name, delete_tree(path))
    return [*deleted, *snapshots.collect(store)], left


def _is_in_use(folder: Path, older_than: float) -> bool:
    """Whether somebody may still work in a folder of ``tmp/``; also if that can't be known."""
    try:
        age = time.time() - folder.stat().st_mtime
        if ".removed." in folder.name:
            return False
        if age < older_than:
            return True
        lives = processes.alive(files.read_json(folder / ".staged.json", Staged).holder)
        return bool(lives) or (lives is None and age < 7 * DAY)
    except NotFoundError:
        return False
    except (OSError, UsageError):
        return True
