"""The cache behind the index: one SQLite file that follows the store's change journal.

The store is the truth. Changes are announced before they are made, so a run whose state is older than
announced stays on the list of unsettled ones and is read again each time: a crash between the two cannot
leave a row stale for ever.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from esap_wf.errors import EsapError
from esap_wf.runs import journal, requests
from esap_wf.runs.index import names, records, uses
from esap_wf.runs.index.schema import COLUMNS, INDICES, LETTERS, TABLES, VERSION, Row
from esap_wf.runs.productions import Production
from esap_wf.runs.store import Run, Store

R = TypeVar("R")

#: Segments whose last lines are read again after a rebuild: a day ends while somebody writes.
RECHECKED = 3
#: Seconds after which an announced run that never appeared is given up (its creator died).
GIVE_UP = 86_400.0
_BATCH = 2000
_UPSERT = f"INSERT OR REPLACE INTO runs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


class Cache:
    """
    An open cache.

    Attributes
    ----------
    path : Path or None
        Its file; None if it is kept in memory because its folder cannot be written.
    """

    def __init__(self, store: Store, path: Path | None, connection: sqlite3.Connection) -> None:
        self.store = store
        self.path = path
        self._db = connection

    @classmethod
    def open(cls, store: Store, path: Path) -> Cache:
        """
        Open the file, make it if necessary.

        Parameters
        ----------
        store : Store
            What it is of.
        path : Path
            Its file, on a local disk. Several processes of one host may use it at once.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            cache = cls(store, path, _connect(path))
            try:
                cache._prepare()
            except BaseException:
                cache.close()  # or the file of a full disk stays open
                raise
        except (sqlite3.Error, OSError):
            # a cache that cannot be written (read-only, full, no locks) costs time, never an answer
            cache = cls(store, None, _connect(None))
            cache._prepare()
        return cache

    def close(self) -> None:
        """Close it."""
        self._db.close()

    # --- keeping up

    def _prepare(self) -> None:
        try:
            if self._usable():
                return
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
        self._remake()

    def _usable(self) -> bool:
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            return False
        found = self._db.execute("SELECT store, complete FROM meta").fetchone()
        return found is not None and tuple(found) == (self.store.id, 1)

    def _remake(self) -> None:
        """Begin with an empty file. One process does it, the others wait and find it done."""
        if self.path is None:
            self.rebuild()
            return
        with _alone(self.path):
            self._db.close()
            self._db = _connect(self.path)
            try:
                if self._usable():
                    return
            except sqlite3.DatabaseError:
                pass
            self._db.close()
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self._db = _connect(self.path)
            self.rebuild()

    def rebuild(self) -> None:
        """Read all run directories anew."""
        folder = self.store.root / "journal"
        # positions first: what changes during the scan is read twice, never missed
        positions = list(journal.sizes(folder).items())
        # KiB; with the usual two megabytes large indices are built on disk
        self._db.execute("PRAGMA cache_size = -131072")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for table in (
                "letters",
                "runs",
                "tags",
                "names",
                "positions",
                "unsettled",
                "productions",
                "records",
                "uses",
                "plans",
                "meta",
            ):
                self._db.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in TABLES:
                self._db.execute(statement)
            with suppress(sqlite3.OperationalError):
                self._db.execute(LETTERS)
            for run in self.store.runs():
                self._load(run.id, run)
            for statement in INDICES:
                self._db.execute(statement)
            self._db.executemany("INSERT INTO positions VALUES (?, ?)", positions)
            # the journal's last lines announce what may not be written yet
            for segment, _ in positions[-RECHECKED:]:
                self._note(journal.read_segment(folder, segment).changes[-_BATCH:])
            self._db.execute("INSERT INTO meta VALUES (?, 1)", (self.store.id,))
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def catch_up(self) -> int:
        """
        Take over what the journal says since the last time.

        Returns
        -------
        int
            Number of runs that were read.
        """
        return self._safely(self._catch_up)

    def _catch_up(self) -> int:
        folder = self.store.root / "journal"
        known = dict(self._db.execute("SELECT segment, offset FROM positions"))
        news = [s for s, size in journal.sizes(folder).items() if size > known.get(s, 0)]
        waiting = [row[0] for row in self._db.execute("SELECT run FROM unsettled")]
        if not news and not waiting:
            return 0
        count = 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for segment in news:
                # again, inside the transaction: another process may have been here
                row = self._db.execute(
                    "SELECT offset FROM positions WHERE segment = ?", (segment,)
                ).fetchone()
                reading = journal.read_segment(folder, segment, row[0] if row else 0)
                self._note(reading.changes)
                self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (segment, reading.offset))
            for run_id, rev, at in self._db.execute("SELECT run, rev, at FROM unsettled").fetchall():
                count += 1
                if self._load(run_id, None) >= rev or (
                    time.time() - at > GIVE_UP and not self.store.run_exists(run_id)
                ):
                    self._db.execute("DELETE FROM unsettled WHERE run = ?", (run_id,))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return count

    def _note(self, changes: Iterable[journal.Change]) -> None:
        latest: dict[str, int] = {}
        for change in changes:
            latest[change.run] = max(change.rev, latest.get(change.run, 0))
        seen = time.time()  # not when it was announced: a writer's clock may be years behind
        self._db.executemany(
            (
                "INSERT INTO unsettled VALUES (?, ?, ?) ON CONFLICT (run) DO UPDATE SET rev = max(rev, "
                "excluded.rev), at = excluded.at"
            ),
            [(run, rev, seen) for run, rev in latest.items()],
        )

    def _load(self, run_id: str, run: Run | None) -> int:
        """
        Read one run into the index. Its revision; very high when it is removed, -1 when it isn't there (yet)
        or cannot be read.
        """
        try:
            if run is None:
                if self.store.tombstone_path(run_id).exists():
                    self._forget(run_id)
                    return 1 << 62
                run = Run(self.store, run_id)
            record, state, further = run.record(), run.state(), requests.read_further(run.dir)
        except (EsapError, OSError):
            return -1
        named, tags = requests.names(record, further), requests.tags(record, further)
        self._db.execute(
            _UPSERT,
            Row(
                id=record.id,
                rev=state.rev,
                name=next(iter(named), None),
                workflow=record.workflow,
                version=record.version,
                phase=state.phase.value,
                created=record.created,
                started=state.started,
                ended=state.ended,
                owner=record.owner,
                identity=record.identity,
                science=record.science,
                backend=record.backend,
                engine=record.engine,
                progress=msgspec.json.encode(state.progress).decode(),
            ),
        )
        if tags:
            self._db.executemany(
                "INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", [(t, record.created, record.id) for t in tags]
            )
        names.replace(self._db, record.id, named)
        uses.follow(self._db, self.store, record.id, run.dir)
        return state.rev

    def _forget(self, run_id: str) -> None:
        self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
        self._db.execute("DELETE FROM tags WHERE run = ?", (run_id,))
        names.replace(self._db, run_id, {})
        uses.forget(self._db, run_id)

    def named_like(self, text: str, wanted: int) -> list[str] | None:
        """Runs of which a name holds a text. See `esap_wf.runs.index.names.containing`."""
        return self._safely(lambda: names.containing(self._db, text, wanted))

    def _safely(self, action: Callable[[], R]) -> R:
        """Do something; when the file turns out to be broken, make it anew and do it once more."""
        try:
            return action()
        except sqlite3.OperationalError:  # full, read-only now, locked for a minute
            self._give_up_file()
        except sqlite3.DatabaseError:
            try:
                self._remake()
            except (sqlite3.Error, OSError):
                self._give_up_file()
        return action()

    def _give_up_file(self) -> None:
        self._db.close()
        self.path = None
        self._db = _connect(None)
        self.rebuild()

    def rows(self, sql: str, values: list[object]) -> list[Row]:
        """Answer a question."""
        return self._safely(lambda: [Row._make(row) for row in self._db.execute(sql, values)])

    def productions(self, workflow: str, science: str, limit: int) -> list[Production]:
        """What the record of productions has of a science, newest first."""
        folder = self.store.root / "records"
        return self._safely(lambda: records.of_science(self._db, folder, workflow, science, limit))

    def users(self, source: str) -> list[tuple[Row, str]]:
        """Runs that were given results of a run. See `esap_wf.runs.index.uses.of`."""
        return self._safely(lambda: uses.of(self._db, source))

    def count(self) -> int:
        """Number of runs."""
        return int(self._safely(lambda: self._db.execute("SELECT count(*) FROM runs").fetchone()[0]))


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)
    if path is not None:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as error:  # a broken file: seen and made anew by `_prepare`
            if isinstance(error, sqlite3.OperationalError):
                db.close()
                raise
    db.execute("PRAGMA synchronous = OFF" if path is None else "PRAGMA synchronous = NORMAL")
    return db


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time replaces the file."""
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
