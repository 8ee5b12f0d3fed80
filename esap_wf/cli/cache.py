"""The verb cache: files that were fetched for runs."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from esap_wf.cli.output import Answer, table
from esap_wf.cli.setup import group
from esap_wf.cli.times import age
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.quantities import human_bytes, human_count, to_bytes

cache = group("cache", "Files that were fetched for runs: each once, whoever needs it.")
#: Rows that are shown to people; the JSON has all.
SHOWN = 50


@cache.command("list", examples=["esap-wf cache list"])
@click.pass_obj
def list_(answer: Answer) -> None:
    """Show what is there, what runs use, and how much space the rest takes."""
    from esap_wf.transfers import references

    there = sorted(references.cache_of(answer.config()).entries(), key=lambda e: -e.last)
    rows = [
        {
            "sha256": one.sha256,
            "bytes": one.bytes,
            "used": one.used,
            "last": datetime.fromtimestamp(one.last, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for one in there
    ]
    total, idle = sum(e.bytes for e in there), sum(e.bytes for e in there if not e.used)
    cells = [
        [str(r["sha256"])[:16], human_bytes(e.bytes), "by a run" if e.used else "no", age(str(r["last"]))]
        for r, e in zip(rows[:SHOWN], there, strict=False)
    ]
    text = table(cells, ["sha256", "size", "in use", "last wanted"]) if rows else "nothing was fetched yet"
    more = len(rows) - SHOWN
    text += f"\n… and {human_count(more, 'more file')}: --json lists all" if more > 0 else ""
    if rows:
        text += f"\n{human_count(len(rows), 'file')}, {human_bytes(total)}; {human_bytes(idle)} not in use"
    answer.give({"entries": rows, "bytes": total, "unused_bytes": idle}, text)


@cache.command("gc", examples=["esap-wf cache gc", "esap-wf cache gc --most '20 GB'"])
@click.option(
    "--most",
    metavar="BYTES",
    default="0 B",
    show_default=True,
    help="How much may stay; what was wanted last stays longest. What runs use always stays.",
)
@click.pass_obj
def collect(answer: Answer, most: str) -> None:
    """Remove files that no run uses. They are fetched again when they are needed."""
    from esap_wf.transfers import references

    try:
        allowed = int(to_bytes(most))
    except (UsageError, ValueError) as error:
        raise UsageError("the command line is not valid", [Problem("--most", str(error))]) from None
    gone = references.cache_of(answer.config()).collect(allowed)
    freed = sum(one.bytes for one in gone)
    data = {"removed": [one.sha256 for one in gone], "bytes": freed}
    answer.give(data, f"{human_count(len(gone), 'file')} removed, {human_bytes(freed)}")
