"""Tables and rows of the index. A change of any table needs a new `VERSION`: indices are made anew."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from esap_wf.models.run import Progress

VERSION = 5


class Row(NamedTuple):
    """A run as a list shows it, from the index; `live` refreshes rows of active runs."""

    id: str
    rev: int
    name: str | None
    workflow: str
    version: str
    phase: str
    created: str
    started: str | None
    ended: str | None
    owner: str
    identity: str
    science: str | None
    backend: str
    engine: str
    progress: str

    def counts(self) -> Progress:
        """The counts of the run."""
        return msgspec.json.decode(self.progress, type=Progress)


COLUMNS = Row._fields

TABLES = (
    """CREATE TABLE runs (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, name TEXT, workflow TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL,
        created TEXT NOT NULL, started TEXT, ended TEXT, owner TEXT NOT NULL, identity TEXT NOT NULL, science TEXT,
        backend TEXT NOT NULL, engine TEXT NOT NULL, progress TEXT NOT NULL
    ) WITHOUT ROWID""",
    ("CREATE TABLE tags (tag TEXT, created TEXT, run TEXT, PRIMARY KEY (tag, created, run)) WITHOUT ROWID"),
    (
        "CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT NOT NULL, run "
        "TEXT NOT "
        "NULL)"
    ),
    "CREATE TABLE positions (segment TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
    ("CREATE TABLE unsettled (run TEXT PRIMARY KEY, rev INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID"),
    """CREATE TABLE productions (
        workflow TEXT, run TEXT, science TEXT NOT NULL, owner TEXT NOT NULL, created TEXT NOT NULL, PRIMARY KEY (workflow, run)
    ) WITHOUT ROWID""",
    "CREATE TABLE records (workflow TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
    # a run was given results of another one, the source; the plan by which that is known
    "CREATE TABLE uses (source TEXT, run TEXT, input TEXT, PRIMARY KEY (source, run, input)) WITHOUT ROWID",
    "CREATE TABLE plans (run TEXT PRIMARY KEY, stamp TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (store TEXT NOT NULL, complete INTEGER NOT NULL)",
)

#: Which names hold a text, by their triples of letters. SQLite before 3.34 has no trigrams, and some are
#: built without FTS5: names are read one by one there.
LETTERS = (
    "CREATE VIRTUAL TABLE letters USING fts5(name, content='names', content_rowid='number', "
    "tokenize='trigram')"
)

#: Each list has an index in its own order, so a page costs the same however many runs there are. Made after
#: the rows: that is quicker.
INDICES = (
    "CREATE INDEX by_created ON runs (created, id)",
    "CREATE INDEX by_phase ON runs (phase, created, id)",
    "CREATE INDEX by_workflow ON runs (workflow, created, id)",
    "CREATE INDEX by_workflow_phase ON runs (workflow, phase, created, id)",
    "CREATE INDEX by_owner ON runs (owner, created, id)",
    "CREATE INDEX by_owner_phase ON runs (owner, phase, created, id)",
    "CREATE INDEX by_owner_workflow ON runs (owner, workflow, created, id)",
    "CREATE INDEX by_identity ON runs (identity, created, id)",
    "CREATE INDEX by_science ON runs (science, created, id) WHERE science IS NOT NULL",
    "CREATE INDEX tags_of_run ON tags (run)",
    "CREATE INDEX by_name ON names (name, at, run)",
    "CREATE INDEX names_of_run ON names (run)",
    "CREATE INDEX uses_of_run ON uses (run)",
    "CREATE INDEX productions_by_science ON productions (workflow, science, created, run)",
)
