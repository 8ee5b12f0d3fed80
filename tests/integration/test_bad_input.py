"""Bad input: each is a clear error, and nothing is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.paths import ROOT
from helpers.workflows import write_workflow

CASES = {
    "unknown parameter": (["run", "hello", "--param", "whoo=x"], 2, "did you mean who?"),
    "mistyped flag": (["run", "noop", "--unit", "3"], 2, "--unit"),
    "wrong type": (["run", "noop", "--units", "three"], 2, "--units: 'three' is not a number"),
    "wrong unit": (["run", "noop", "--seconds", "5 deg"], 2, "allowed units: s, h, min, d, yr"),
    "out of range": (["run", "noop", "--units", "0"], 2, "--units: 0 is less than the minimum of 1"),
    "not a number": (["run", "noop", "--seconds", "nan"], 2, "--seconds"),
    "infinite": (["run", "noop", "--seconds", "inf"], 2, "--seconds"),
    "too large for a float": (["run", "noop", "--seconds", "1e999"], 2, "--seconds"),
    "control character": (["run", "hello", "--param", "who=a\x1bb"], 2, "U+001B"),
    "direction override": (["run", "hello", "--param", "who=\u202eb"], 2, "U+202E"),
    "not in the list": (["run", "hello", "--language", "klingon"], 2, "klingon"),
    "missing file": (["run", "noop", "--input", "units_table=none.csv"], 2, "there is no such file"),
    "wrong kind of file": (
        ["run", "noop", "--input", "units_table=/etc/passwd"],
        2,
        ".csv or .tsv or .jsonl",
    ),
    "not staged": (
        ["run", "noop", "--input", "units_table=rucio://lake/scope/t.csv"],
        2,
        "the configuration has no [datalakes.lake]",
    ),
    "unknown input": (["run", "hello", "--input", "x=y"], 2, "it has no inputs"),
    "parameter file missing": (["run", "hello", "--params", "none.yaml"], 2, "there is no such file"),
    "parameter file is a folder": (["run", "hello", "--params", "/"], 2, "is a folder, not a file"),
    "unknown workflow": (["run", "helo"], 2, "did you mean hello?"),
    "workflow by a strange path": (["run", "../../etc"], 2, "no workflow"),
    "unknown engine": (["run", "hello", "--engine", "make"], 2, "it has snakemake"),
    "unknown size": (["run", "noop", "--size", "medum"], 2, "did you mean medium?"),
    "too many cores": (["run", "noop", "--cores", "99999"], 3, "99999 cores asked for, but it has"),
    "strange name": (["run", "hello", "--name", "a\nb"], 2, "name"),
    "strange tag": (["run", "hello", "--tag", "a b"], 2, "--tag"),
    "run by a path": (["status", "../../etc"], 2, "not a path"),
    "run by another path": (["rm", "/etc"], 2, "not a path"),
    "results by a path": (["results", "../x"], 2, "not a path"),
    "plan that is none": (["run", "--plan", "/etc/hostname"], 2, "broken"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_clear_error_and_starts_nothing(place: Place, case: str) -> None:
    words, code, said = CASES[case]
    if words[0] in ("status", "rm", "results"):
        place.inside("store", "init")
    done = place.inside("--json", *words)
    assert done.code == code, done
    assert said in done.problems
    assert done.err.startswith("esap-wf: error:")
    assert "Traceback" not in done.err
    assert not place.runs()


FILES = {
    "not a mapping": ("- 1\n", "a mapping of names to values"),
    "broken": ("a: [\n", "p.yaml:2"),
    "twice": ("units: 1\nunits: 2\n", "p.yaml:2:1"),
    "tag": ("units: !!python/object/apply:os.system ['touch pwned']\n", "p.yaml:1:8"),
    "not finite": ("seconds: .inf\n", "not a finite number"),
    "wrong": ("units: 0\nsecond: 1\n", "did you mean seconds?"),
    "binary": ("\udcff\udcfe", "not UTF-8"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_parameter_file_is_told_with_its_line(place: Place, case: str) -> None:
    text, said = FILES[case]
    (place.root / "p.yaml").write_bytes(text.encode(errors="surrogateescape"))
    done = place.inside("run", "noop", "--params", "p.yaml", "--json")
    assert done.code == 2
    assert said in done.problems
    assert not place.runs()
    assert not (place.root / "pwned").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("workflow.yaml", "name: ["),
        ("workflow.yaml", "{}"),
        ("params.schema.json", "{"),
        ("params.schema.json", '{"properties": {"a": 5}}'),
    ],
)
def test_a_broken_workflow_is_told_with_its_file(place: Place, file: str, text: str) -> None:
    folder = write_workflow(place.root / "toy")
    (folder / file).write_text(text)
    for verb in ("run", "plan", "show", "lint", "validate"):
        done = place.inside(verb, folder, "--json")
        assert done.code == 2, (verb, done)
        assert file in done.out
        assert "Traceback" not in done.err
    assert not place.runs()


def test_a_table_with_wrong_rows_is_told_row_by_row(place: Place) -> None:
    (place.root / "t.csv").write_text("unit,seconds\na,1\na,1\nb c,-1\n")
    done = place.inside("run", "noop", "--input", "units_table=t.csv", "--json")
    assert done.code == 2
    assert "t.csv:3: unit: 'a' appears twice in the table" in done.problems
    assert "t.csv:4: unit" in done.problems
    assert "t.csv:4: seconds" in done.problems
    assert not place.runs()


def test_a_store_that_can_not_be_written_is_refused(place: Place) -> None:
    (place.root / "file").write_text("")
    stores = [place.root / "file" / "store", Path("/proc/store")]
    if os.geteuid():
        (place.root / "closed").mkdir(mode=0o555)
        stores.append(place.root / "closed" / "store")
    for store in stores:
        done = place.inside("--store", store, "run", "hello", "--json")
        assert done.code == 3, (store, done)
        assert done.problems


def test_a_folder_with_other_things_is_no_store(place: Place) -> None:
    (place.root / "mine").mkdir()
    (place.root / "mine" / "thesis.txt").write_text("")
    done = place.inside("--store", "mine", "run", "hello", "--json")
    assert done.code == 3
    assert "not empty" in done.problems
    assert place.inside("--store", "mine", "list", "--json").code == 2
    assert [p.name for p in (place.root / "mine").iterdir()] == ["thesis.txt"]


@pytest.fixture
def without_engine(place: Place) -> Any:
    """esap-wf in an environment, and with a PATH, without Snakemake."""
    environment = place.root / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n{ROOT}\n")
    tools = place.root / "tools"
    tools.mkdir()
    for name in ("python3", "bash"):
        (tools / name).symlink_to(f"/usr/bin/{name}" if name == "bash" else environment / "bin" / name)

    def call(*words: str) -> Done:
        code = "import sys; from esap_wf.cli import main; main(sys.argv[1:])"
        done = subprocess.run(
            [str(environment / "bin/python"), "-c", code, *words],
            env={**place.environment, "PATH": str(tools)},
            capture_output=True,
            text=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


def test_a_missing_engine_is_unavailable_with_the_command_that_installs_it(
    without_engine: Any, place: Place
) -> None:
    for verb in ("plan", "run"):
        done = without_engine(verb, "hello", "--json")
        assert done.code == 4, done
        assert "esap-wf engines install snakemake" in done.problems
    assert not place.runs()
    checks = {c["name"]: c for c in json.loads(without_engine("doctor", "--json").out)["checks"]}
    assert not checks["engine snakemake"]["ok"]
    assert "engines install" in checks["engine snakemake"]["hint"]
    assert without_engine("engines", "list", "--json").json["engines"][0]["version"] is None
    for words in (["list"], ["workflows"], ["show", "hello"], ["validate", "hello"]):
        assert without_engine(*words).code == 0, "what needs no engine works"


def test_the_light_verbs_work_without_a_home_to_write_to(place: Place) -> None:
    env = {"HOME": "/nowhere", "ESAP_WF_STORE": "", "ESAP_WF_CACHE": "", "ESAP_WF_CONFIG": ""}
    for words in (["list", "--json"], ["workflows", "--json"], ["show", "hello", "--json"], ["--help"]):
        assert place.inside(*words, env=env).code == 0, words
