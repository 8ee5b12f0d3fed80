"""Runs as a list that fits a terminal. Light."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from esap_wf.cli.output import table
from esap_wf.cli.times import age, lasting, local, seconds_of
from esap_wf.formats.printing import clipped, one_line
from esap_wf.runs.index import Row

#: Columns from which on a list shows more.
WIDE = 120
#: Letters that are left of a name or a workflow at least.
LEAST = 6


def list_text(rows: Sequence[Row], width: int, now: datetime | None = None) -> str:
    """
    A table of runs.

    Parameters
    ----------
    rows : sequence of Row
    width : int
        Columns of the terminal: names and workflows are cut until it fits, owner and start are shown where
        there is room.
    now : datetime, optional
        From which ages are counted.
    """
    now = now or datetime.now(UTC)
    header = ["run", "phase", "workflow", "name", "done", "created", "took"]
    counts = [r.counts() for r in rows]
    lines = [
        [
            r.id,
            r.phase,
            one_line(r.workflow),
            one_line(r.name or ""),
            f"{p.units_done}/{p.units_total}",
            age(r.created, now),
            lasting(seconds_of(r.started, r.ended, now)),
        ]
        for r, p in zip(rows, counts, strict=True)
    ]
    if width >= WIDE:
        header += ["failed", "owner", "started"]
        lines = [
            [*line, str(p.units_failed or p.jobs_failed), one_line(r.owner), local(r.started)]
            for line, r, p in zip(lines, rows, counts, strict=True)
        ]
    sizes = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    over = sum(sizes) + 2 * (len(sizes) - 1) - width
    while over > 0 and max(sizes[2], sizes[3]) > LEAST:
        longer = 2 if sizes[2] >= sizes[3] else 3
        sizes[longer] -= 1
        over -= 1
    return table(
        [[_cut(cell, sizes[i]) if i in (2, 3) else cell for i, cell in enumerate(line)] for line in lines],
        header,
    )


def _cut(text: str, width: int) -> str:
    """The beginning and the end of a text that is too long: runs of a series differ at their ends."""
    return clipped(text, width, (width - 1) // 3)
