"""Inputs, tables and workflow folders that ended in a traceback, hung, or were misread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from esap_wf import config
from esap_wf.catalogue import manifests
from esap_wf.code import contents
from esap_wf.errors import NotFoundError, UsageError
from esap_wf.formats import digests
from esap_wf.request import inputs, rows


@pytest.mark.parametrize(
    "ref", ["x" * 5000, "~no-such-user/x.csv", "file://[", "file:///tmp/a%0Ab", "file:///tmp/a%00b"]
)
def test_a_reference_that_no_file_can_have_is_a_problem(toy: Any, tmp_path: Path, ref: str) -> None:
    workflow = toy({}, {"inputs": {"data": {"title": "Data"}}})
    _, problems = inputs.resolve(workflow, {"data": [ref]}, tmp_path / "cache")
    assert len(problems) == 1
    assert problems[0].where.startswith("--input data=")


def test_a_folder_in_place_of_a_table_is_a_problem(toy: Any, tmp_path: Path) -> None:
    workflow = toy(
        {},
        {"inputs": {"units": {"title": "Units", "rows": "rows.json", "extensions": [".csv"]}}},
        files={"rows.json": "{}"},
    )
    (tmp_path / "x.csv").mkdir()
    _, problems = inputs.resolve(workflow, {"units": [str(tmp_path / "x.csv")]}, tmp_path / "cache")
    assert [p.what for p in problems] == ["Units must be a table, but this is a folder"]


def test_a_file_that_fails_when_read_is_a_problem(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = toy({}, {"inputs": {"data": {"title": "Data"}}})
    (tmp_path / "x").write_text("x")

    def stale(*_: object) -> None:
        raise OSError(116, os.strerror(116))

    monkeypatch.setattr(digests, "of_input", stale)
    _, problems = inputs.resolve(workflow, {"data": [str(tmp_path / "x")]}, tmp_path / "cache")
    assert os.strerror(116) in problems[0].what


def test_keys_with_equal_hashes_are_not_the_same_key(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("n\n-1\n-2\n")
    assert hash(-1) == hash(-2)
    assert (
        rows.check_table(
            table, {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
        )
        == 2
    )


def test_a_cell_with_a_unit_is_refused_because_the_job_would_read_it_raw(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("u,seconds\na,2 min\n")
    schema = {
        "type": "object",
        "required": ["u"],
        "properties": {"u": {"type": "string"}, "seconds": {"type": "number", "unit": "s"}},
    }
    with pytest.raises(UsageError, match=r"t\.csv:2: seconds"):
        rows.check_table(table, schema)


@pytest.mark.parametrize("kind", ["pipe", "dead link", "linked folder", "strange name"])
def test_what_can_not_be_snapshotted_is_refused(toy: Any, tmp_path: Path, kind: str) -> None:
    folder = toy().folder
    if kind == "pipe":
        os.mkfifo(folder / "x")  # reading it would wait for ever
    elif kind == "dead link":
        (folder / "x").symlink_to("nowhere")
    elif kind == "linked folder":
        (folder / "scripts").mkdir()
        (folder / "x").symlink_to("scripts")
    else:
        (folder / "a\nb").write_text("")
    with pytest.raises(UsageError, match="can't be snapshotted"):
        contents.of_folders({"workflows/toy": folder})


@pytest.mark.parametrize("name", ["./" + "x" * 5000, "~no-such-user/w", "./a\0b"])
def test_a_workflow_path_that_can_not_be_is_not_found(config: config.Config, name: str) -> None:
    with pytest.raises(NotFoundError):
        manifests.find(config, name)


@pytest.mark.parametrize("variable", ["ESAP_WF_STORE", "ESAP_WF_CACHE"])
def test_a_home_that_does_not_exist_is_reported(
    place: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.raises(UsageError, match=variable):
        config.load()
