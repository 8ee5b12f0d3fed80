"""
The store of runs: a directory tree that is the truth. `launch`, the supervisor, the command line and the service import it; it imports
files, errors, models and the other modules of `runs` except `index`.

A run appears by one rename of a complete directory and disappears by one rename after its tombstone, so at every moment, also after a
crash, a run is there as a whole or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.models.manifest import Base
from esap_wf.models.run import RunRecord, State, encode, now
from esap_wf.runs import claims, crashpoints, journal, lease, processes, productions, removal
from esap_wf.runs.removal import delete_tree
from esap_wf.runs.run import Run

__all__ = ["Run", "Store", "StoreFile", "delete_tree"]

RESERVE = 64 * 1024
FOLDERS = ("runs", "tmp", "claims", "journal", "tombstones", "records")
_ID = re.compile(r"[0-9a-f]{16}")
_PREFIX = re.compile(r"[0-9a-f]{4,16}")


class StoreFile(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``store.json``."""

    schema_version: int = 1
    id: str
    shared: bool = False


class Store:
    """
    An open store.

    Attributes
    ----------
    root : Path
        Its folder, absolute.
    id : str
        Of the store, so that an index never serves another one.
    shared : bool
        Whether a group works in it.
    file_mode, dir_mode : int or None
        What new files and folders get, whatever the umask; None leaves files to the umask.
    """

    __slots__ = ("dir_mode", "file_mode", "id", "root", "shared")

    def __init__(self, root: Path, about: StoreFile) -> None:
        self.root = root
        self.id = about.id
        self.shared = about.shared
        self.file_mode: int | None = 0o660 if about.shared else None
        self.dir_mode = 0o2770 if about.shared else 0o700

    @classmethod
    def open(cls, root: Path, *, create: bool = False) -> Store:
        """
        Open a store; a read-only one can be read.

        Parameters
        ----------
        root : Path
            Its folder.
        create : bool
            Make a private store if there is none.

        Raises
        ------
        NotFoundError
            There is none and `create` is False.
        """
        root = root.absolute()
        try:
            return cls(root, files.read_json(root / "store.json", StoreFile))
        except NotFoundError:
            if create:
                return cls.create(root)
            raise NotFoundError(
                f"there is no run store at {root}", [Problem(str(root), "no store.json", "run something, or choose another: --store DIR")]
            ) from None

    @classmethod
    def create(cls, root: Path, *, shared: bool = False) -> Store:
        """
        Make a store, or open the one that another process has just made.

        Parameters
        ----------
        root : Path
            New or empty folder.
        shared : bool
            For a group: folders keep the group of the root (setgid), files are writable by it.
        """
        root = root.absolute()
        about = StoreFile(id=os.urandom(8).hex(), shared=shared)
        store = cls(root, about)
        try:
            root.mkdir(parents=True, exist_ok=True)
            if any(p.name not in (*FOLDERS, "store.json") and not p.name.startswith(".") for p in root.iterdir()):
                raise RefusedError(f"{root} is not empty", [Problem(str(root), "a new store needs an empty folder of its own")])
            if root.stat().st_uid == os.geteuid():
                root.chmod(store.dir_mode)
        except OSError as error:
            raise files.explain(error, root) from error
        for name in FOLDERS:
            store.make_folder(root / name)
        files.create_exclusive(
            root / "store.json", encode(about), mode=0o640 if shared else None
        )  # last: whoever sees it sees a whole store
        return cls(root, files.read_json(root / "store.json", StoreFile))

    def make_folder(self, path: Path) -> Path:
        """Make a folder with the store's permissions if it is missing."""
        if path.is_dir():
            return path
        try:
            path.mkdir(exist_ok=True)
            if path.stat().st_uid == os.geteuid():
                path.chmod(self.dir_mode)
        except OSError as error:
            raise files.explain(error, path) from error
        return path

    def path_of(self, run_id: str) -> Path:
        """Where the directory of a run is."""
        if not _ID.fullmatch(run_id):
            raise UsageError(f"{run_id!r} is no run id", [Problem(repr(run_id), "a run id has 16 hex digits", "esap-wf list")])
        return self.root / "runs" / run_id[:2] / run_id

    def tombstone_path(self, run_id: str) -> Path:
        """Where the tombstone of a run is, if it was removed."""
        return self.root / "tombstones" / run_id[:2] / f"{run_id}.json"

    def new_id(self) -> str:
        """An id that no run of this store has or had."""
        while True:
            run_id = os.urandom(8).hex()
            if not self.path_of(run_id).exists() and not self.tombstone_path(run_id).exists():
                return run_id

    # --- making runs

    def staging(self, run_id: str) -> Path:
        """A new folder on the file system of the store, in which a run is put together."""
        self.path_of(run_id)
        folder = self.make_folder(self.root / "tmp" / f"{run_id}.{os.urandom(4).hex()}")
        try:
            files.write_atomic(folder / ".staged.json", encode(removal.Staged(holder=processes.me())), mode=self.file_mode, sync=False)
        except BaseException:
            delete_tree(folder)
            raise
        return folder

    def publish(self, staged: Path, record: RunRecord, state: State, *, claim: claims.Claim | None = None) -> Run:
        """
        Make a staged run appear.

        Parameters
        ----------
        staged : Path
            From `staging`, with everything that was rendered.
        record : RunRecord
            Becomes run.json.
        state : State
            Becomes state.json; its rev is 1 if not given.
        claim : Claim, optional
            Looked at just before the run appears and just after: a creator that slept too long must not make a second run. What remains
            is a successor that sleeps between its look at an abandoned claim and its own claim: then two identical runs are there,
            each with its own results.

        Raises
        ------
        RefusedError
            The claim was given to another run meanwhile.
        """
        state = msgspec.structs.replace(state, rev=max(1, state.rev), since=state.since or record.created)
        creator = lease.Epoch(epoch=0, holder=processes.me(), taken=now())
        epochs = self.make_folder(staged / "epochs")
        files.write_atomic(epochs / "0", encode(creator), mode=self.file_mode)
        files.write_atomic(staged / "state.json", encode(state), mode=self.file_mode)
        files.write_atomic(staged / "run.json", encode(record), mode=self.file_mode)
        self.make_reserve(staged)
        crashpoints.reached("staged")
        target = self.path_of(record.id)
        self.make_folder(target.parent)
        if claim is not None and not claims.holds(self, claim):
            raise self._not_needed(record.id)
        journal.announce(self.root / "journal", record.id, state.rev, mode=self.file_mode)
        crashpoints.reached("journaled")
        try:
            (staged / ".staged.json").unlink(missing_ok=True)
            staged.rename(target)
        except OSError as error:
            raise files.explain(error, target) from error
        files.sync_folder(target.parent)
        crashpoints.reached("published")
        if claim is not None and not claims.holds(self, claim):  # no supervisor has been started yet
            journal.announce(self.root / "journal", record.id, state.rev + 1, mode=self.file_mode)
            removal.bury(self, record.id, rev=state.rev + 1, record=record)
            removal.delete(self, record.id)
            raise self._not_needed(record.id)
        return Run(self, record.id)

    @staticmethod
    def _not_needed(run_id: str) -> RefusedError:
        return RefusedError(f"run {run_id} is not needed any more", [Problem(run_id, "an identical run was started meanwhile")])

    def abandon(self, claim: claims.Claim) -> None:
        """Give back a claim of the caller whose run will not be published, so that nobody waits for it."""
        removal.bury(self, claim.run_id)

    def make_reserve(self, folder: Path) -> None:
        """Allocate the space with which a final state can be written on a full disk. Without space there is none: not an error."""
        path = folder / ".reserve"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode or 0o600)
        except OSError:
            return
        try:
            if self.file_mode is not None:
                os.fchmod(fd, self.file_mode)
            os.write(fd, b"\0" * RESERVE)  # written, not only allocated: copy-on-write and network file systems promise nothing else
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)

    def claim_file(self, folder: Path, path: Path, data: bytes) -> bool:
        """`files.create_exclusive` inside a run's folder; on a full disk its reserve is given back and it is tried once more."""
        try:
            return files.create_exclusive(path, data, mode=self.file_mode)
        except files.NoSpaceError:
            if not self.free_reserve(folder):
                raise
            return files.create_exclusive(path, data, mode=self.file_mode)

    def free_reserve(self, folder: Path) -> bool:
        """Give the reserved space back; False if it is used up."""
        try:
            (folder / ".reserve").unlink()
        except OSError:
            return False
        return True

    # --- finding runs

    def run_exists(self, run_id: str) -> bool:
        """Whether a run is there and not removed."""
        return (self.path_of(run_id) / "run.json").is_file() and not self.tombstone_path(run_id).exists()

    def run(self, run_id: str) -> Run:
        """The run of a full id."""
        run = Run(self, run_id)
        if not run.exists():
            raise self._missing(run_id)
        return run

    def runs(self) -> Iterator[Run]:
        """All runs, in no order. Reads directories only, so it is for rebuilding and for stores without an index."""
        for run_id in self.ids():
            if not self.tombstone_path(run_id).exists():
                yield Run(self, run_id)

    def ids(self, prefix: str = "") -> Iterator[str]:
        """Ids of all run directories."""
        shards = [prefix[:2]] if len(prefix) >= 2 else sorted(removal.names(self.root / "runs"))
        for shard in shards:
            for name in removal.names(self.root / "runs" / shard):
                if _ID.fullmatch(name) and name.startswith(prefix):
                    yield name

    def find(self, text: str, *, named: list[str] | None = None) -> Run:
        """
        The run that a user means.

        Parameters
        ----------
        text : str
            Its id, the beginning of it (four digits or more) or its name.
        named : list of str, optional
            Ids of the runs with that name, from an index; otherwise all runs are read.

        Raises
        ------
        NotFoundError
            There is none, or it was removed.
        UsageError
            There are several: all are listed.
        """
        if _ID.fullmatch(text) and (self.run_exists(text) or self.tombstone_path(text).exists()):
            return self.run(text)
        matches: dict[str, str] = {}
        if _PREFIX.fullmatch(text):
            matches.update((i, "") for i in self.ids(text) if self.run_exists(i))
        if named is None:
            named = [run.id for run in self.runs() if _name_of(run) == text]
        matches.update((i, text) for i in named if self.run_exists(i))
        if len(matches) == 1:
            return Run(self, next(iter(matches)))
        if not matches:
            raise self._missing(text)
        candidates = [
            Problem(i, f"workflow {r.workflow}, created {r.created}" + (f", name {r.name}" if r.name else ""))
            for i in sorted(matches)
            if (r := Run(self, i).record())
        ]
        raise UsageError(f"{text!r} is ambiguous: {len(matches)} runs match", candidates)

    def _missing(self, text: str) -> NotFoundError:
        if _ID.fullmatch(text):
            try:
                grave = files.read_json(self.tombstone_path(text), removal.Tombstone)
                return NotFoundError(f"run {text} was removed", [Problem(text, f"removed {grave.removed} by {grave.by}")])
            except NotFoundError:
                pass
        return NotFoundError(
            f"there is no run {text!r} in {self.root}", [Problem(text, "neither an id, the beginning of one, nor a name", "esap-wf list")]
        )

    # --- removing runs, and what outlives them

    def remove(self, run: Run, waiting: Callable[[str], None] | None = None) -> None:
        """Delete a run that is not at work; done again after a crash, it completes. See `esap_wf.runs.removal.remove`."""
        removal.remove(run, waiting)

    def collect_garbage(self, *, older_than: float = removal.DAY) -> list[str]:
        """Delete what crashes have left; the names. See `esap_wf.runs.removal.collect_garbage`."""
        return removal.collect_garbage(self, older_than=older_than)

    def record(self, workflow: str, entry: dict[str, Any]) -> None:
        """Append to the record of productions of a workflow: it stays when runs are removed."""
        productions.append(self.root / "records", workflow, entry, mode=self.file_mode)

    def records(self, workflow: str) -> list[dict[str, Any]]:
        """The record of productions of a workflow, oldest first, one entry a run."""
        return productions.read(self.root / "records", workflow)

    def recorded_lately(self, workflow: str, run_id: str) -> bool:
        """Whether a run is among the last entries of the record of productions."""
        return productions.lately(self.root / "records", workflow, run_id)


def _name_of(run: Run) -> str | None:
    try:
        return run.record().name
    except (NotFoundError, UsageError):
        return None
