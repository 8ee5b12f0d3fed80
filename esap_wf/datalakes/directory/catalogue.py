"""The catalogue of a lake in a folder: ``catalogue.sqlite``. SQL of lakes is in this module only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from esap_wf.models.data import Content, Did, Entry

VERSION = 1
#: Seconds for which a writer waits for another one.
PATIENCE = 60.0

_TABLES = (
    """CREATE TABLE dids (
        scope TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, bytes INTEGER,
        sha256 TEXT, adler32 TEXT, created TEXT NOT NULL, account TEXT NOT NULL, metadata TEXT NOT NULL,
        expires REAL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (scope, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE parts (
        scope TEXT, name TEXT, part_scope TEXT, part_name TEXT,
        PRIMARY KEY (scope, name, part_scope, part_name)
    ) WITHOUT ROWID""",
    "CREATE INDEX wholes ON parts (part_scope, part_name)",
    """CREATE TABLE replicas (
        scope TEXT, name TEXT, rse TEXT, until REAL, PRIMARY KEY (scope, name, rse)
    ) WITHOUT ROWID""",
    """CREATE TABLE recalls (
        scope TEXT, name TEXT, ready REAL NOT NULL, until REAL NOT NULL, PRIMARY KEY (scope, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE scopes (scope TEXT PRIMARY KEY, account TEXT NOT NULL, readers TEXT) WITHOUT ROWID",
    "CREATE TABLE writers (scope TEXT, account TEXT, PRIMARY KEY (scope, account)) WITHOUT ROWID",
)


class Scope(NamedTuple):
    """
    Who may do what in a scope: its account and the writers everything; `readers` None: everybody may read.
    """

    name: str
    account: str
    readers: frozenset[str] | None
    writers: frozenset[str]

    def may_read(self, account: str) -> bool:
        """Whether an account may know of what is in it."""
        return self.readers is None or account in self.readers or self.may_write(account)

    def may_write(self, account: str) -> bool:
        """Whether an account may store in it."""
        return account == self.account or account in self.writers


class Catalogue:
    """
    An open catalogue.

    Parameters
    ----------
    path : Path
        Its file. It need not be there: nothing is known then, and `writing` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._is_made = False

    def close(self) -> None:
        """Close it."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # shared by users and, it may be, by hosts: no write-ahead log
            self._db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                self.close()
                raise sqlite3.DatabaseError(f"it is of version {version}, this esap-wf knows {VERSION}")
        return self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or nothing; one writer at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for table in _TABLES:
                    db.execute(table)
                db.execute(f"PRAGMA user_version = {VERSION}")
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All questions inside see the same, and together cost little more than one."""
        if not self._is_there() or self._open().in_transaction:
            yield
            return
        db = self._open()
        db.execute("BEGIN")
        try:
            yield
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _asked(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._open().execute(question, values).fetchall() if self._is_there() else []

    def _is_there(self) -> bool:
        """Whether it has its tables; looked up until it has."""
        if self._db is None and not self.path.exists():
            return False
        db = self._open()
        if not self._is_made and not db.in_transaction:  # in one of its own it may still be rolled back
            self._is_made = db.execute("PRAGMA user_version").fetchone()[0] != 0
        return self._is_made or db.in_transaction

    # --- scopes

    def scope(self, name: str) -> Scope | None:
        """Who may do what in a scope; None if there is none."""
        rows = self._asked("SELECT account, readers FROM scopes WHERE scope = ?", [name])
        if not rows:
            return None
        account, readers = rows[0]
        writers = self._asked("SELECT account FROM writers WHERE scope = ?", [name])
        known = None if readers is None else frozenset(msgspec.json.decode(readers, type=list[str]))
        return Scope(name, account, known, frozenset(w for (w,) in writers))

    def keep_scope(self, scope: Scope) -> None:
        """Write down who may do what; inside of `writing`."""
        readers = None if scope.readers is None else msgspec.json.encode(sorted(scope.readers)).decode()
        db = self._open()
        db.execute("INSERT OR REPLACE INTO scopes VALUES (?, ?, ?)", [scope.name, scope.account, readers])
        db.execute("DELETE FROM writers WHERE scope = ?", [scope.name])
        db.executemany("INSERT INTO writers VALUES (?, ?)", [(scope.name, w) for w in sorted(scope.writers)])

    # --- names

    def find(
        self, scope: str, pattern: str, content: Content | None, metadata: Mapping[str, Any], now: float
    ) -> Iterator[Did]:
        """Names that fit, sorted; ``*`` alone is special in a pattern."""
        where = ["scope = ?", "name GLOB ?", "NOT gone", "(expires IS NULL OR expires > ?)"]
        values: list[Any] = [scope, "".join(f"[{c}]" if c in "?[" else c for c in pattern), now]
        if content is not None:
            where.append("content = ?")
            values.append(content.value)
        rows = self._asked(
            f"SELECT name, metadata FROM dids WHERE {' AND '.join(where)} ORDER BY name",
            values,
        )
        for name, kept in rows:
            if not metadata or metadata.items() <= msgspec.json.decode(kept).items():
                yield Did(scope, name)

    def entries(self, dids: Iterable[Did], now: float) -> dict[Did, Entry]:
        """What is known of names that stand for something."""
        return {e.did: e for e, gone in self._rows(dids, now) if not gone}

    def known(self, did: Did, now: float) -> tuple[Entry, bool] | None:
        """What a name stands for, or once did, and whether that is gone; None: nobody has used it."""
        return next(iter(self._rows([did], now)), None)

    def _rows(self, dids: Iterable[Did], now: float) -> Iterator[tuple[Entry, bool]]:
        for scope, named in _by_scope(dids).items():
            for row in self._asked(
                f"SELECT {_ROW} FROM dids WHERE scope = ? AND name IN (SELECT value FROM json_each(?))",
                [scope, named],
            ):
                *_, expires, gone = row
                yield _entry(row), bool(gone) or (expires is not None and expires <= now)

    def add(self, entry: Entry, expires: float | None) -> None:
        """A name that nobody has used; inside of `writing`."""
        sums = entry.checksums
        self._open().execute(
            f"INSERT INTO dids ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            [
                *(entry.did.scope, entry.did.name, entry.content.value, entry.bytes),
                *(sums.get("sha256"), sums.get("adler32"), entry.created, entry.account),
                *(msgspec.json.encode(entry.metadata).decode(), expires),
            ],
        )

    def prolong(self, did: Did, expires: float | None) -> None:
        """Keep something for longer than was said before, never shorter; inside of `writing`."""
        self._open().execute(
            "UPDATE dids SET expires = "
            "CASE WHEN ? IS NULL OR expires IS NULL THEN NULL ELSE max(expires, ?) END "
            "WHERE scope = ? AND name = ?",
            [expires, expires, did.scope, did.name],
        )

    def describe(self, did: Did, metadata: Mapping[str, Any]) -> None:
        """Replace what else is known of a name; inside of `writing`."""
        self._open().execute(
            "UPDATE dids SET metadata = ? WHERE scope = ? AND name = ?",
            [msgspec.json.encode(metadata).decode(), did.scope, did.name],
        )

    def end(self, did: Did) -> None:
        """The name stands for nothing any more, for ever; inside of `writing`."""
        db = self._open()
        db.execute("UPDATE dids SET gone = 1 WHERE scope = ? AND name = ?", _key(did))
        db.execute("DELETE FROM parts WHERE part_scope = ? AND part_name = ?", _key(did))
        for table in ("parts", "replicas", "recalls"):
            db.execute(f"DELETE FROM {table} WHERE scope = ? AND name = ?", _key(did))

    def ended(self, now: float) -> list[Did]:
        """Names whose time is over, and whose copies are still there."""
        rows = self._asked("SELECT scope, name FROM dids WHERE NOT gone AND expires <= ?", [now])
        return [Did(*row) for row in rows]

    # --- parts

    def parts(self, did: Did) -> list[tuple[Did, Content]]:
        """What a dataset or a container holds, by name."""
        rows = self._asked(
            "SELECT p.part_scope, p.part_name, d.content FROM parts p JOIN dids d "
            "ON d.scope = p.part_scope AND d.name = p.part_name "
            "WHERE p.scope = ? AND p.name = ? AND NOT d.gone ORDER BY p.part_scope, p.part_name",
            _key(did),
        )
        return [(Did(scope, name), Content(content)) for scope, name, content in rows]

    def attach(self, did: Did, parts: Iterable[Did]) -> None:
        """Inside of `writing`."""
        self._open().executemany(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?)", [(*_key(did), *_key(p)) for p in parts]
        )

    # --- copies

    def replicas(self, dids: Iterable[Did], now: float) -> dict[Did, list[str]]:
        """Storage elements that have copies."""
        found: dict[Did, list[str]] = {did: [] for did in dids}
        for scope, named in _by_scope(found).items():
            rows = self._asked(
                "SELECT name, rse FROM replicas WHERE scope = ? AND name IN (SELECT value FROM json_each(?)) "
                "AND (until IS NULL OR until > ?) ORDER BY rse",
                [scope, named, now],
            )
            for name, rse in rows:
                found[Did(scope, name)].append(rse)
        return found

    def has(self, did: Did, rse: str, until: float | None) -> None:
        """A storage element has a copy, until a time or for ever; inside of `writing`."""
        self._open().execute(
            "INSERT INTO replicas VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET until = "
            "CASE WHEN until IS NULL OR excluded.until IS NULL THEN NULL ELSE max(until, excluded.until) END",
            [*_key(did), rse, until],
        )

    def recalls(self, dids: Iterable[Did]) -> dict[Did, tuple[float, float]]:
        """When files that were asked for are ready, and until when."""
        return {
            Did(scope, name): (ready, until)
            for scope, named in _by_scope(dids).items()
            for name, ready, until in self._asked(
                "SELECT name, ready, until FROM recalls "
                "WHERE scope = ? AND name IN (SELECT value FROM json_each(?))",
                [scope, named],
            )
        }

    def ask(self, did: Did, ready: float, until: float) -> None:
        """A file is to be recalled; asked for again it only stays longer. Inside of `writing`."""
        self._open().execute(
            "INSERT INTO recalls VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
            [*_key(did), ready, until],
        )

    def answered(self, did: Did) -> None:
        """Inside of `writing`."""
        self._open().execute("DELETE FROM recalls WHERE scope = ? AND name = ?", _key(did))


_CONTENTS = {content.value: content for content in Content}
_ROW = "scope, name, content, bytes, sha256, adler32, created, account, metadata, expires, gone"


def _key(did: Did) -> tuple[str, str]:
    """As SQLite is given it."""
    return (did.scope, did.name)


def _by_scope(dids: Iterable[Did]) -> dict[str, str]:
    """Names by scope, as SQLite is given many of them."""
    found: dict[str, list[str]] = {}
    for did in dids:
        found.setdefault(did.scope, []).append(did.name)
    return {scope: msgspec.json.encode(named).decode() for scope, named in found.items()}


def _entry(row: tuple[Any, ...]) -> Entry:
    scope, name, content, size, sha256, adler32, created, account, metadata, expires, _ = row
    sums = {"sha256": sha256} if sha256 else {}
    if adler32:
        sums["adler32"] = adler32
    return Entry(
        did=Did(scope, name),
        content=_CONTENTS[content],
        bytes=size,
        checksums=sums,
        created=created,
        account=account,
        metadata={} if metadata == "{}" else msgspec.json.decode(metadata),
        expires=None if expires is None else instant(expires),
    )


def instant(seconds: float) -> str:
    """A time as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
