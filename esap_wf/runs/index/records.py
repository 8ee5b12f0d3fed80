"""The record of productions in the index: it is followed when it is asked for, no earlier."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from esap_wf.runs import productions
from esap_wf.runs.productions import Production


def of_science(
    db: sqlite3.Connection, folder: Path, workflow: str, science: str, limit: int
) -> list[Production]:
    """
    What the record of productions has of a science, newest first.

    Parameters
    ----------
    db : sqlite3.Connection
    folder : Path
        ``records/`` of the store.
    workflow, science : str
    limit : int
    """
    if productions.size(folder, workflow) != _offset(db, workflow):
        _follow(db, folder, workflow)
    sql = "SELECT run, science, owner, created FROM productions WHERE workflow = ? AND science = ?"
    rows = db.execute(f"{sql} ORDER BY created DESC, run DESC LIMIT ?", (workflow, science, limit))
    return [Production(*row) for row in rows]


def _offset(db: sqlite3.Connection, workflow: str) -> int:
    """Up to which byte the record of a workflow is in the index."""
    row = db.execute("SELECT offset FROM records WHERE workflow = ?", (workflow,)).fetchone()
    return int(row[0]) if row else 0


def _follow(db: sqlite3.Connection, folder: Path, workflow: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        # asked for once more, inside the transaction: another process may have been here
        end = offset = _offset(db, workflow)
        if productions.size(folder, workflow) < offset:  # restored from a backup, or repaired
            db.execute("DELETE FROM productions WHERE workflow = ?", (workflow,))
            end = offset = 0
        insert = "INSERT OR REPLACE INTO productions VALUES (?, ?, ?, ?, ?)"
        for entry, end in productions.follow(folder, workflow, offset):  # noqa: B007
            if entry is not None:
                db.execute(insert, (workflow, entry.run, entry.science, entry.owner, entry.created))
        db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (workflow, end))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
