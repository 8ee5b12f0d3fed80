"""Collecting outputs: a run is COMPLETED only if all that it declared is there and valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from esap_wf.engines import Results
from esap_wf.models.manifest import Manifest, Output
from esap_wf.running.collect import NOTHING, collect

SCHEMA = {"type": "object", "required": ["sum"], "properties": {"sum": {"type": "number"}}}


def look(
    tmp_path: Path, *outputs: dict[str, Any], more: Any = None, **files: Any
) -> tuple[list[str], list[str], list[str]]:
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
    found = collect(msgspec.convert(said, Manifest), run, tmp_path / "code", **(more or {}))
    return (
        [o.path for o in found.outputs],
        [f"{f.reason}: {f.unit}: {f.detail}" for f in found.failures],
        found.warnings,
    )


def test_what_is_there_is_accepted_with_size_and_checksum(tmp_path: Path) -> None:
    assert look(
        tmp_path,
        {"path": "outputs/a.txt"},
        {"path": "outputs/*.dat", "at_least": 2},
        a__txt="x",
        b__dat="y",
        c__dat="z",
    ) == (
        ["outputs/a.txt", "outputs/b.dat", "outputs/c.dat"],
        [],
        [],
    )


@pytest.mark.parametrize(
    ("output", "files", "said"),
    [
        ({"path": "outputs/a.txt"}, {}, "MISSING_OUTPUT: o0: outputs/a.txt is missing"),
        (
            {"path": "outputs/*.dat", "at_least": 2},
            {"a__dat": "x"},
            "MISSING_OUTPUT: o0: 1 file matching outputs/*.dat, but at least 2",
        ),
        (
            {"path": "outputs/a.txt", "min_bytes": 5},
            {"a__txt": "x"},
            "INVALID_OUTPUT: o0: outputs/a.txt has 1 byte, but at least 5",
        ),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": {"sum": "x"}}, "INVALID_OUTPUT: o0: "),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": {}}, "sum is missing"),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": '{"sum": NaN}'}, "not a finite number"),
        ({"path": "outputs/a.json", "schema": "s.json"}, {"a__json": "{"}, "not valid JSON"),
        ({"path": "outputs/a.txt", "verdict": "outputs/v.json"}, {"a__txt": "x"}, "can't be read"),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": "{"},
            "can't be read",
        ),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": []},
            "does not have the form",
        ),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": {}},
            "does not have the form",
        ),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": {"valid": False}},
            "says: not valid",
        ),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {"a__txt": "x", "v__json": {"valid": "yes"}},
            "says: not valid",
        ),
        (
            {"path": "outputs/a.txt", "verdict": "outputs/v.json"},
            {
                "a__txt": "x",
                "v__json": {
                    "valid": True,
                    "checks": [{"name": "closure", "passed": False, "detail": "5 sigma"}],
                },
            },
            "check failed: closure (5 sigma)",
        ),
    ],
)
def test_what_is_missing_or_invalid_is_not_accepted(
    tmp_path: Path, output: Any, files: Any, said: str
) -> None:
    found, failures, _ = look(tmp_path, output, **files)
    assert found == []
    assert said in "\n".join(failures)


def test_an_optional_output_may_be_missing_but_not_invalid(tmp_path: Path) -> None:
    assert look(tmp_path, {"path": "outputs/a.txt", "required": False}) == ([], [], [NOTHING])
    assert look(tmp_path, {"path": "outputs/a.txt", "required": False, "min_bytes": 9}, a__txt="x")[1]


def test_warnings_and_checks_of_a_verdict_are_kept(tmp_path: Path) -> None:
    verdict = {"valid": True, "checks": [{"name": "c", "passed": True}], "warnings": ["few events"]}
    found, failures, warnings = look(
        tmp_path, {"path": "outputs/a.txt", "verdict": "outputs/v.json"}, a__txt="x", v__json=verdict
    )
    assert (found, failures, warnings) == (["outputs/a.txt"], [], ["few events"])


def test_what_a_verdict_could_not_judge_is_accepted_with_a_warning_unless_a_check_failed(
    tmp_path: Path,
) -> None:
    output = {"path": "outputs/a.txt", "verdict": "outputs/v.json"}
    found, failures, warnings = look(
        tmp_path / "a", output, a__txt="x", v__json={"valid": None, "checks": [{"name": "c", "passed": True}]}
    )
    assert (found, failures) == (["outputs/a.txt"], []) and warnings == [
        "the workflow's verdict outputs/v.json says: not judged"
    ]
    found, failures, _ = look(
        tmp_path / "b",
        output,
        a__txt="x",
        v__json={"valid": None, "checks": [{"name": "c", "passed": False}]},
    )
    assert found == [] and len(failures) == 1 and failures[0].endswith("check failed: c")


def test_a_link_out_of_the_run_directory_is_not_accepted(tmp_path: Path) -> None:
    (tmp_path / "run/outputs").mkdir(parents=True)
    (tmp_path / "run/outputs/a.txt").symlink_to("/etc/passwd")
    found, failures, _ = look(tmp_path, {"path": "outputs/a.txt"})
    assert found == []
    assert "leads out of the run directory" in failures[0]


def tree(run: Path, **links: Path) -> Path:
    """A folder of results with a file, an empty folder and what engines leave; `links` are made in it."""
    folder = run / "outputs/tree"
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "sub/b.txt").write_text("bb")
    (folder / ".snakemake_timestamp").touch()
    for name, place in links.items():
        (folder / name).symlink_to(place)
    return folder


def test_a_folder_is_a_result_with_all_that_it_holds(tmp_path: Path) -> None:
    tree(tmp_path / "run")
    inside = ["outputs/tree/sub/b.txt", "outputs/tree/sub/empty/"]
    assert look(tmp_path, {"path": "outputs/tree"}) == (["outputs/tree/", *inside], [], [])
    assert look(tmp_path, {"path": "outputs/*"})[0] == ["outputs/tree/", *inside]
    assert look(tmp_path, {"path": "outputs/**/*"})[0] == inside
    assert look(tmp_path, {"path": "outputs/**/b*"})[0] == inside[:1]
    assert look(tmp_path, {"path": "outputs/tree/sub/empty"})[0] == inside[1:]
    assert "outputs/tree has 2 bytes" in look(tmp_path, {"path": "outputs/tree", "min_bytes": 3})[1][0]


def test_the_checksum_of_a_folder_is_one_of_names_kinds_and_contents(tmp_path: Path) -> None:
    def of(name: str, change: Callable[[Path], object]) -> str:
        change(tree(tmp_path / name / "run"))
        manifest = Manifest(
            schema_version=1,
            name="toy",
            title="T",
            version="1.0.0",
            implementations=[],
            outputs=[Output(name="o", path="outputs/tree")],
        )
        return collect(manifest, tmp_path / name / "run", tmp_path).outputs[0].sha256

    changes: list[Callable[[Path], object]] = [
        lambda f: None,
        lambda f: (f / "sub/b.txt").write_text("cc"),
        lambda f: (f / "sub/b.txt").rename(f / "b.txt"),
        lambda f: (f / "sub/empty").rmdir(),
        lambda f: ((f / "sub/empty").rmdir(), (f / "sub/empty").touch()),
    ]
    found = [of(str(i), change) for i, change in enumerate(changes)]
    assert len(set(found)) == len(changes)
    assert of("again", lambda f: (f / ".nextflow").mkdir()) == found[0]


def test_links_among_results_are_followed_in_the_run_and_to_its_inputs_and_told_elsewhere(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    (run / "work/made").mkdir(parents=True)
    (run / "work/made/x.txt").write_text("x")
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "y.txt").write_text("y")
    folder = tree(
        run,
        inner=run / "work/made",
        given=tmp_path / "mine",
        away=tmp_path / "other",
        lost=run / "nowhere",
        loop=run / "outputs",
    )
    (folder / "alone").symlink_to(tmp_path / "mine/y.txt")
    found, failures, warnings = look(tmp_path, {"path": "outputs/tree"}, more={"given": [tmp_path / "mine"]})
    assert found == [
        f"outputs/tree/{n}" for n in ("", "alone", "given/y.txt", "inner/x.txt", "sub/b.txt", "sub/empty/")
    ]
    assert not failures
    assert [w.split(" is a link ")[1].split(",")[0] for w in warnings] == [
        "that leads out of the run directory",
        f"that points to nothing ({run}/nowhere)",
        "to a folder that contains it",
    ]
    assert str(tmp_path / "other") in warnings[0]


def test_what_is_only_guessed_may_be_missing_and_gives_way_to_what_the_engine_names(tmp_path: Path) -> None:
    guess = {"path": "outputs/*.txt", "guess": True}
    assert look(
        tmp_path, guess, {"path": "outputs/c.dat", "guess": True}, a__txt="a", b__txt="b", d__dat="d"
    ) == (
        ["outputs/a.txt", "outputs/b.txt"],
        [],
        [],
    )
    told = Results(
        ["outputs/b.txt", str(tmp_path / "run/outputs/d.dat"), "/etc/passwd", "../x", "outputs/gone"]
    )
    found, failures, warnings = look(tmp_path, guess, more={"named": told})
    assert (found, failures) == (["outputs/b.txt", "outputs/d.dat"], [])
    assert len(warnings) == 3
    declared = look(tmp_path, {"path": "outputs/a.txt"}, more={"named": told})[0]
    assert declared == ["outputs/a.txt"], "what an author declares is what there is"
    both = look(tmp_path, {"path": "outputs/a.txt"}, guess, more={"named": told})[0]
    assert both == ["outputs/a.txt", "outputs/b.txt", "outputs/d.dat"]
    twice = Results({"one": "outputs/b.txt", "other": ["outputs/b.txt", "outputs/b.txt"]})
    assert look(tmp_path, guess, more={"named": twice})[0] == ["outputs/b.txt", "outputs/b.txt"], (
        "once under each name"
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    assert (
        len(
            look(
                tmp_path,
                {"path": "outputs/a.txt"},
                {"path": "outputs/b.txt"},
                {"path": "outputs/c.txt", "min_bytes": 9},
                c__txt="",
            )[1]
        )
        == 3
    )
