"""null is null, and a text that looks like a number or like nothing is a text, as the bare engine has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Done, Place
from services import engines

#: What people write that is no number to them.
TEXTS = [
    "nan",
    "NaN",
    "NA",
    "inf",
    "-inf",
    "null",
    "None",
    "1e5",
    "1E5",
    "+1",
    "5.",
    ".5",
    "0x1f",
    "1_000",
    "true ",
    "012",
]
SCRIPT = """
params.x = 'a'
params.z = 5
params.w = true
params.file = 'd.txt'
println params.any
if (params.file) { x = file(params.file) }
workflow { }
"""


@pytest.fixture
def at(place: Place, inside: Callable[..., Done]) -> Callable[..., Done]:
    (place.root / "config.toml").write_text(engines.configuration("nextflow"))
    return inside


def parameters(done: Done) -> dict[str, object]:
    assert done.code == 0, done.out + done.err
    return dict(done.json["parameters"])


@pytest.mark.integration
def test_null_of_a_params_file_reaches_nextflow(at: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "main.nf").write_text(SCRIPT)
    (tmp_path / "d.txt").touch()
    for name, text in (
        ("p.json", '{"x": null, "z": null, "w": null, "any": null, "file": null}'),
        ("p.yaml", "x: ~\nz:\nw: null\nany:\nfile:\n"),
    ):
        (tmp_path / name).write_text(text)
        found = parameters(at("plan", tmp_path / "main.nf", "--params", tmp_path / name, "--json"))
        assert found == dict.fromkeys(("x", "z", "w", "any", "file")), name
    done = at("run", tmp_path / "main.nf", "--params", tmp_path / "p.json", "--json")
    assert done.code == 0
    run = Path(done.json["dir"])
    assert json.loads((run / "params.json").read_text()) == found
    assert "null" in (run / "logs/engine.log").read_text().split()


@pytest.mark.integration
def test_a_text_that_looks_like_a_number_is_one_only_where_nextflow_takes_it_for_one(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "main.nf").write_text(SCRIPT)
    for text in set(TEXTS) - {"012"}:  # which is twelve to it
        assert (
            parameters(at("plan", tmp_path / "main.nf", f"--any={text}", f"--x={text}", "--json"))["any"]
            == text
        ), text
    # as Nextflow 24.10 takes what stands on its own command line
    for text, number in (("5", 5), ("-5", -5), ("1.5", 1.5), ("true", True)):
        assert parameters(at("plan", tmp_path / "main.nf", f"--any={text}", "--json"))["any"] == number
    (tmp_path / "p.json").write_text(json.dumps({"any": "1e5", "x": "nan"}))
    assert parameters(at("plan", tmp_path / "main.nf", "--params", tmp_path / "p.json", "--json")) == {
        "any": "1e5",
        "x": "nan",
    }


@pytest.mark.integration
def test_texts_and_null_of_a_snakemake_configuration(inside: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        'configfile: "c.yaml"\nrule all:\n    output: "o"\n    shell: "touch o"\n'
    )
    (tmp_path / "c.yaml").write_text(
        "a: x\nb: [x]\nlimit: .inf\nhole: .nan\nbig: 100000000000000000000\nlanes: {1: one}\n"
    )
    for text in TEXTS:
        assert parameters(inside("plan", tmp_path, f"--a={text}", "--json")) == {"a": text}
    made = inside("plan", tmp_path, *(f"--b={text}" for text in ("nan", "1e5")), "--limit", "3", "--json")
    assert parameters(made) == {"b": ["nan", "1e5"], "limit": 3.0}
    (tmp_path / "p.yaml").write_text("a: null\n")
    assert parameters(inside("plan", tmp_path, "--params", tmp_path / "p.yaml", "--json")) == {"a": None}
