"""Each fault of a sample sheet is said with its line, its column and the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esap_wf.errors import UsageError
from esap_wf.models.manifest import Reading
from esap_wf.request import dataframes, sheets

SCHEMA = {
    "type": "array",
    "uniqueEntries": ["sample"],
    "items": {
        "type": "object",
        "required": ["sample"],
        "properties": {
            "sample": {"type": "string", "pattern": "^\\S+$", "errorMessage": "a sample has no blanks"},
            "lane": {"type": "integer"},
            "reads": {"type": "string", "format": "file-path"},
            "index": {"type": "string", "format": "directory-path"},
        },
    },
}


def problems(path: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(UsageError) as caught:
        sheets.check(path, SCHEMA)
    return [(p.where.replace(f"{path.parent}/", ""), p.what, p.hint) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("row", "where", "what", "hint"),
    [
        ("a b,1,,", "s.csv:2: sample", 'a sample has no blanks ("a b" does not match "^\\S+$")', ""),
        ("a,x,,", "s.csv:2: lane", '"x" is not of type "integer"', ""),
        (",1,,", "s.csv:2", "sample is missing", ""),
        ("a,1,/absent/r.fq,", "s.csv:2: reads", "there is no /absent/r.fq", ""),
        ("a,1,{folder},", "s.csv:2: reads", "{folder} is not a file", ""),
        ("a,1,,{folder}/s.csv", "s.csv:2: index", "{folder}/s.csv is not a folder", ""),
        (
            "a,1,r.fq,",
            "s.csv:2: reads",
            "'r.fq' is relative: the engine would look for it in the run's own folder, where it is started",
            "write an absolute path",
        ),
        (
            "a,1,s.csv,",
            "s.csv:2: reads",
            "'s.csv' is relative: the engine would look for it in the run's own folder, where it is started",
            "write {folder}/s.csv",
        ),
        ("a,1,,\na,2,,", "s.csv:3", "sample: the same as in s.csv:2", ""),
    ],
)
def test_a_wrong_cell_is_said_with_line_column_and_reason(
    tmp_path: Path, row: str, where: str, what: str, hint: str
) -> None:
    sheet = tmp_path / "s.csv"
    sheet.write_text("sample,lane,reads,index\n" + row.format(folder=tmp_path) + "\n")
    found = [tuple(text.replace(f"{tmp_path}/s.csv:", "s.csv:") for text in p) for p in problems(sheet)]
    assert found == [(where, what.format(folder=tmp_path), hint.format(folder=tmp_path))]


def test_a_sheet_that_is_no_list_is_said_so(tmp_path: Path) -> None:
    sheet = tmp_path / "s.json"
    sheet.write_text(json.dumps({"sample": "a"}))
    assert problems(sheet) == [("s.json:1:1", "a list of rows is expected", "")]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("a,b\n1,2\n3,4,5\n", "t.csv:3", "3 cells for 2 columns"),
        (None, "t.csv", "No such file or directory"),
    ],
)
def test_a_table_that_pandas_could_not_read_is_said_with_its_line(
    tmp_path: Path, content: str | None, where: str, what: str
) -> None:
    table = tmp_path / "t.csv"
    if content is not None:
        table.write_text(content)
    with pytest.raises(UsageError) as caught:
        list(dataframes.rows(table, Reading(), {}))
    assert caught.value.message == "a table is broken"
    assert [(p.where, p.what) for p in caught.value.problems] == [(f"{tmp_path}/{where}", what)]


def test_only_what_lies_elsewhere_in_columns_of_files_is_an_address(tmp_path: Path) -> None:
    sheet = tmp_path / "s.csv"
    far, run = "rucio://l/s/n.fq", "run:abc/out"
    sheet.write_text(f"sample,reads,index\n{far},{far},{run}\n{run},https://h/x,\nx,{far},\n")
    assert sheets.addresses(sheet, SCHEMA) == {
        ("reads", far): (f"{sheet}:2", "file"),
        ("index", run): (f"{sheet}:2", "folder"),
    }
    assert sheets.check(sheet, SCHEMA) == (3, [])


@pytest.mark.parametrize(
    ("name", "text", "copied"),
    [
        ("s.csv", 'a,b\n rucio://x ,"x, ""y"""\nrucio://x,rucio://x\n', 'a,b\n/p,"x, ""y"""\n/p,rucio://x\n'),
        ("s.tsv", "a\tb\r\nrucio://x\t1,5\r\n", "a\tb\n/p\t1,5\n"),
        ("s.csv", "a,b\n\nrucio://xy,\n", "a,b\n\nrucio://xy,\n"),
    ],
)
def test_a_copy_has_other_texts_in_some_cells_and_the_same_in_all_others(
    tmp_path: Path, name: str, text: str, copied: str
) -> None:
    (tmp_path / name).write_text(text, newline="")
    assert sheets.copied(tmp_path / name, {"a": {"rucio://x": "/p"}}).decode() == copied


def test_a_copy_of_a_document_keeps_its_numbers_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("- {a: 'rucio://x', b: 1.50}\n- {b: 'rucio://x', c: [rucio://x]}\n")
    made = sheets.copied(tmp_path / "s.yaml", {"a": {"rucio://x": "/p"}})
    assert json.loads(made) == [{"a": "/p", "b": 1.5}, {"b": "rucio://x", "c": ["rucio://x"]}]
    assert b"1.50" in made
