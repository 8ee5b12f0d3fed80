"""Records that an engine writes: what is read of them from a cursor on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines import Cursor, following
from esap_wf.engines.command.engine import Command
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.cwl.toil import Toil
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.models.run import Event


class Numbers(following.Record):
    """A line is the number of events that it tells."""

    def events_of(self, line: bytes) -> Iterable[Event]:
        return [Event(t=0.0, kind="done", unit=str(i)) for i in range(int(line))]


@given(st.one_of(st.integers(), st.text(), st.none()))
def test_no_mark_of_a_plugin_is_taken_for_a_lost_cursor(mark: int | str | None) -> None:
    assert Cursor.at(mark) != Cursor.LOST and not Cursor.at(mark).lost
    assert (Cursor.at(mark) == Cursor.START) == (mark is None)
    assert Cursor.LOST not in (mark, Cursor.START)


@given(st.lists(st.integers(0, 3), max_size=12), st.data())
def test_whoever_reads_on_behind_a_mark_is_reported_the_rest_and_nothing_twice(
    counts: list[int], data: st.DataObject
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record")
        record.write_bytes("".join(f"{n}\n" for n in counts).encode() + b"2")  # the last line isn't whole
        whole = Numbers(record).read()
        assert len(whole) == sum(counts)
        cursor = Cursor.at(data.draw(st.sampled_from([e.mark for e in whole]))) if whole else Cursor.START
        rest = Numbers(record, following.offset_of(cursor, record)).read()
        assert rest == [e for e in whole if cursor.mark is None or e.mark > cursor.mark]  # type: ignore[operator]


STARTED = {
    "snakemake": (
        Snakemake(),
        "1.snakemake.jsonl",
        b'{"t": 1.0, "event": "job_info", "rule": "a", "jobid": 1}\n',
    ),
    "cwl": (Cwltool(), "1.cwl.jsonl", b'{"t": 1.0, "anew": true}\n'),
    "toil": (Toil(), "1.cwl.jsonl", b'{"t": 1.0, "anew": true}\n'),
    "command": (Command(), "1.steps.tsv", b"1.0\tstart\ta\t\n"),
}


@pytest.mark.parametrize("name", STARTED)
def test_what_an_engine_tells_after_its_cursor_was_lost_is_passed_on(name: str, tmp_path: Path) -> None:
    engine, file, line = STARTED[name]
    (tmp_path / "engine").mkdir()
    record = tmp_path / "engine" / file
    record.write_bytes(line)
    source = engine.events(tmp_path, 1, Cursor.LOST)
    assert source.read() == []
    with record.open("ab") as more:
        more.write(line)
    assert [e.kind for e in source.read() if e.kind != "plan"] in (["start"], ["anew"])


def test_marks_stand_in_the_event_log_as_those_of_older_versions() -> None:
    event = Event(t=1.0, kind="done", epoch=1, mark="log:3,trace:4")
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "t": 1.0,
        "kind": "done",
        "epoch": 1,
        "source": "log:3,trace:4",
    }
    assert msgspec.json.decode(b'{"t": 1, "kind": "done", "source": 7}', type=Event).mark == 7
