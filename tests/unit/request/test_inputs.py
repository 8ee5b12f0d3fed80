"""Inputs: references, tables, rows looked up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from esap_wf.errors import UsageError
from esap_wf.formats import tables
from esap_wf.request import inputs, rows

ROW = {
    "type": "object",
    "additionalProperties": False,
    "required": ["unit"],
    "properties": {
        "unit": {"type": "string", "pattern": "^[a-z0-9-]+$"},
        "seconds": {"type": "number", "minimum": 0},
        "n": {"type": "integer"},
    },
}


@pytest.fixture
def workflow(toy: Any) -> Any:
    declared = {
        "events": {"title": "Events", "many": True, "extensions": [".fits", ".txt"]},
        "database": {"title": "Database", "required": False, "default": "db.json"},
        "units": {"title": "Units", "required": False, "rows": "rows.json"},
        "folder": {"title": "Folder", "required": False},
    }
    return toy({}, {"inputs": declared}, files={"db.json": "{}", "rows.json": json.dumps(ROW)})


def resolve(workflow: Any, tmp_path: Path, **given: Any) -> tuple[dict[str, Any], str]:
    refs = {k: v if isinstance(v, list) else [str(v)] for k, v in given.items()}
    found, problems = inputs.resolve(workflow, refs, tmp_path / "cache")
    return found, "\n".join(map(str, problems))


def table(tmp_path: Path, text: str, name: str = "t.csv") -> int:
    (tmp_path / name).write_text(text)
    return rows.check_table(tmp_path / name, ROW)


def wrong(tmp_path: Path, text: str, name: str = "t.csv") -> str:
    with pytest.raises(UsageError) as caught:
        table(tmp_path, text, name)
    return "\n".join(map(str, caught.value.problems))


def test_a_file_becomes_a_reference_with_size_and_checksum(workflow: Any, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("data")
    found, problems = resolve(workflow, tmp_path, events=tmp_path / "a b.txt")
    assert not problems
    (ref,) = found["events"]
    assert (ref.path, ref.bytes, ref.strength) == (str(tmp_path / "a b.txt"), 4, "checksum")
    assert ref.checksum.startswith("sha256:3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7")
    assert ref.uri.endswith("/a%20b.txt")
    again, _ = resolve(workflow, tmp_path, events=ref.uri)
    assert again["events"] == [ref], "a file:// URL names the same file"
    assert found["database"][0].path == str(workflow.folder / "db.json")


def test_relative_paths_are_those_of_the_caller(
    workflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    found, _ = resolve(workflow, tmp_path, events="a.txt")
    assert found["events"][0].path == str(tmp_path / "a.txt")


def test_all_problems_of_all_inputs_are_told_at_once(workflow: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "events.txt").write_text("")
    _, problems = resolve(
        workflow,
        tmp_path,
        events=[str(tmp_path / "a.csv"), str(tmp_path / "event.txt")],
        databse="x",
        database=["a", "b"],
    )
    for said in (
        "Events must be a file whose name ends with .fits or .txt",
        "did you mean events.txt?",
        "did you mean database?",
        "takes one file or folder, but 2 were given",
    ):
        assert said in problems
    assert "Events is needed (--events PATH, or --input events=PATH)" in resolve(workflow, tmp_path)[1]


@pytest.mark.parametrize("ref", ["rucio://lake/scope/name", "http://x/y.txt", "s3://b/k", "root://x//y"])
def test_what_can_not_be_staged_is_refused_by_its_scheme(workflow: Any, tmp_path: Path, ref: str) -> None:
    assert (
        f"{ref.split(':')[0]}:// can't be fetched by this version"
        in resolve(workflow, tmp_path, events=ref)[1]
    )


@pytest.mark.parametrize(
    "ref", ["a\nb.txt", "a\0b.txt", "\u202etxt.a", "a\x1b.txt", "\udcff.txt", "file:///a%1bb.txt"]
)
def test_control_characters_in_a_reference_are_refused(workflow: Any, tmp_path: Path, ref: str) -> None:
    assert "control characters" in resolve(workflow, tmp_path, events=ref)[1]


def test_a_file_url_of_another_machine_is_refused(workflow: Any, tmp_path: Path) -> None:
    assert "this machine" in resolve(workflow, tmp_path, events="file://other/x.txt")[1]


def test_devices_pipes_and_unreadable_files_are_refused(
    workflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "p.txt")
    assert "neither a file nor a folder" in resolve(workflow, tmp_path, events=tmp_path / "p.txt")[1]
    assert (
        "neither a file nor a folder"
        in resolve(workflow, tmp_path, events=["/dev/null"], folder="/dev/null")[1]
    )
    (tmp_path / "x.txt").write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in resolve(workflow, tmp_path, events=tmp_path / "x.txt")[1]


def test_the_identity_of_a_folder_is_weak_and_follows_its_files(workflow: Any, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a").write_text("1")
    (tmp_path / "e.txt").write_text("")
    one = resolve(workflow, tmp_path, folder=folder, events=tmp_path / "e.txt")[0]["folder"][0]
    (folder / "b").write_text("2")
    two = resolve(workflow, tmp_path, folder=folder, events=tmp_path / "e.txt")[0]["folder"][0]
    assert (one.strength, one.bytes, two.bytes) == ("stat", 1, 2)
    assert one.checksum != two.checksum


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "unit,seconds\na,1\nb,\n"),
        ("t.tsv", "unit\tn\na\t1\nb\t2\n"),
        ("t.jsonl", '{"unit": "a"}\n\n{"unit": "b", "n": 5}\n'),
    ],
)
def test_tables_of_three_kinds_are_counted(tmp_path: Path, name: str, text: str) -> None:
    assert table(tmp_path, text, name) == 2


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    assert table(tmp_path, '\ufeff"unit", seconds\r\n"a",1e3\r\n\r\n') == 1


def test_every_wrong_row_is_told_with_its_line(tmp_path: Path) -> None:
    text = wrong(tmp_path, "unit,seconds\na,1\nB!,1\nc,-1\nd,soon\n")
    assert [line.split(": ")[0].rsplit(":")[-1] for line in text.splitlines()] == ["3", "4", "5"]
    assert "t.csv:4: seconds" in text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "unit\na\nb\na\n", "t.csv:4: unit: 'a' appears twice in the table"),
        ("t.csv", "unit\n", "the table has no rows"),
        ("t.csv", "", "the first line must name the columns"),
        ("t.csv", "unit,unit\na,b\n", "each only once"),
        ("t.csv", "unit,n\na\n", "t.csv:2: 1 cell for 2 columns"),
        ("t.csv", "unit,m\na,1\n", "unknown: m"),
        ("t.csv", "n\n1\n", "unit is missing"),
        ("t.csv", 'unit\n"a\n', "t.csv"),
        ("t.csv", "unit,seconds\na,nan\n", "t.csv:2: seconds"),
        ("t.csv", "unit,seconds\na,1e999\n", "t.csv:2: seconds"),
        ("t.csv", "unit\na\0b\n", "t.csv"),
        ("t.jsonl", '{"unit": "a"}\n{"unit": \n', "t.jsonl:2"),
        ("t.jsonl", '{"unit": "a"}\n5\n', "t.jsonl:2"),
        ("t.jsonl", '{"unit": NaN}\n', "t.jsonl:1"),
        ("t.jsonl", '{"unit": ["a"]}\n', "t.jsonl:1: unit"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert said in wrong(tmp_path, text, name)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"unit\n\xff\xfe\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        rows.check_table(tmp_path / "t.csv", ROW)


def test_a_wrong_column_does_not_print_a_million_lines(tmp_path: Path) -> None:
    text = wrong(tmp_path, "unit\n" + "NO!\n" * 1000)
    assert len(text.splitlines()) == tables.MAX_PROBLEMS + 1
    assert "further rows were not checked" in text


def select(
    toy: Any, tmp_path: Path, rows: Any, columns: list[str] | None = None
) -> tuple[dict[str, Any], str]:
    rule = {
        "from": "db",
        "table": "periods",
        "match": {"period": "period"},
        "columns": columns or ["threshold"],
    }
    workflow = toy(
        {"period": {"type": "string", "title": "P", "default": "2024"}},
        {"inputs": {"db": {"title": "DB"}}, "select": [rule]},
    )
    (tmp_path / "db.json").write_text(json.dumps({"periods": rows}))
    refs, problems = inputs.resolve(workflow, {"db": [str(tmp_path / "db.json")]}, tmp_path / "cache")
    assert not problems
    found, problems = inputs.select(workflow, {"period": "2024"}, refs)
    return found, "\n".join(map(str, problems))


def test_the_row_that_fits_is_selected(toy: Any, tmp_path: Path) -> None:
    rows = [{"period": "2023", "threshold": 1}, {"period": "2024", "threshold": 2, "more": 3}]
    assert select(toy, tmp_path, rows) == ({"threshold": 2}, "")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"period": "2023"}], "0 rows match period = 2024 (the table has: period = 2023)"),
        ([{"period": "2024", "threshold": 1}] * 2, "2 rows match"),
        ([{"period": "2024"}], "the row lacks threshold"),
        (5, "a list of objects is expected"),
        ([5], "a list of objects is expected"),
    ],
)
def test_a_selection_that_is_not_one_row_says_what_there_is(
    toy: Any, tmp_path: Path, rows: Any, said: str
) -> None:
    assert said in select(toy, tmp_path, rows)[1]
