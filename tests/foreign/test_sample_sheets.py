"""Sample sheets are judged as the pipeline reads them; where that can't be known, not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Done
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.engines.snakemake import tables
from esap_wf.engines.snakemake.tables import Table
from esap_wf.errors import EsapError
from esap_wf.models.manifest import Reading
from esap_wf.request import dataframes, rows

SCHEMA = {
    "properties": {"sample": {"type": "string"}, "n": {"type": "number"}, "k": {"enum": [1, 2]}},
    "required": ["sample"],
}


def read(arguments: str, after: str = "") -> Table | None:
    return tables.table(f'samples = pd.read_csv(config["a"]["samples"]{arguments}){after}')


@pytest.mark.parametrize(
    ("arguments", "after", "reading"),
    [
        ("", "", Reading()),
        (
            r', sep="\t", dtype=str, comment="#"',
            '.set_index("sample", drop=False)',
            Reading(sep="\t", texts=True, comment="#"),
        ),
        (r', delimiter=";", skiprows=2', ".sort_index()", Reading(sep=";", skip=2)),
        (r', sep=r"\s+"', "", Reading(sep="")),
        (', header=None, names=["sample", "n"]', "", Reading(header=False, names=["sample", "n"])),
        (', names=["x"], header=0', "", Reading(names=["x"])),
        (', index_col="sample"', "", Reading(without=["sample"])),
        (", index_col=0", "", Reading(without=[0])),
        ("", '.set_index(["sample", "n"])', Reading(without=["sample", "n"])),
        (
            ', usecols=["sample"], dtype={"sample": str, "n": int}',
            "",
            Reading(only=["sample"], text_columns=["sample"]),
        ),
        (", keep_default_na=False", "", Reading(blank=False)),
        (', encoding="latin-1"', "", None),
        (", sep=None", "", None),
        (", skiprows=lambda i: i > 3", "", None),
        (", converters={0: f}", "", None),
        (", **OPTIONS", "", None),
        (", header=None", "", None),
        ("", '.rename(columns={"id": "sample"})', None),
        ("", '["sample"]', None),
    ],
)
def test_the_arguments_of_pandas_say_how_a_sheet_is_read(
    arguments: str, after: str, reading: Reading | None
) -> None:
    found = read(arguments, after)
    assert found is not None and (found.variable, found.key, found.reading) == (
        "samples",
        "a.samples",
        reading,
    )


@pytest.mark.parametrize(
    ("statement", "known"),
    [
        ('samples = samples.set_index("sample", drop=False)', True),
        ('samples["lane"] = 1', False),
        ("samples.columns = NAMES", False),
        ("samples = fixed(samples)", False),
        ("samples.rename(columns=str, inplace=True)", False),
        ("samples += 1", False),
    ],
)
def test_what_changes_a_table_is_followed_or_ends_the_judgement(statement: str, known: bool) -> None:
    before = read("")
    assert before is not None
    after = tables.changed(statement, before)
    assert after is not None and (after.reading is not None) is known
    assert tables.changed("other = samples.copy()", before) is None
    assert tables.changed("samples.index = samples.index.astype(str)", before) is None, (
        "the index is no part of a row"
    )
    assert tables.table('samples = pd.read_csv("fixed.csv")') is None


@given(st.text(max_size=60))
def test_no_statement_breaks_the_reader(text: str) -> None:
    tables.table(f"samples = pd.read_csv(config['x'], {text})")
    tables.table(text)


#: Sheet, arguments, and the rows that pandas 2.3.3 made of it, without what is nothing, as Snakemake does.
SHEETS = [
    (
        "# my table\nsample\tn\n01\t1e3\n1e3\t\n#x\t5\nb # c\t2\n",
        r', sep="\t", dtype="str", comment="#"',
        [{"sample": "01", "n": "1e3"}, {"sample": "1e3"}, {"sample": "b "}],
    ),
    # an infinite number can't be held against a schema: {"sample": "c", "n": inf, "k": 1}
    (
        "sample,n,k\nNA,1,1\nb,nan,2\nc,inf,1\n",
        "",
        [{"n": 1.0, "k": 1}, {"sample": "b", "k": 2}, {"sample": "c", "k": 1}],
    ),
    (
        "sample,n\nNA,1\nnull,2\n",
        ", keep_default_na=False",
        [{"sample": "NA", "n": 1}, {"sample": "null", "n": 2}],
    ),
    (
        "junk\nmore junk\nsample;n\na;1\n\n;\nb\n",
        ', sep=";", skiprows=2',
        [{"sample": "a", "n": 1.0}, {}, {"sample": "b"}],
    ),
    ("sample  n\na 1\n b   2\n", r', sep=r"\s+"', [{"sample": "a", "n": 1}, {"sample": "b", "n": 2}]),
    (
        "a,1\nb,2\n",
        ', header=None, names=["sample", "n"]',
        [{"sample": "a", "n": 1}, {"sample": "b", "n": 2}],
    ),
    (
        "sample,n,n\n'x',1,2\n\"a,b\",3,4\n",
        ', index_col="n"',
        [{"sample": "'x'", "n.1": 2}, {"sample": "a,b", "n.1": 4}],
    ),
    ("sample,n\n", "", []),
    (
        "sample,n,z\na,1,True\nb,2,False\n",
        ', usecols=["sample", "z"]',
        [{"sample": "a", "z": True}, {"sample": "b", "z": False}],
    ),
]


@pytest.mark.parametrize(("text", "arguments", "expected"), SHEETS)
def test_rows_are_those_that_pandas_gives_to_validate(
    tmp_path: Path, text: str, arguments: str, expected: list[dict[str, object]]
) -> None:
    (tmp_path / "s.txt").write_text(text)
    table = read(arguments)
    assert table is not None and table.reading is not None
    assert [row for _, row in dataframes.rows(tmp_path / "s.txt", table.reading, SCHEMA)] == expected


def test_a_cell_that_is_nothing_to_pandas_is_no_fault_and_a_text_stays_one(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("sample,n\n1e5,NA\nb,inf\nc,1\n")
    assert rows.check_table(tmp_path / "s.csv", SCHEMA, keyed=False, reading=Reading()) == 3
    (tmp_path / "s.csv").write_text("sample,n\nNA,1\n")
    with pytest.raises(EsapError, match="sample"):
        rows.check_table(tmp_path / "s.csv", SCHEMA, keyed=False, reading=Reading(texts=True))
    assert rows.check_table(tmp_path / "s.csv", SCHEMA, keyed=False, reading=Reading(blank=False)) == 1
    (tmp_path / "s.csv").write_text("sample,n\nb,many\n")
    with pytest.raises(EsapError, match="many"):
        rows.check_table(tmp_path / "s.csv", SCHEMA, keyed=False, reading=Reading())


SNAKEFILE = """
import pandas as pd
from snakemake.utils import validate
configfile: "config.yaml"
samples = pd.read_csv(config["samples"], sep="\\t", dtype=str, comment="#")%s
validate(samples, "samples.schema.yaml")
rule all:
    output: "o.txt"
    shell: "touch o.txt"
