"""What is wrong with a request is said with its position, in these words; some of several runs can't be cancelled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

#: words of the command line -> (where, what, hint) of each problem
REQUESTS: dict[str, tuple[list[str], list[tuple[str, str, str]]]] = {
    "an input that is none": (
        ["noop", "--input", "units_tabel=t.csv"],
        [("--input units_tabel", "noop has no input units_tabel", "did you mean units_table?")],
    ),
    "no input at all": (
        ["hello", "--input", "x=t.csv"],
        [("--input x", "hello has no input x", "it has no inputs")],
    ),
    "an input without its name": (
        ["noop", "--input", "t.csv"],
        [("--input", "'t.csv' is not of the form NAME=REF", "")],
    ),
    "two files for one": (
        ["noop", "--input", "units_table=t.csv", "--input", "units_table=u.csv"],
        [("--input units_table", "takes one file or folder, but 2 were given", "")],
    ),
    "a file that is needed": (
        ["taking"],
        [("input table", "A table is needed", "--table PATH, or --input table=PATH")],
    ),
    "a table in which a line is broken": (
        ["noop", "--input", "units_table=broken.jsonl"],
        [("broken.jsonl:2", "JSON is malformed: expected ':' (byte 8)", "")],
    ),
    "a document without the table": (
        ["taking", "--table", "list.json"],
        [("list.json: rows", "a list of objects is expected", "")],
    ),
    "a table without the row": (
        ["taking", "--table", "rows.json", "--kind", "c"],
        [("rows.json: rows", "0 rows match kind = c", "the table has: kind = a; kind = b")],
    ),
    "a table with the row twice": (
        ["taking", "--table", "rows.json", "--kind", "b"],
        [("rows.json: rows", "2 rows match kind = b", "the table has: kind = a; kind = b")],
    ),
    "a row without its column": (
        ["taking", "--table", "rows.json", "--kind", "a"],
        [("rows.json: rows", "the row lacks size", "")],
    ),
    "a text that is no mapping": (
        ["taking", "--param", "table=rows.json", "--more", "{a: 1"],
        [("--more", "'{a: 1' is not a JSON object; a parameter file (--params) can contain one", "")],
    ),
    "a text that is too long": (
        ["taking", "--table", "rows.json", "--kind", "x" * 100_001],
        [("--kind", "a text of 100001 characters; at most 100000 are allowed", "give data as an input")],
    ),
    "a rule that can't be calculated": (
        ["taking", "--table", "rows.json", "--kind", "b", "--low", "1", "--high", "0"],
        [("--low, --high", "'low / high > 0' can't be evaluated: float division by zero", "")],
    ),
    "a file object without a path": (
        ["--params", "unnamed.json", "needing.cwl"],
        [("parameter file", "a File has a path", "")],
    ),
    "a file that is elsewhere": (
        ["--params", "remote.json", "needing.cwl"],
        [
            (
                "--input file=gsiftp://site/t.fa",
                "gsiftp:// can't be fetched by this version of esap-wf",
                "download the file and give its path",
            )
        ],
    ),
    "a file that is not there": (
        ["--params", "absent.json", "needing.cwl"],
        [("--input file=absent.fa", "there is no such file", "did you mean absent.json?")],
    ),
    "a described file that is elsewhere": (
        ["--params", "far.json", "needing.cwl"],
        [
            (
                "parameter file",
                "gsiftp://site/t.fa can't be fetched by this version of esap-wf",
                "download the file and give its path",
            )
        ],
    ),
    "a described file that is not there": (
        ["--params", "gone.json", "needing.cwl"],
        [("parameter file", "there is no file absent.fa", "")],
    ),
    "a number for a file of a plain workflow": (
        ["--params", "order.json", "needing.cwl"],
        [("order.json:1:2: file", "names no file or folder", "a path, or {class: File, path: …}")],
    ),
    "a file without the format that is needed": (
        ["--params", "bare.json", "needing.cwl"],
        [
            (
                "parameter file",
                "a file has no format, but needing needs one",
                "format: http://example.org/fasta",
            )
        ],
    ),
}

NEEDING = {
    "cwlVersion": "v1.2",
    "class": "CommandLineTool",
    "baseCommand": "true",
    "inputs": {"file": {"type": "File", "format": "http://example.org/fasta"}},
    "outputs": {},
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("given"))
    write_workflow(
        place.root / "workflows" / "taking",
        {
            "kind": {"type": "string", "default": "a", "title": "Kind"},
            "more": {"type": "object", "default": {}, "title": "More"},
            "low": {"type": "number", "default": 1, "title": "Low"},
            "high": {"type": "number", "default": 2, "title": "High"},
        },
        {
            "inputs": {"table": {"title": "A table", "required": True}},
            "rules": [{"that": "low / high > 0", "message": "both positive", "parameters": ["low", "high"]}],
            "select": [{"from": "table", "table": "rows", "match": {"kind": "kind"}, "columns": ["size"]}],
        },
    )
    files = {
        "t.csv": "unit\n1\n",
        "u.csv": "unit\n2\n",
        "broken.jsonl": '{"unit": 1}\n{"unit" 2}\n',
        "list.json": '{"rows": {}}',
        "rows.json": json.dumps(
            {"rows": [{"kind": "a"}, {"kind": "b", "size": 1}, {"kind": "b", "size": 2}]}
        ),
        "needing.cwl": json.dumps(NEEDING),
        "order.json": '{"file": 3}',
        "bare.json": '{"file": {"class": "File", "path": "t.csv"}}',
    }
    objects = {
        "unnamed": {"basename": "t.fa"},
        "remote": {"location": "gsiftp://site/t.fa"},
        "absent": {"path": "absent.fa"},
        "far": {"location": "gsiftp://site/t.fa", "basename": "other.fa"},
        "gone": {"path": "absent.fa", "basename": "other.fa"},
    }
    for name, keys in objects.items():
        described = {"class": "File", "format": "http://example.org/fasta", **keys}
        files[f"{name}.json"] = json.dumps({"file": described})
    for name, text in files.items():
        (place.root / name).write_text(text)
    (place.root / "config.toml").write_text("workflows = ['workflows']\n")
    return place


@pytest.mark.parametrize("case", REQUESTS)
def test_a_wrong_request_is_said_with_its_position_and_what_helps(given: Place, case: str) -> None:
    words, expected = REQUESTS[case]
    done = given.inside("--json", "validate", *words)
    assert done.code == 2, done
    answer = json.loads(done.out)
    problems: list[dict[str, Any]] = answer.get("problems") or answer["error"]["problems"]
    found = [
        (*(p[key].replace(f"{given.root}/", "") for key in ("where", "what", "hint")),) for p in problems
    ]
    assert found == expected


def test_of_several_runs_those_that_can_be_are_cancelled_and_the_others_named(place: Place) -> None:
    ended = place.inside("--json", "run", "hello").json["run"]
    going = place.inside("--json", "run", "noop", "--seconds", "600", "--detach").json["run"]
    done = place.inside("--json", "cancel", ended, going)
    error = done.json["error"]
    assert (done.code, error["message"]) == (3, "some runs were not cancelled")
    assert [(p["where"], p["what"]) for p in error["problems"]] == [(ended, f"run {ended} is COMPLETED")]
    assert place.inside("--json", "status", going).json["phase"] == "ABORTED"
