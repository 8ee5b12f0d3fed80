"""Command lines that ended in exit code 5, broke the JSON answer, or were silently ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import esap_wf
from esap_wf.errors import UsageError
from esap_wf.formats.printing import printable


@pytest.mark.parametrize(
    "words", [["status", b"\xff\xfe"], ["run", "hello", "--param", b"who=\xff"], ["--store", b"\xff", "list"]]
)
def test_bytes_that_are_no_text_are_a_usage_error(inside: Any, words: list[Any]) -> None:
    done = inside(
        "--json", *(w.decode(errors="surrogateescape") if isinstance(w, bytes) else w for w in words)
    )
    assert done.code == 2
    assert "UTF-8" in done.problems
    done.out.encode()


def test_a_group_without_its_command_answers_in_json(inside: Any) -> None:
    done = inside("--json", "engines")
    assert done.code == 2
    assert "missing" in done.problems


def test_a_store_that_is_a_file_is_a_usage_error(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = inside("--store", tmp_path / "file", "list", "--json")
    assert done.code == 2
    assert "not a run store" in done.problems


def test_a_time_out_of_range_is_a_usage_error(inside: Any, place: Any) -> None:
    inside("store", "init")
    done = inside("list", "--since", "0001-01-01T00:00:00+23:00", "--json")
    assert done.code == 2
    assert "--since" in done.problems


def test_what_an_error_quotes_can_not_move_the_terminal(inside: Any) -> None:
    inside("store", "init")
    done = inside("status", "\x1b[2Jx\u202ey")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err
    assert printable("é 漢\n") == "é 漢\n"


@pytest.mark.parametrize(
    "more", [["--name", "x"], ["--cores", "1"], ["--tag", "t"], ["--backend", "local"], ["--", "--dry-run"]]
)
def test_a_choice_beside_a_saved_plan_is_not_ignored(inside: Any, tmp_path: Path, more: list[str]) -> None:
    inside("plan", "hello", "-o", tmp_path / "p.json")
    done = inside("run", "--json", "--plan", tmp_path / "p.json", *more)
    assert done.code == 2
    assert "--plan" in done.problems


def test_the_command_of_a_plan_can_be_pasted_into_a_shell(inside: Any) -> None:
    done = inside("plan", "hello", "--", "--config", "a=$(id)")
    assert "--config 'a=$(id)'" in done.out


def test_python_gets_usage_errors_too(place: Any) -> None:
    with pytest.raises(UsageError, match="sise"):
        esap_wf.plan("hello", sise="small")
    with pytest.raises(UsageError, match="ask"):
        esap_wf.run("hello", if_exists="ask")
    with pytest.raises(UsageError):
        esap_wf.plan("noop", {"seconds": float("nan")})
    assert not place.runs()


def test_an_integer_beyond_64_bits_does_not_end_in_a_traceback(inside: Any) -> None:
    done = inside("plan", "noop", "--fail-unit", "9" * 30, "--json")
    assert done.code == 2
    assert json.loads(done.out)


def test_json_is_accepted_between_a_group_and_its_command(inside: Any) -> None:
    assert "engines" in inside("engines", "--json", "list").json
    assert inside("engines", "--json").problems


@pytest.mark.parametrize("words", [["run", "hello"], ["doctor"], ["list"]])
def test_a_store_whose_name_is_too_long_is_no_bug_of_ours(inside: Any, words: list[str]) -> None:
    done = inside("--store", "x" * 5000, "--json", *words)
    assert done.code in (2, 3)
    assert "too long" in done.problems


def test_results_that_can_not_be_copied_are_refused_before_the_run(
    inside: Any, place: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for target in ("/proc/nowhere", tmp_path / "file", tmp_path / "file" / "x", "x" * 5000):
        done = inside("run", "hello", "--results", target, "--json")
        assert done.code == 3, done
        assert "--results" in done.problems
    assert not place.runs()


def test_parameters_are_shown_in_one_column(inside: Any) -> None:
    lines = inside("show", "hello").out.split("Parameters:\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith("  --") for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "parameters: {}\nschema_version: 7\n",
            "r.yaml:2:1: schema_version: it has version 7; this esap-wf reads versions up to 1 (upgrade esap-wf)",
        ),
        (
            "parameters: {}\nresources: {cores: 0}\n",
            "r.yaml:2:13: resources.cores: 0 is less than the minimum of 1",
        ),
        ("parameters: {}\nresources: {cores: many}\n", 'resources.cores: "many" is not of type "integer"'),
    ],
)
def test_a_request_says_what_is_wanted_and_is_not_read_if_newer(
    inside: Any, tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "r.yaml").write_text(text)
    done = inside("plan", "hello", "--params", tmp_path / "r.yaml", "--json")
    assert done.code == 2
    assert expected in done.problems


def test_a_request_without_parameters_is_a_request(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("workflow: hello\ntags: [t]\n")
    for words in (["plan"], ["plan", "hello"]):
        done = inside(*words, "--params", tmp_path / "r.yaml", "-o", tmp_path / "p.json", "--json")
        assert done.code == 0, done.err
        assert json.loads((tmp_path / "p.json").read_text())["request"]["tags"] == ["t"]
    (tmp_path / "r.yaml").write_text("workflow: hello\nname_: x\n")
    assert "name_" in inside("plan", "--params", tmp_path / "r.yaml", "--json").problems
