"""The store of runs: a directory tree that is the truth.

A run appears by one rename of a complete directory and disappears by one rename after its tombstone, so at
every moment, also after a crash, a run is there as a whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem, RefusedError
from esap_wf.models import Model
from esap_wf.models.run import RunRecord, State, encode, now
from esap_wf.runs import claims, crashpoints, journal, lease, naming, processes, productions, removal
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.layout import Layout
from esap_wf.runs.run import Run

__all__ = ["Run", "Store", "StoreFile", "delete_tree"]

#: What may be there before the store is: a lake, what was fetched, what was learned of it.
BESIDE = ("lake", "cache", "learned")
FOLDERS = ("runs", "tmp", "claims", "journal", "tombstones", "records", "code")


class StoreFile(Model, frozen=True, kw_only=True, omit_defaults=False):
    """``store.json``."""

    schema_version: int = 1
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]{1,64}$")]  # part of the name of the index's file
    shared: bool = False


class Store(Layout):
    """
    An open store: its runs are made, found and removed here.

    Attributes
    ----------
    id : str
        Of the store, so that an index never serves another one.
    """

    __slots__ = ("id",)

    def __init__(self, root: Path, about: StoreFile) -> None:
        super().__init__(root, about.shared)
        self.id = about.id

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
                f"there is no run store at {root}",
                [
                    Problem(
                        str(root),
                        "no store.json",
                        "run something first, or choose another store: --store DIR",
                    )
                ],
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
            if any(
                p.name not in (*FOLDERS, *BESIDE, "store.json") and not p.name.startswith(".")
                for p in root.iterdir()
            ):
                raise RefusedError(
                    f"{root} is not empty", [Problem(str(root), "a new store needs an empty folder")]
                )
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

    def new_id(self) -> str:
        """An id that no run of this store has or had."""
        while True:
            run_id = os.urandom(8).hex()
            if not self.path_of(run_id).exists() and not self.tombstone_path(run_id).exists():
                return run_id

    # --- making runs

    def publish(
        self, staged: Path, record: RunRecord, state: State, *, claim: claims.Claim | None = None
    ) -> Run:
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
            Looked at just before the run appears and just after: a creator that slept too long must not make
            a second run. What remains is a successor that sleeps between its look at an abandoned claim and
            its own claim: then two identical runs are there, each with its own results.

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
        return RefusedError(
            f"run {run_id} is no longer needed",
            [Problem(run_id, "an identical run was started in the meantime")],
        )

    def abandon(self, claim: claims.Claim) -> None:
        """Give back a claim of the caller whose run will not be published, so that nobody waits for it."""
        removal.bury(self, claim.run_id)

    # --- finding runs

    def run(self, run_id: str) -> Run:
        """The run of a full id."""
        run = Run(self, run_id)
        if not run.exists():
            raise naming.missing(self, run_id)
        return run

    def runs(self) -> Iterator[Run]:
        """
        All runs, in no order. Reads directories only, so it is for rebuilding and for stores without an
        index.
        """
        for run_id in self.ids():
            if not self.tombstone_path(run_id).exists():
                yield Run(self, run_id)

    def find(
        self, text: str, *, named: list[str] | None = None, newest: Callable[[str], None] | None = None
    ) -> Run:
        """The run that a user means. See `esap_wf.runs.naming.find`."""
        return naming.find(self, text, named, newest)

    def candidates(self, ids: Sequence[str]) -> list[Problem]:
        """What may be meant, for an error. See `esap_wf.runs.naming.candidates`."""
        return naming.candidates(self, ids)

    # --- removing runs, and what outlives them

    def remove(
        self,
        run: Run,
        waiting: Callable[[str], None] | None = None,
        before: Callable[[Run], None] | None = None,
    ) -> None:
        """
        Delete a run that is not at work; done again after a crash, it completes. See
        `esap_wf.runs.removal.remove`.
        """
        removal.remove(run, waiting, before)

    def collect_garbage(self, *, older_than: float = removal.DAY) -> tuple[list[str], list[Problem]]:
        """
        Delete what crashes have left: what is gone, and what could not be deleted. See
        `esap_wf.runs.removal.collect_garbage`.
        """
        return removal.collect_garbage(self, older_than=older_than)

    def record(self, workflow: str, entry: dict[str, Any]) -> None:
        """Append to the record of productions of a workflow: it stays when runs are removed."""
        productions.append(self.root / "records", workflow, entry, mode=self.file_mode)

    def records(self, workflow: str) -> list[dict[str, Any]]:
        """The record of productions of a workflow, oldest first, one entry a run."""
        return productions.read_productions(self.root / "records", workflow)
