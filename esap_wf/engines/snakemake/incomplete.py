"""
Snakemake's marks of outputs that a job was about to write: files below ``.snakemake/incomplete``, each with
the id of the job if that was submitted.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path


def unmark(folders: Iterable[Path], ids: Collection[str]) -> int:
    """
    Remove the marks of some jobs.

    Parameters
    ----------
    folders : iterable of Path
    ids : collection of str
        Of jobs that have ended well, for sure.

    Returns
    -------
    int
        How many there were.
    """
    removed = 0
    for folder in folders:
        for mark in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if mark.is_file() and _job(mark) in ids:
                mark.unlink(missing_ok=True)
                removed += 1
    return removed


def _job(mark: Path) -> str | None:
    try:
        said = json.loads(mark.read_bytes()).get("external_jobid")
    except (OSError, ValueError, AttributeError):
        return None
    return str(said) if said else None
