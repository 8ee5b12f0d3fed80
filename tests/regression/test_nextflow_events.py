"""Events of Nextflow: two of one row of the trace had no marks of their own, so a successor reported a start twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.engines import Cursor
from esap_wf.engines.nextflow.events import NextflowEvents
from esap_wf.engines.nextflow.trace import FIELDS
from esap_wf.models.run import Event

LOG = (
    "Nov-21 09:00:00.000 [main] DEBUG nextflow.cli.Launcher - $> nextflow run x -name run-abc-1 -x\n"
    "Nov-21 09:00:01.000 [main] DEBUG nextflow.Session - Session UUID: 1234\n"
    "Nov-21 09:00:02.000 [Task submitter] INFO  nextflow.Session - [aa/000001] Submitted process > one (1)\n"
    "Nov-21 09:00:03.000 [Task submitter] INFO  nextflow.Session - [bb/000002] Cached process > one (2)\n"
    "Nov-21 09:00:03.100 [Task submitter] INFO  nextflow.Session - [cc/000003] Cached process > one (3)\n"
)
LATER = (
    "Nov-21 09:00:04.000 [Task submitter] INFO  nextflow.Session - [ee/000005] Submitted process > two (1)\n"
)


def row(name: str, hash: str, status: str = "CACHED", **more: str) -> str:
    fields = dict.fromkeys(FIELDS, "-") | {
        "hash": hash,
        "status": status,
        "exit": "0",
        "complete": "1795251602000",
        "attempt": "1",
        "workdir": f"/elsewhere/{hash}",
        "name": name,
    }
    return "\t".join((fields | more).values()) + "\n"


#: Of cached tasks, and of one that could not be submitted, only the trace shows the start.
ROWS = [
    row("one (2)", "bb/000002"),
    row("one (1)", "aa/000001", "COMPLETED"),
    row("one (3)", "cc/000003"),
    row("one (4)", "dd/000004", "FAILED", exit="-", complete="-"),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "abc"
    for name in ("logs", "engine"):
        (run / name).mkdir(parents=True)
    (run / "logs" / "nextflow.log").write_text(LOG)
    (run / "engine" / "1.trace.tsv").write_text("\t".join(FIELDS) + "\n" + "".join(ROWS))
    return run


def read(run: Path, cursor: Cursor = Cursor.START) -> list[Event]:
    source, found = NextflowEvents(run, 1, cursor), []
    while part := source.read():
        found += part
    return found


def named(events: list[Event]) -> list[tuple[str, str | None, str | None]]:
    return [(e.kind, e.step, e.unit) for e in events]


def test_every_event_has_a_mark_of_its_own(run: Path) -> None:
    whole = read(run)
    assert named(whole) == [
        ("engine", None, None),
        ("start", "one", "1"),
        ("start", "one", "2"),
        ("done", "one", "2"),
        ("done", "one", "1"),
        ("start", "one", "3"),
        ("done", "one", "3"),
        ("start", "one", "4"),
        ("failed", "one", "4"),
    ]
    marks = [e.mark for e in whole]
    assert None not in marks and len(set(marks)) == len(marks), marks


def test_a_successor_reports_nothing_twice_whichever_event_was_the_last(run: Path) -> None:
    whole = read(run)
    for number, event in enumerate(whole, start=1):
        assert named(read(run, Cursor.at(event.mark))) == named(whole[number:]), event


def test_the_successor_of_a_successor_neither(run: Path) -> None:
    whole = read(run)
    with (run / "logs" / "nextflow.log").open("a") as log:
        log.write(LATER)
    for number, event in enumerate(whole, start=1):
        rest = read(run, Cursor.at(event.mark))
        assert sorted(named(rest), key=str) == sorted(
            [*named(whole[number:]), ("start", "two", "1")], key=str
        )
        for count, other in enumerate(rest, start=1):
            assert named(read(run, Cursor.at(other.mark))) == named(rest[count:]), (event, other)


def test_marks_of_older_versions_are_understood(run: Path) -> None:
    last = (run / "engine" / "1.trace.tsv").stat().st_size
    log = (run / "logs" / "nextflow.log").stat().st_size
    assert read(run, Cursor.at(f"log:{log},trace:{last}")) == []
    assert named(read(run, Cursor.at(f"log:{log},trace:{last - len(ROWS[-1])}"))) == [
        ("start", "one", "4"),
        ("failed", "one", "4"),
    ]


def test_numbers_that_are_none_are_unknown(run: Path) -> None:
    with (run / "engine" / "1.trace.tsv").open("a") as trace:
        more = {"exit": "inf", "realtime": "nan", "complete": "inf", "peak_rss": "inf", "%cpu": "nan"}
        trace.write(row("one (5)", "ff/000006", "COMPLETED", **more))
    last = read(run)[-1]
    assert (last.kind, last.unit) == ("done", "5")
    assert (last.exit_code, last.memory_bytes, last.cpu_seconds) == (None, None, None)
