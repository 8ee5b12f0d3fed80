"""Collecting outputs: a run is COMPLETED only if all that it declared is there and valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf.collect import collect
from esap_wf.models.manifest import Manifest

SCHEMA = {"type": "object", "required": ["sum"], "properties": {"sum": {"type": "number"}}}


def look(tmp_path: Path, *outputs: dict[str, Any], **files: Any) -> tuple[list[str], list[str], list[str]]:
    """Accepted paths, failures as ``REASON: text``, warnings."""
    run = tmp_path / "run"
    for name, content in files.items():
        path = run / "outputs" / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    (tmp_path / "code").mkdir(exist_ok=True)
    (tmp_path / "code" / "s.json").write_text(json.dumps(SCHEMA))
    said = {
        "schema_version": 1,
        "name": "toy",
        "title": "T",
        "version": "1.0.0",
        "implementations": [{"engine": "x", "file": "f"}],
        "outputs": [{"name": f"o{i}", **o} for i, o in enumerate(outputs)],
    }
    found, failures, warnings = collect(msgspec.convert(said, Manifest), run, tmp_path / "code")
    return [o.path for o in found], [f"{f.reason}: {f.unit}: {f.detail}" for f in failures], warnings


def test_what_is_there_is_accepted_with_size_and_checksum(tmp_path: Path) -> None:
    assert look(tmp_path, {"path": "outputs/a.txt"}, {"path": "outputs/*.dat", "at_least": 2}, a__txt="x", b__dat="y", c__dat="z") == (
        ["outputs/a.txt", "outputs/b.dat", "outputs/c.dat"],
        [],
        [],
    )


@pytest.mark.parametrize(
    ("output", "files", "said"),
    [
        ({"path": "outputs/a.txt"}, {}, "MISSING_OUTPUT: o0: outputs/a.txt is missing"),
        ({"path": "outputs/*.dat", "at_least": 2}, {"a__dat": "x"}, "MISSING_OUTPUT: o0: 1 of at least 2 files"),
        ({"path": "outputs/a.txt", "min_bytes": 5}, {"a__txt": "x"}, "INVALID_OUTPUT: o0: outputs/a.txt has 1 bytes, at least 5"),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": {"sum": "x"}}, "INVALID_OUTPUT: o0: "),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": {}}, "sum is missing"),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": '{"sum": NaN}'}, "not a finite number"),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": "{"}, "not valid JSON"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x"}, "can't be read"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x", "v__json": "{"}, "can't be read"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x", "v__json": []}, "not of the form"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x", "v__json": {}}, "not of the form"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x", "v__json": {"valid": False}}, "says: not valid"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x", "v__json": {"valid": "yes"}}, "says: not valid"),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": {"valid": True, "checks": [{"name": "closure", "passed": False, "detail": "5 sigma"}]}},
            "check failed: closure (5 sigma)",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_or_invalid_is_not_accepted(tmp_path: Path, output: Any, files: Any, said: str) -> None:
    found, failures, _ = look(tmp_path, output, **files)
    assert found == []
    assert said in "\n".join(failures)


def test_an_optional_output_may_be_missing_but_not_invalid(tmp_path: Path) -> None:
    assert look(tmp_path, {"path": "outputs/a.txt", "required": False}) == ([], [], [])
    assert look(tmp_path, {"path": "outputs/a.txt", "required": False, "min_bytes": 9}, a__txt="x")[1]


def test_warnings_and_checks_of_a_verdict_are_kept(tmp_path: Path) -> None:
    verdict = {"valid": True, "checks": [{"name": "c", "passed": True}], "warnings": ["few events"]}
    found, failures, warnings = look(tmp_path, {"path": "outputs/a.txt", "verdict": "outputs/v.json"}, a__txt="x", v__json=verdict)
    assert (found, failures, warnings) == (["outputs/a.txt"], [], ["few events"])


def test_a_link_out_of_the_run_directory_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / "run/outputs").mkdir(parents=True)
    (tmp_path / "run/outputs/a.txt").symlink_to("/etc/passwd")
    found, failures, _ = look(tmp_path, {"path": "outputs/a.txt"})
    assert found == []
    assert "leads out of the run directory" in failures[0]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    assert (
        len(look(tmp_path, {"path": "outputs/a.txt"}, {"path": "outputs/b.txt"}, {"path": "outputs/c.txt", "min_bytes": 9}, c__txt="")[1])
        == 3
    )
