"""hello and noop with nothing but Snakemake: from the root, directly and from a read-only snapshot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from engine.engine_runs import ROOT, Run, configure, snakemake

HOSTILE = '"a\'b" $(touch pwned) `touch pwned` {x} {{}} %s \\ ; | & مريم -rf'


def schema_of(name: str) -> Any:
    """Return the parameter schema of a workflow."""
    return json.loads((ROOT / "workflows" / name / "params.schema.json").read_text(encoding="utf-8"))


def checksums(directory: Path) -> dict[str, str]:
    """Return the outputs' checksums by path."""
    files = sorted(p for p in (directory / "outputs").rglob("*") if p.is_file())
    return {str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def noop(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run noop through the root Snakefile."""
    directory = tmp_path_factory.mktemp("noop")
    return snakemake(
        directory,
        "--configfile",
        configure(directory, workflow="noop", units=5, group_size=2),
        snakefile=ROOT / "Snakefile",
    )


def test_noop_bare(noop: Run) -> None:
    assert noop.code == 0, noop.stderr
    summary, verdict = noop.document("outputs/summary.json"), noop.document("outputs/verdict.json")
    assert summary["count"] == 5
    assert [unit["unit"] for unit in summary["units"]] == [f"u{i:05d}" for i in range(1, 6)]
    assert {unit["bytes"] for unit in summary["units"]} == {16}
    assert verdict["valid"] is True
    assert {check["name"] for check in verdict["checks"]} == {"count", "sizes", "checksums"}
    assert noop.of("run_info")[0]["stats"] == {"all": 1, "fan_in": 3, "summary": 1, "unit": 5, "verdict": 1}
    assert not list(noop.dir.rglob("*.tmp"))


def test_noop_counts_executions_and_logs(noop: Run) -> None:
    for unit in (f"u{i:05d}" for i in range(1, 6)):
        account = (noop.dir / "work" / "executions" / f"{unit}.log").read_text().split("\n")
        assert [line.split()[0] for line in account if line] == ["start", "end"]
        assert "16 bytes" in (noop.dir / "logs" / "unit" / f"{unit}.log").read_text()


def test_noop_is_the_same_from_a_read_only_snapshot(noop: Run, snapshot: Path) -> None:
    """The same bytes from another place: ungrouped, from the snapshot, with --directory as a rendered run has it."""
    directory = snapshot.parents[1]
    configure(directory, workflow="noop", units=5)
    snakefile = snapshot / "workflows" / "noop" / "Snakefile"
    run = snakemake(
        directory,
        *("--configfile", "config.yaml", "--directory", str(directory)),
        snakefile=snakefile.relative_to(directory),
    )
    assert run.code == 0, run.stderr
    assert checksums(run.dir) == checksums(noop.dir)
    assert not [p for p in snapshot.rglob("*") if "__pycache__" in p.parts]


def test_one_unit_fails_and_the_others_do_not(tmp_path: Path) -> None:
    """From a table: the failure is the unit's, its log says so, and a corrected run repeats only what is missing."""
    table = tmp_path / "units.csv"
    table.write_text('unit,seconds,payload\nalpha,0,x\nbeta,,"it\'s $(touch pwned)"\ngamma,0.01,\ndelta,0,\n')
    config = {"workflow": "noop", "inputs": {"units_table": [str(table)]}, "output_bytes": 5000}
    snakefile = ROOT / "workflows" / "noop" / "Snakefile"
    arguments = ("--keep-going", "--configfile", "config.yaml")
    configure(tmp_path, **config, fail_unit=3, exit_code=9)
    failed = snakemake(tmp_path, *arguments, snakefile=snakefile)
    assert failed.code == 1
    (error,) = failed.of("job_error")
    assert (error["wildcards"], error["exit_code"], error["attempt"]) == ({"unit": "gamma"}, 9, 1)
    assert "exit status 9" in (tmp_path / error["log"][0]).read_text()
    assert sorted(p.stem for p in (tmp_path / "outputs" / "units").glob("*.dat")) == [
        "alpha",
        "beta",
        "delta",
    ]

    configure(tmp_path, **config)
    repeated = snakemake(tmp_path, *arguments, snakefile=snakefile, logger=False)
    assert repeated.code == 0, repeated.stderr
    executed = {p.stem: p.read_text().count("start") for p in (tmp_path / "work" / "executions").iterdir()}
    assert executed == {"alpha": 1, "beta": 1, "delta": 1, "gamma": 2}
    assert (
        (tmp_path / "outputs" / "units" / "beta.dat").read_text().startswith("beta it's $(touch pwned)\nbeta")
    )
    assert not (tmp_path / "pwned").exists()


def test_hello_with_a_hostile_name(tmp_path: Path) -> None:
    configure(tmp_path, workflow="hello", language="dutch", who=HOSTILE)
    run = snakemake(tmp_path, "--configfile", "config.yaml", snakefile=ROOT / "Snakefile")
    assert run.code == 0, run.stderr
    assert (tmp_path / "outputs" / "greeting.txt").read_text(encoding="utf-8") == f"Hallo, {HOSTILE}!\n"
    greeting = run.document("outputs/greeting.json")
    assert greeting["who"] == HOSTILE
    described = json.loads((ROOT / "workflows" / "hello" / "greeting.schema.json").read_text())
    assert jsonschema_rs.validator_for(described).is_valid(greeting)
    assert not (tmp_path / "pwned").exists()


def test_hello_again_is_the_same_bytes(tmp_path: Path, snapshot: Path) -> None:
    """Defaults only; then another language runs again by itself, because the parameter has changed."""
    snakefile = snapshot / "workflows" / "hello" / "Snakefile"
    first = snakemake(tmp_path, "--config", "workflow=hello", snakefile=snakefile, logger=False)
    assert first.code == 0, first.stderr
    assert (tmp_path / "outputs" / "greeting.txt").read_text() == "Hello, world!\n"
    before = checksums(tmp_path)
    other = snakemake(tmp_path, "--config", "language=french", snakefile=snakefile, logger=False)
    assert other.code == 0, other.stderr
    assert (tmp_path / "outputs" / "greeting.txt").read_text() == "Bonjour, world !\n"
    back = snakemake(tmp_path, "--config", "language=english", snakefile=snakefile, logger=False)
    assert back.code == 0, back.stderr
    assert checksums(tmp_path) == before


@pytest.mark.parametrize("name", ["../hello", "nope", None, ["hello"]])
def test_the_root_snakefile_lists_the_workflows(tmp_path: Path, name: object) -> None:
    configure(tmp_path, workflow=name)
    run = snakemake(tmp_path, "--configfile", "config.yaml", "-n", snakefile=ROOT / "Snakefile")
    assert run.code == 1
    (error,) = run.of("error")
    assert "must be one of: hello" in error["message"]


@pytest.mark.parametrize("name", ["a\nb", "tail\n", "bell\a", "\u202eevil", "", "x" * 81])
def test_the_schema_refuses_control_characters(name: str) -> None:
    validator = jsonschema_rs.validator_for(schema_of("hello"))
    assert validator.is_valid({"language": "english", "who": HOSTILE})
    assert not validator.is_valid({"language": "english", "name": name})
    assert not validator.is_valid({"language": "klingon", "name": "x"})


@pytest.mark.parametrize("name", ["hello", "noop"])
def test_defaults_satisfy_the_schema(name: str) -> None:
    schema = schema_of(name)
    defaults = {key: parameter["default"] for key, parameter in schema["properties"].items()}
    assert all(parameter["title"] for parameter in schema["properties"].values())
    assert jsonschema_rs.validator_for(schema).is_valid(defaults)
