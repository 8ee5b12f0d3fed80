"""
The store of runs: a directory tree that is the truth. `launch`, the supervisor, the command line and the service import it; it imports
files, errors, models and the other modules of `runs` except `index`.

A run appears by one rename of a complete directory and disappears by one rename after its tombstone, so at every moment, also after a
crash, a run is there as a whole or not at all.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.models.manifest import Base
from esap_wf.models.run import RunRecord, State, encode, now
from esap_wf.runs import claims, crashpoints, journal, lease, processes, states
from esap_wf.runs.lease import Lease
from esap_wf.runs.run import Run

__all__ = ["Run", "Store", "StoreFile", "Tombstone"]

RESERVE = 64 * 1024
FOLDERS = ("runs", "tmp", "claims", "journal", "tombstones", "records")
_ID = re.compile(r"[0-9a-f]{16}")
_PREFIX = re.compile(r"[0-9a-f]{4,16}")
_DAY = 86_400.0


class StoreFile(Base, frozen=True, kw_only=True, omit_defaults=False):
    """``store.json``."""

    schema_version: int = 1
    id: str
    shared: bool = False


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
        about = StoreFile(id=secrets.token_hex(8), shared=shared)
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
            run_id = secrets.token_hex(8)
            if not self.path_of(run_id).exists() and not self.tombstone_path(run_id).exists():
                return run_id

    # --- making runs

    def staging(self, run_id: str) -> Path:
        """A new folder on the file system of the store, in which a run is put together."""
        self.path_of(run_id)
        folder = self.make_folder(self.root / "tmp" / f"{run_id}.{secrets.token_hex(4)}")
        files.write_atomic(folder / ".staged.json", encode(Staged(holder=processes.me())), mode=self.file_mode, sync=False)
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
            Looked at once more: a creator that slept too long must not make a second run.

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
            raise RefusedError(f"run {record.id} is not needed any more", [Problem(record.id, "an identical run was started meanwhile")])
        journal.announce(self.root / "journal", record.id, state.rev, mode=self.file_mode)
        crashpoints.reached("journaled")
        try:
            (staged / ".staged.json").unlink(missing_ok=True)
            staged.rename(target)
        except OSError as error:
            raise files.explain(error, target) from error
        files.sync_folder(target.parent)
        crashpoints.reached("published")
        return Run(self, record.id)

    def abandon(self, claim: claims.Claim) -> None:
        """Give back a claim of the caller whose run will not be published, so that nobody waits for it."""
        self._bury(Tombstone(run=claim.run_id, removed=now(), by=_user()))

    def make_reserve(self, folder: Path) -> None:
        """Allocate the space with which a final state can be written on a full disk. Without space there is none: not an error."""
        path = folder / ".reserve"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file_mode or 0o600)
        except OSError:
            return
        try:
            os.write(fd, b"\0" * RESERVE)  # written, not only allocated: copy-on-write and network file systems promise nothing else
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)

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
        shards = [prefix[:2]] if len(prefix) >= 2 else sorted(_names(self.root / "runs"))
        for shard in shards:
            for name in _names(self.root / "runs" / shard):
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
                grave = files.read_json(self.tombstone_path(text), Tombstone)
                return NotFoundError(f"run {text} was removed", [Problem(text, f"removed {grave.removed} by {grave.by}")])
            except NotFoundError:
                pass
        return NotFoundError(
            f"there is no run {text!r} in {self.root}", [Problem(text, "neither an id, the beginning of one, nor a name", "esap-wf list")]
        )

    # --- removing runs

    def remove(self, run: Run) -> None:
        """
        Delete a run that is not at work; done again after a crash, it completes.

        Raises
        ------
        RefusedError
            It is active, or must be cancelled first.
        HeldByOther
            Somebody resumes it at this moment.
        """
        if not self.tombstone_path(run.id).exists():
            if not run.dir.is_dir():
                raise self._missing(run.id)
            state = run.observe()
            if state.phase not in states.REMOVABLE or lease.alive(run):
                raise RefusedError(f"run {run.id} is {state.phase}", [Problem(run.id, "it is not at an end", f"esap-wf cancel {run.id}")])
            owner = Lease.acquire(run)  # who resumes it at this moment and who removes it: one of them
            record, state = run.record(), run.state()
            journal.announce(self.root / "journal", run.id, state.rev + 1, mode=self.file_mode)
            owner.require()
            self._bury(Tombstone(run=run.id, removed=now(), by=_user(), rev=state.rev + 1, record=record))
        crashpoints.reached("tombstone-written")
        self._delete(run)

    def _bury(self, grave: Tombstone) -> None:
        path = self.tombstone_path(grave.run)
        self.make_folder(path.parent)
        files.create_exclusive(path, encode(grave), mode=self.file_mode)

    def _delete(self, run: Run) -> None:
        gone = self.root / "tmp" / f"{run.id}.removed.{secrets.token_hex(4)}"
        try:
            run.dir.rename(gone)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise files.explain(error, run.dir) from error
        crashpoints.reached("run-unlinked")
        for name in list(_names(self.root / "tmp")):
            if name.startswith(f"{run.id}."):
                delete_tree(self.root / "tmp" / name)

    def collect_garbage(self, *, older_than: float = _DAY) -> list[str]:
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
        for run_id in list(self.ids()):
            if self.tombstone_path(run_id).exists():
                self._delete(Run(self, run_id))
                deleted.append(run_id)
        for name in list(_names(self.root / "tmp")):
            path = self.root / "tmp" / name
            try:
                age = time.time() - path.stat().st_mtime
                if ".removed." not in name:
                    if age < older_than:
                        continue
                    staged = files.read_json(path / ".staged.json", Staged)
                    lives = processes.alive(staged.holder)
                    if lives or (lives is None and age < 7 * _DAY):
                        continue
            except NotFoundError:
                pass
            except (OSError, UsageError):
                continue
            delete_tree(path)
            deleted.append(name)
        return deleted

    # --- record of productions

    def record(self, workflow: str, entry: dict[str, Any]) -> None:
        """Append to the record of productions: it stays when runs are removed."""
        path = self.root / "records" / f"{files.safe_name(workflow)}.jsonl"
        files.append_line(path, msgspec.json.encode(entry), mode=self.file_mode, sync=True)

    def records(self, workflow: str) -> list[dict[str, Any]]:
        """The record of productions of a workflow, oldest first; broken lines are left out."""
        path = self.root / "records" / f"{files.safe_name(workflow)}.jsonl"
        found = []
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RefusedError(f"cannot read {path}", [Problem(str(path), error.strerror or str(error))]) from error
        for line in lines:
            try:
                entry = msgspec.json.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found


def delete_tree(path: Path) -> None:
    """Delete a folder, also read-only parts of it (a code snapshot is read-only), without following links out of it."""
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


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return []
        raise RefusedError(f"cannot read {folder}", [Problem(str(folder), error.strerror or str(error))]) from error


def _name_of(run: Run) -> str | None:
    try:
        return run.record().name
    except (NotFoundError, UsageError):
        return None


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
