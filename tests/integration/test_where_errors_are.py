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
                "use rucio://, https:// or run:, or download the file and give its path",
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
                "parameter file: gsiftp://site/t.fa",
                "gsiftp:// can't be fetched by this version of esap-wf",
                "use rucio://, https:// or run:, or download the file and give its path",
            )
        ],
    ),
    "a described file that is not there": (
        ["--params", "gone.json", "needing.cwl"],
        [("parameter file", "there is no file absent.fa", "")],
    ),
    "a parameter that is none": (
        ["hello", "--param", "whom=x"],
        [("--param whom", "hello has no parameter whom", "did you mean who?")],
    ),
    "a parameter file that is a list": (
        ["hello", "--params", "listed.json"],
        [("listed.json:1:1", "a mapping of names to values is expected", "")],
    ),
    "a request of a later version": (
        ["hello", "--params", "later.json"],
        [
            (
                "later.json:1:2: schema_version",
                "it has version 99; this esap-wf reads versions up to 1",
                "upgrade esap-wf",
            )
        ],
    ),
    "a number beyond 64 bits": (
        ["taking", "--table", "rows.json", "--kind", "b", "--params", "huge.json"],
        [("huge.json:1:11: more.a", "is an integer beyond 64 bits", "")],
    ),
    "a folder for results that is a number": (
        ["publishing/main.nf", "--params", "number.json"],
        [("number.json:1:2: outdir", "is not a folder", "")],
    ),
    "two folders for results": (
        ["publishing/main.nf", "--results", "here", "--outdir", "there"],
        [("--results", "here, but the pipeline's own flag says there", "")],
    ),
    "two folders for results in a file": (
        ["publishing/main.nf", "--params", "there.json"],
        [
            (
                "there.json:1:51: parameters.outdir",
                "results are copied to only one folder, but here is another one",
                "",
            )
        ],
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
PUBLISHING = {
    "type": "object",
    "properties": {"outdir": {"type": "string", "format": "directory-path", "default": "results"}},
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
        "listed.json": "[1]",
        "later.json": '{"schema_version": 99, "workflow": "hello", "parameters": {}}',
        "huge.json": '{"more": {"a": 1' + "0" * 400 + "}}",
        "number.json": '{"outdir": 3}',
        "there.json": json.dumps(
            {"workflow": "publishing/main.nf", "parameters": {"outdir": "there"}, "results": "here"}
        ),
        "publishing/main.nf": "params.outdir = 'results'\nworkflow {}\n",
        "publishing/nextflow_schema.json": json.dumps(PUBLISHING),
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
        (place.root / name).parent.mkdir(exist_ok=True)
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hello", "--param", "whom=x"], "the request is not valid"),
        (["noop", "--input", "t.csv"], "the command line is not valid"),
        (["hello", "--params", "listed.json"], "the parameter file is not valid"),
        (["hello", "--params", "later.json"], "the request is newer than this esap-wf"),
        (["needing.cwl", "--params", "order.json"], "the request is not valid"),
    ],
)
def test_an_error_says_first_what_is_wrong_as_a_whole(given: Place, words: list[str], message: str) -> None:
    done = given.inside("--json", "run", *words)
    assert (done.code, done.json["error"]["message"]) == (2, message)