"""


@pytest.mark.integration
def test_a_sheet_with_comments_is_planned_and_a_wrong_one_is_reported(
    inside: Callable[..., Done], tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "config.yaml").write_text("samples: samples.tsv\n")
    (folder / "samples.tsv").write_text("sample\tfq\n01\tx\n")
    (folder / "samples.schema.yaml").write_text(
        "properties: {sample: {type: string}, fq: {type: string}}\nrequired: [sample, fq]\n"
    )
    (folder / "Snakefile").write_text(SNAKEFILE % '.set_index("sample", drop=False)')
    own = tmp_path / "own.txt"
    own.write_text("# mine\nsample\tfq\tn\n01\ta.fq\t1\n1e3\ta.fq\t\n")
    done = inside("validate", folder, "--samples", own, "--json")
    assert done.code == 0 and done.json["valid"], done.out
    own.write_text("sample\tfq\n01\tNA\n")
    assert f"{own}:2" in json.dumps(inside("validate", folder, "--samples", own, "--json").json)
    (folder / "Snakefile").write_text(SNAKEFILE % '.rename(columns={"x": "sample"})')
    shown = inside("show", folder)
    assert "its rows are not checked" in shown.out + shown.err
    assert inside("validate", folder, "--samples", own, "--json").json["valid"]
