"""Parameters and inputs are flags by their names; where esap-wf has an option of that name, a user is told what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

#: Option → a value with which a plan is made.
OPTIONS = {
    "backend": "local",
    "engine": "snakemake",
    "size": "small",
    "cores": "1",
    "memory": "1 GB",
    "wall": "1 h",
    "software": "installed",
    "name": "mine",
    "tag": "t",
    "results": "there",
    "param": "free=x",
    "input": "table=rows.csv",
    "params": "values.yaml",
    "output": "plan.json",
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("names"))
    (place.root / "home").mkdir()
    texts = {name: {"type": "string", "title": name, "default": "d"} for name in ("free", *OPTIONS)}
    inputs = {
        "table": {"title": "Rows", "required": False, "default": "rows.csv"},
        "detach": {"title": "D", "required": False},
        "events": {"title": "Events", "required": False, "many": True, "pattern": True},
        "tables": {"title": "All", "required": False},
    }
    sizes = {"sizes": {"small": {"cores": 1, "memory": "1 GB"}}}
    write_workflow(
        place.root / "same", texts, {"inputs": inputs, "resources": sizes}, files={"rows.csv": "a\n"}
    )
    needed = {"inputs": {"events": {"title": "Events", "many": True}}}
    write_workflow(place.root / "needs", {}, needed)
    foreign = place.root / "foreign"
    foreign.mkdir()
    (foreign / "Snakefile").write_text(
        'configfile: "config.yaml"\nrule all:\n  output: "out.txt"\n  params: config["name"], config["free"]\n  shell: "touch {output}"\n'
    )
    (foreign / "config.yaml").write_text("name: theirs\nfree: x\n")
    for name in ("rows.csv", "a.ev", "b.ev"):
        (place.root / name).write_text(name)
    (place.root / "values.yaml").write_text("free: y\n")
    return place


def test_hello_greets_whom_one_says_and_the_run_has_its_own_name(place: Place) -> None:
    plan = place.inside("plan", "hello", "--who", "Ada", "--name", "first", "--json")
    assert plan.json["parameters"]["who"] == "Ada"
    assert "note:" not in plan.err


@pytest.mark.parametrize("which", ["same", "foreign"])
def test_an_option_that_hides_a_parameter_says_how_it_is_given(at: Place, which: str) -> None:
    names = list(OPTIONS) if which == "same" else ["name"]
    words = [w for name in names for w in (f"--{name}", OPTIONS[name])]
    done = at.inside("plan", at.root / which, *words, "--json")
    assert done.code == 0, done
    told = [line for line in done.err.splitlines() if line.startswith("note: ")]
    assert len(told) == len(names), told
    for name in names:
        (line,) = [line for line in told if line.startswith(f"note: --{name} ")]
        assert line.endswith(f"the workflow's parameter of that name is given as --param {name}=…")
        assert "is an option of esap-wf" not in line, "each says what it does"
    if which == "same":
        assert (
            "note: --name names the run; the workflow's parameter of that name is given as --param name=…"
            in told
        )
        assert done.json["parameters"] == {**dict.fromkeys(OPTIONS, "d"), "free": "x"}
        kept = at.inside(
            "plan", at.root / which, *(w for n in OPTIONS for w in ("--param", f"{n}=v")), "--json"
        )
        assert kept.json["parameters"] == {**dict.fromkeys(OPTIONS, "v"), "free": "d"}
        assert "note: " not in kept.err


def test_validate_and_run_say_it_too_once(at: Place) -> None:
    checked = at.inside("validate", at.root / "same", "--name", "x", "--name", "y")
    assert (checked.code, checked.err.count("note: --name")) == (0, 1)
    refused = at.inside("run", at.root / "same", "--free", "x", "--detach", "--cores", "99999")
    assert refused.code == 3
    assert (
        "note: --detach returns at once; the workflow's input of that name is given as --input detach=…"
        in refused.err
    )


def test_show_and_help_say_how_a_hidden_parameter_is_given(at: Place) -> None:
    for text in (at.inside("show", at.root / "same").out, at.inside("run", at.root / "same", "--help").out):
        assert "--param name=VALUE" in text
        assert "--input detach=REF" in text
        assert "--free" in text
        assert "--events" in text
    assert "--param name=VALUE" in at.inside("show", at.root / "foreign").out


def test_an_input_is_given_by_its_flag_as_by_input(at: Place) -> None:
    def planned(*words: str) -> dict[str, list[str]]:
        done = at.inside("plan", at.root / "same", *words, "-o", "made.json", "--json")
        assert done.code == 0, done
        refs = json.loads((at.root / "made.json").read_text())["inputs"]
        return {name: [Path(r["path"]).name for r in given] for name, given in refs.items() if given}

    assert planned() == {"table": ["rows.csv"]}
    both = {"table": ["a.ev"], "events": ["a.ev", "b.ev"]}
    assert planned("--table", "a.ev", "--events", "a.ev", "--events", "b.ev") == both
    assert planned("--input", "table=a.ev", "--input", "events=a.ev", "--events=b.ev") in (
        both,
        {**both, "events": ["b.ev", "a.ev"]},
    )
    by_flag, by_pair = planned("--events", "*.ev"), planned("--input", "events=*.ev")
    assert by_flag == by_pair


def test_wrong_inputs_are_told_by_flag_as_by_input(at: Place) -> None:
    twice = at.inside("plan", at.root / "same", "--table", "a.ev", "--table", "b.ev", "--json")
    assert (twice.code, "takes one file or folder, but 2 were given" in twice.problems) == (2, True)
    mixed = at.inside("plan", at.root / "same", "--table", "a.ev", "--input", "table=b.ev", "--json")
    assert "takes one file or folder, but 2 were given" in mixed.problems
    assert (
        "there is no such file" in at.inside("plan", at.root / "needs", "--events", "c.ev", "--json").problems
    )
    assert "--events PATH, or --input events=PATH" in at.inside("plan", at.root / "needs", "--json").problems
    spread = at.inside("plan", at.root / "needs", "--events", "a.ev", "b.ev", "--json")
    assert (spread.code, "--events a.ev --events b.ev" in spread.problems) == (2, True)
    helped = at.inside("run", at.root / "needs", "--help").out
    assert "--events PATH" in helped
    assert "[needed]" in helped
