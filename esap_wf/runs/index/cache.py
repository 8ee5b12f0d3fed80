"""
The cache behind the index: one SQLite file that follows the store's change journal. Only `esap_wf.runs.index`
imports this.

The store is the truth. Changes are announced before they are made, so a run whose state is older than
announced stays on the list of unsettled ones and is read again each time: a crash between the two cannot
leave a row stale for ever.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isqrt
from pathlib import Path
from typing import TypeVar

import msgspec

from esap_wf.errors import EsapError
from esap_wf.runs import journal, productions, requests
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
                self._note(journal.read(folder, segment).changes[-_BATCH:])
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
                reading = journal.read(folder, segment, row[0] if row else 0)
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
            record, state, further = run.record(), run.state(), requests.read(run.dir)
        except (EsapError, OSError):
            return -1
        names, tags = requests.names(record, further), requests.tags(record, further)
        self._db.execute(
            _UPSERT,
            Row(
                id=record.id,
                rev=state.rev,
                name=next(iter(names), None),
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
        self._name(record.id, names)
        return state.rev

    def _forget(self, run_id: str) -> None:
        self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
        self._db.execute("DELETE FROM tags WHERE run = ?", (run_id,))
        self._name(run_id, {})

    def _name(self, run_id: str, names: Mapping[str, str]) -> None:
        """Names of a run, and since when it has each. They seldom change, its state often does."""
        known = {
            n: (at, number)
            for n, at, number in self._db.execute(
                "SELECT name, at, number FROM names WHERE run = ?", (run_id,)
            )
        }
        if {n: at for n, (at, _) in known.items()} == names:
            return
        found = self._has_letters()
        for name, (_, number) in known.items():
            self._db.execute("DELETE FROM names WHERE number = ?", (number,))
            if found:
                self._db.execute(
                    "INSERT INTO letters (letters, rowid, name) VALUES ('delete', ?, ?)", (number, name)
                )
        for name, at in names.items():
            number = self._db.execute(
                "INSERT INTO names (name, at, run) VALUES (?, ?, ?)", (name, at, run_id)
            ).lastrowid
            if found:
                self._db.execute("INSERT INTO letters (rowid, name) VALUES (?, ?)", (number, name))

    def _has_letters(self) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'letters'").fetchone() is not None

    def named_like(self, text: str, wanted: int) -> list[str] | None:
        """
        Runs of which a name holds a text, in any case of letters.

        Parameters
        ----------
        text : str
        wanted : int
            Of so many of them the newest are looked for.

        Returns
        -------
        list of str or None
            None if they are so many that the newest are sooner found among the newest runs: sorting k of n
            runs costs k, walking along all until there are enough n / k times as many as are wanted.
        """
        return self._safely(lambda: self._named_like(text, wanted))

    def _named_like(self, text: str, wanted: int) -> list[str] | None:
        most = max(
            wanted, isqrt(wanted * (self._db.execute("SELECT max(number) FROM names").fetchone()[0] or 0))
        )
        if len(text) >= 3 and "\0" not in text and self._has_letters():
            source, asked = (
                "letters l CROSS JOIN names n ON n.number = l.rowid WHERE letters MATCH ?",
                '"' + text.replace('"', '""') + '"',
            )
        else:
            source, asked = "names n WHERE instr(lower(n.name), lower(?))", text
        found = [row[0] for row in self._db.execute(f"SELECT n.run FROM {source} LIMIT ?", (asked, most + 1))]
        return list(dict.fromkeys(found)) if len(found) <= most else None

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
        """
        What the record of productions has of a science, newest first. The record is followed when it is asked
        for, no earlier.
        """
        return self._safely(lambda: self._productions(workflow, science, limit))

    def _productions(self, workflow: str, science: str, limit: int) -> list[Production]:
        if productions.size(self.store.root / "records", workflow) != self._recorded(workflow):
            self._follow_record(workflow)
        sql = "SELECT run, science, owner, created FROM productions WHERE workflow = ? AND science = ?"
        rows = self._db.execute(f"{sql} ORDER BY created DESC, run DESC LIMIT ?", (workflow, science, limit))
        return [Production(*row) for row in rows]

    def _recorded(self, workflow: str) -> int:
        row = self._db.execute("SELECT offset FROM records WHERE workflow = ?", (workflow,)).fetchone()
        return int(row[0]) if row else 0

    def _follow_record(self, workflow: str) -> None:
        folder = self.store.root / "records"
        self._db.execute("BEGIN IMMEDIATE")
        try:
            # again, inside the transaction: another process may have been here
            offset = self._recorded(workflow)
            if productions.size(folder, workflow) < offset:  # restored from a backup, or repaired
                self._db.execute("DELETE FROM productions WHERE workflow = ?", (workflow,))
                offset = 0
            insert = "INSERT OR REPLACE INTO productions VALUES (?, ?, ?, ?, ?)"
            end = offset
            for entry, end in productions.follow(folder, workflow, offset):  # noqa: B007
                if entry is not None:
                    self._db.execute(insert, (workflow, entry.run, entry.science, entry.owner, entry.created))
            self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (workflow, end))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

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
