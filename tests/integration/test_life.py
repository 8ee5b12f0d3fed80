"""People at a terminal, scripts in Python, the bare engine, a new workflow, an interrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, Place
from helpers.waiting import until
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.errors import NotFoundError, RunFailedError, UsageError

PROGRAMS = Path(__file__).with_name("programs")


@pytest.mark.parametrize("name", ["hello", "noop"])
def test_the_bare_engine_makes_the_same_bytes_from_a_copied_run_directory(
    world: Any, tmp_path: Path, name: str
) -> None:
    original, copy, blocked = world.dir(getattr(world, name)), tmp_path / "a copy", tmp_path / "blocked.txt"
    for file in json.loads((original / "plan.json").read_text())["files"]:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original / file, copy / file)
    (tmp_path / "block").mkdir()
    shutil.copy(PROGRAMS / "block_esap_wf.py", tmp_path / "block" / "sitecustomize.py")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "block"), "BLOCKED": str(blocked)}
    probe = subprocess.run([sys.executable, "-c", "import esap_wf"], env=env, capture_output=True, text=True)
    assert "ImportError: blocked" in probe.stderr, "the block does not work"
    assert "asked for esap_wf" in blocked.read_text()
    blocked.unlink()
    done = subprocess.run(["bash", "command.sh"], cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "snakemake" in blocked.read_text(), "the block was active in the engine"
    assert "asked for" not in blocked.read_text(), "nothing even tried to import it"
    made = {p.relative_to(original): p for p in (original / "outputs").rglob("*") if p.is_file()}
    assert made
    assert {p.relative_to(copy) for p in (copy / "outputs").rglob("*") if p.is_file()} == set(made)
    for path, file in made.items():
        assert (copy / path).read_bytes() == file.read_bytes(), path


def test_a_missing_parameter_is_asked_for_on_a_terminal_and_identical_runs_too(
    place: Place, terminal: Any
) -> None:
    wanted = {"energy": {"type": "number", "title": "Energy", "unit": "TeV", "minimum": 1}}
    folder = write_workflow(place.root / "asks", wanted, schema={"required": ["energy"]})
    refused = place.inside("run", folder, "--json")
    assert refused.code == 2
    assert "--energy VALUE, in TeV" in refused.problems

    asked = terminal(place, "run", folder)
    asked.expect("Energy [TeV]")
    asked.type("2500 GeV")
    done = asked.end()
    assert done.code == 0, done.err
    (run,) = place.inside("list", "--json").json["runs"]
    config = json.loads(next(place.store.glob("runs/*/*/config.json")).read_text())
    assert config["energy"] == 2.5

    for answer, code in (("reuse", 0), ("quit", 3)):
        again = terminal(place, "run", folder, "--energy", "2.5", "--if-exists", "ask")
        again.expect("reuse, rerun, quit")
        assert run["run"] in again.seen
        again.type(answer)
        assert again.end().code == code
    assert len(place.runs()) == 1, "neither answer has started anything"


def test_an_empty_answer_to_a_question_starts_nothing(place: Place, terminal: Any) -> None:
    folder = write_workflow(
        place.root / "asks", {"word": {"type": "string", "title": "Word"}}, schema={"required": ["word"]}
    )
    asked = terminal(place, "run", folder)
    asked.expect("Word")
    asked.type("\x04")
    asked._process.send_signal(signal.SIGINT)
    assert asked.end().code == 130
    assert not place.runs()


@pytest.mark.parametrize("options", [[], ["--shards"]])
def test_a_new_workflow_passes_lint_and_its_own_test(place: Place, options: list[str]) -> None:
    made = place.inside("new", "workflow", "mine", "--into", "made here", *options, "--json").json
    folder = place.root / "made here" / "mine"
    assert made["dir"] == str(folder)
    assert place.inside("lint", folder, "--json").json == {"valid": True, "problems": [], "warnings": []}
    assert "<<name>>" not in "".join(
        p.read_text() for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    )
    tested = subprocess.run(
        [sys.executable, "-S", str(folder / "test/run.py")],
        cwd=folder,  # without site-packages: no pytest
        env={**os.environ, **place.environment},
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    assert tested.stdout == "passed\n"
    if options:
        numbers = ("--numbers", folder / "test/numbers.csv", "--if-exists", "rerun", "--json")
        runs = [place.inside("run", folder, *numbers, *more).json for more in ([], ["--shard-size", "2"])]
        results = [Path(run["dir"], "outputs/result.json").read_bytes() for run in runs]
        assert results[0] == results[1]
        assert list(Path(runs[1]["dir"], "work/shards/part").glob("*.jsonl"))


def test_python_plans_runs_and_looks(place: Place) -> None:
    folder = write_workflow(place.root / "toy", {"n": {"type": "integer", "title": "N", "default": 1}})
    planned = esap_wf.plan(str(folder), {"n": 2}, store=place.store)
    assert planned.parameters == {"n": 2}
    assert not place.runs()
    result = esap_wf.run(planned, store=place.store)
    assert (result.phase, result.reused) == ("COMPLETED", False)
    assert result.path("result").read_text() == "made\n"
    with pytest.raises(NotFoundError, match="it has result"):
        result.path("other")
    assert esap_wf.run(str(folder), {"n": 2.0}, store=place.store).reused
    assert esap_wf.status(result.id[:8], store=place.store).phase == "COMPLETED"
    assert [o.name for o in esap_wf.results(result.id, store=place.store)] == ["result"]
    assert [d.run for d in esap_wf.plan(str(folder), {"n": 2}, store=place.store).duplicates] == [result.id]
    with pytest.raises(UsageError, match="n"):
        esap_wf.run(str(folder), {"n": "two"}, store=place.store)


def test_python_is_told_why_a_run_failed(world: Any) -> None:
    with pytest.raises(NotFoundError):
        esap_wf.status("nobody", store=world.cli.store)
    assert esap_wf.results(world.failed, store=world.cli.store) == []
    assert RunFailedError("x").exit_code == 1


def test_an_interrupted_run_ends_with_130_and_can_be_resumed(place: Place) -> None:
    process = subprocess.Popen(
        [COMMAND, "run", "noop", "--units", "2", "--seconds", "600", "--json"],
        env={**os.environ, **place.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(place.store.glob("runs/*/*/work/executions/*")))
    process.send_signal(signal.SIGINT)
    until(lambda: list(place.store.glob("runs/*/*/stop.json")))  # the first has been answered
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    answer = json.loads(out)
    assert (answer["phase"], answer["exit_code"]) == ("ABORTED", 130)
    assert f"esap-wf resume {answer['run']}" in place.inside("status", answer["run"]).out
