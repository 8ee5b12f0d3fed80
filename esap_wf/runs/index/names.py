"""Names of runs in the index, and which of them hold a text."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from math import isqrt


def replace(db: sqlite3.Connection, run_id: str, names: Mapping[str, str]) -> None:
    """Set the names of a run, and since when it has each. They seldom change, its state often does."""
    known = {
        name: (at, number)
        for name, at, number in db.execute("SELECT name, at, number FROM names WHERE run = ?", (run_id,))
    }
    if {name: at for name, (at, _) in known.items()} == names:
        return
    searched = _has_letters(db)
    for name, (_, number) in known.items():
        db.execute("DELETE FROM names WHERE number = ?", (number,))
        if searched:
            db.execute("INSERT INTO letters (letters, rowid, name) VALUES ('delete', ?, ?)", (number, name))
    for name, at in names.items():
        number = db.execute(
            "INSERT INTO names (name, at, run) VALUES (?, ?, ?)", (name, at, run_id)
        ).lastrowid
        if searched:
            db.execute("INSERT INTO letters (rowid, name) VALUES (?, ?)", (number, name))


def containing(db: sqlite3.Connection, text: str, wanted: int) -> list[str] | None:
    """
    Runs of which a name holds a text, in any case of letters.

    Parameters
    ----------
    db : sqlite3.Connection
    text : str
    wanted : int
        Of so many of them the newest are looked for.

    Returns
    -------
    list of str or None
        None if they are so many that the newest are sooner found among the newest runs: sorting k of n runs
        costs k, walking along all until there are enough n / k times as many as are wanted.
    """
    number = db.execute("SELECT max(number) FROM names").fetchone()[0] or 0
    most = max(wanted, isqrt(wanted * number))
    if len(text) >= 3 and "\0" not in text and _has_letters(db):
        source = "letters l CROSS JOIN names n ON n.number = l.rowid WHERE letters MATCH ?"
        asked = '"' + text.replace('"', '""') + '"'
    else:
        source, asked = "names n WHERE instr(lower(n.name), lower(?))", text
    found = [row[0] for row in db.execute(f"SELECT n.run FROM {source} LIMIT ?", (asked, most + 1))]
    return list(dict.fromkeys(found)) if len(found) <= most else None


def _has_letters(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'letters'").fetchone() is not None
