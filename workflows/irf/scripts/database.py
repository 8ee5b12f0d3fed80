"""
The production database: one JSON document with tables of instrument parameters and of earlier productions.

Standard library only. Writers take a lock, replace the file in one step and rewrite the readable page beside
it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from documents import read_json, write_json, write_text

#: table, column -> parameter that must match, columns taken: `select` of workflow.yaml
SELECTIONS: tuple[tuple[str, dict[str, str], tuple[str, ...]], ...] = (
    ("periods", {"period": "period", "site": "site"}, ("optical_throughput", "pointing_error_deg")),
    ("models", {"model": "model", "site": "site"}, ("transmission", "light_pool_scale")),
    ("sites", {"site": "site"}, ("altitude_m", "field_ut", "field_inclination_deg", "field_declination_deg")),
    (
        "arrays",
        {"array": "array", "site": "site"},
        (
            "telescopes",
            "threshold_tev",
            "light_pool_radius_m",
            "angular_floor_deg",
            "angular_threshold_deg",
            "energy_floor",
            "energy_threshold",
        ),
    ),
    (
        "systematics",
        {"systematics": "systematics"},
        ("throughput_factor", "direction_factor", "resolution_factor", "hadron_score_shift"),
    ),
)


def lookup(database: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    Columns of the rows that fit the parameters.

    Raises
    ------
    LookupError
        A table has no row that fits, or several, or the row lacks a column.
    """
    chosen: dict[str, Any] = {}
    for table, match, columns in SELECTIONS:
        rows = [
            r for r in database.get(table, []) if all(r.get(c) == parameters[p] for c, p in match.items())
        ]
        wanted = ", ".join(f"{c} = {parameters[p]}" for c, p in match.items())
        if len(rows) != 1:
            raise LookupError(
                f"production database: {len(rows) or 'no'} rows of {table} with {wanted}, one is needed"
            )
        missing = [c for c in columns if c not in rows[0]]
        if missing:
            raise LookupError(f"production database: {table} with {wanted} lacks {', '.join(missing)}")
        chosen |= {c: rows[0][c] for c in columns}
    return chosen


def productions_of(database: Mapping[str, Any], simulation: str) -> list[dict[str, Any]]:
    """Earlier productions that rest on a simulation."""
    return [p for p in database.get("productions", []) if p.get("simulation") == simulation]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Exclusive lock on a database, held on a file beside it because the database itself is replaced."""
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o664)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def accepts_records(path: Path, shipped: Path) -> str:
    """Why a database takes no record, empty if it does. What is shipped with the workflow never changes."""
    resolved = path.resolve()
    # a run uses a snapshot of the workflow, so that the place alone doesn't tell
    if shipped.resolve() in resolved.parents or read_json(resolved).get("read_only"):
        return "it is shipped with the workflow; give a copy of your own without `read_only`"
    if not os.access(resolved, os.W_OK) or not os.access(resolved.parent, os.W_OK):
        return "it is read-only"
    return ""


def add_production(path: Path, record: Mapping[str, Any]) -> bool:
    """
    Add a record; the same record twice is one.

    Parameters
    ----------
    path : Path
        The database. A symbolic link is followed, so that it is not replaced by a file.
    record : mapping
        ``outputs/production.json``; equal ``simulation``, ``kind`` and ``irf.sha256`` mean the same
        production.

    Returns
    -------
    bool
        False if it was there.
    """
    path = path.resolve()
    with locked(path):
        database = read_json(path)
        rows = database.setdefault("productions", [])
        key = ("simulation", "kind", "irf")
        if any(all(row.get(k) == record.get(k) for k in key) for row in rows):
            return False
        rows.append(dict(record))
        write_json(path, database)
        write_text(path.with_suffix(".md"), page(database))
    return True


def cell(value: Any) -> str:
    """A value inside a Markdown table."""
    text = "–" if value is None else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def page(database: Mapping[str, Any]) -> str:
    """The database as a Markdown page: productions, then the tables of the instrument."""
    lines = [f"# {cell(database.get('title', 'Production database'))}", ""]
    rows = database.get("productions", [])
    lines += ["## Productions", ""]
    if rows:
        columns = ("period", "model", "systematics", "site", "array", "zenith", "azimuth", "seed")
        lines += [
            "| simulation | kind | valid | " + " | ".join(columns) + " | IRF |",
            "|" + "---|" * (len(columns) + 4),
        ]
        for row in rows:
            cells = [row.get("simulation"), row.get("kind"), "yes" if row.get("valid") else "no"]
            cells += [row.get("parameters", {}).get(c) for c in columns]
            cells.append(f"sha256 {str(row.get('irf', {}).get('sha256', ''))[:16]}")
            lines.append("| " + " | ".join(map(cell, cells)) + " |")
    else:
        lines.append("None yet.")
    for table, _, _ in SELECTIONS:
        rows = database.get(table, [])
        if rows:
            columns = tuple(rows[0])
            lines += [
                "",
                f"## {table.capitalize()}",
                "",
                "| " + " | ".join(map(cell, columns)) + " |",
                "|" + "---|" * len(columns),
            ]
            lines += ["| " + " | ".join(cell(row.get(c)) for c in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"
