"""Which runs used results of which: edges of the index, read anew when a run has another plan."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from esap_wf.errors import EsapError
from esap_wf.runs import origins
from esap_wf.runs.index.schema import COLUMNS, Row
from esap_wf.runs.layout import Layout


def follow(db: sqlite3.Connection, store: Layout, run_id: str, folder: Path) -> None:
    """
    Take over what a run was given by other runs. Its state changes often, its plan hardly ever: a plan that
    is known is not read again.
    """
    stamp = origins.stamp(folder)
    known = db.execute("SELECT stamp FROM plans WHERE run = ?", (run_id,)).fetchone()
    if not stamp or (known is not None and known[0] == stamp):
        return
    try:
        found = origins.of_plan(store, folder)
    except (EsapError, OSError):
        return  # what can't be read now is tried again when the run changes
    if known is not None:
        db.execute("DELETE FROM uses WHERE run = ?", (run_id,))
    db.executemany(
        "INSERT OR IGNORE INTO uses VALUES (?, ?, ?)",
        [(origin.run, run_id, origin.input) for origin in found if origin.run is not None],
    )
    db.execute("INSERT OR REPLACE INTO plans VALUES (?, ?)", (run_id, stamp))


def forget(db: sqlite3.Connection, run_id: str) -> None:
    """A run was removed. What others were given by it stays known."""
    db.execute("DELETE FROM uses WHERE run = ?", (run_id,))
    db.execute("DELETE FROM plans WHERE run = ?", (run_id,))


def of(db: sqlite3.Connection, source: str) -> list[tuple[Row, str]]:
    """Runs that were given results of a run, newest first, and by which input: one entry for each input."""
    columns = ", ".join(f"r.{c}" for c in COLUMNS)
    sql = f"SELECT u.input, {columns} FROM uses u CROSS JOIN runs r ON r.id = u.run WHERE u.source = ?"
    rows = db.execute(f"{sql} ORDER BY r.created DESC, r.id DESC, u.input", (source,))
    return [(Row._make(row), name) for name, *row in rows]
