"""A run that failed, asked for again with other resources: it goes on where it was, by the new request, and its counts are true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.waiting import until
from helpers.workflows import write_workflow
from services import engines

import esap_wf

pytestmark = pytest.mark.integration

SNAKEFILE = """\
rule all:
    input: "outputs/second.txt"
rule first:
    output: "outputs/first.txt"
    shell: "echo x >> {count}; echo 1 > {{output}}"
rule second:
    input: "outputs/first.txt"
    output: "outputs/second.txt"
    shell: "test -e {repaired} && cp {{input}} {{output}}"
"""
MAIN_NF = """\
process first {{
    output: path 'first.txt'
    script: "echo x >> {count}; echo 1 > first.txt"
}}
process shaky {{
    errorStrategy 'retry'
    maxRetries 1
    output: path 'shaky.txt'
    script: "[ ${{task.attempt}} -gt 1 ] && echo 1 > shaky.txt"
}}
process second {{
    publishDir 'outputs', mode: 'copy'
    input:
    path one
    path two
    output: path 'second.txt'
    script: "test -e {repaired} && cat $one $two > second.txt"
}}
workflow {{ second(first(), shaky()) }}
"""
MAIN_CWL = """\
cwlVersion: v1.2
class: Workflow
inputs: []
outputs:
  second: {{type: File, outputSource: second/out}}
steps:
  first:
    in: []
    out: [out]
    run:
      class: CommandLineTool
      baseCommand: [bash, -c]
      arguments: ["echo x >> {count}; echo 1 > first.txt"]
      inputs: []
      outputs: {{out: {{type: File, outputBinding: {{glob: first.txt}}}}}}
  second:
    in: {{one: first/out}}
    out: [out]
    run:
      class: CommandLineTool
      baseCommand: [bash, -c]
      arguments: ["test -e {repaired} && cp $1 second.txt", second, $(inputs.one)]
      inputs: {{one: File}}
      outputs: {{out: {{type: File, outputBinding: {{glob: second.txt}}}}}}
"""
REANA = """\
workflow:
  type: serial
  specification:
    steps:
      - {{name: first, environment: "", commands: ["echo x >> {count}; mkdir -p outputs; echo 1 > outputs/first.txt"]}}
      - {{name: second, environment: "", commands: ["test -e {repaired} && cp outputs/first.txt outputs/second.txt"]}}
outputs: {{files: [outputs/second.txt]}}
"""
#: Engine → file, text, number of jobs.
PIPELINES = {
    "snakemake": ("Snakefile", SNAKEFILE, 2),
    "nextflow": ("main.nf", MAIN_NF, 3),
    "cwl": ("main.cwl", MAIN_CWL, 2),
    "toil": ("main.cwl", MAIN_CWL, 2),
    "command": ("reana.yaml", REANA, 2),
}


@pytest.mark.parametrize(
    "engine",
    [pytest.param(e, marks=[pytest.mark.soak] if e in ("toil", "nextflow") else []) for e in PIPELINES],
)
def test_a_failed_run_goes_on_by_the_new_request(
    engine: str, place: Place, inside: Callable[..., Any]
) -> None:
    count, repaired, wanted = (place.root / name for name in ("count", "repaired", "wanted"))
    file, text, jobs = PIPELINES[engine]
    pipeline = place.root / "p"
    pipeline.mkdir()
    (pipeline / file).write_text(text.format(count=count, repaired=repaired))
    if engine != "command":
        (place.root / "config.toml").write_text(engines.configuration(engine))
    words = ["run", pipeline / file, *(["--engine", engine] if engine == "toil" else []), "--json"]
    first = inside(*words, "--memory", "1 GB", "--cores", 1, "--name", "one")
    assert first.code == 1, first
    run = Path(first.json["dir"])
    state = inside("status", "one", "--json").json
    progress = state["progress"]
    assert (state["phase"], progress["units_done"], progress["units_total"]) == ("ERROR", jobs - 1, jobs), (
        state
    )
    assert (progress["units_running"], progress["jobs_running"]) == (0, 0)
    assert state["earlier_plans"] == []

    repaired.touch()
    repeated = inside(
        *words, "--memory", "2 GB", "--cores", 2, "--name", "two", "--tag", "t", "--results", wanted
    )
    assert (repeated.code, repeated.json["run"]) == (0, first.json["run"]), repeated
    assert "it continues with a new plan: cores 1 → 2; memory 1 GB → 2 GB" in repeated.err
    assert count.read_text() == "x\n", "what was done is not repeated"
    state = inside("status", "two", "--json").json
    progress = state["progress"]
    assert (state["phase"], progress["units_done"], progress["units_total"], progress["units_failed"]) == (
        "COMPLETED",
        jobs,
        jobs,
        0,
    ), state
    assert {(s["total"], s["done"], s["failed"], s["running"]) for s in state["steps"]} == {(1, 1, 0, 0)}
    assert state["failures"] == []
    assert (state["run"], state["names"], state["tags"]) == (run.name, ["one", "two"], ["t"])
    assert (state["allocation"]["cores"], state["allocation"]["memory_bytes"]) == (2, 2 * 10**9), (
        "the plan in force is shown"
    )
    assert state["earlier_plans"] == ["plan.1.json"]
    assert f"{jobs}/{jobs} units" in inside("status", "two").out
    (row,) = inside("list", "--tag", "t", "--json").json["runs"]
    assert (row["progress"]["units_done"], row["progress"]["units_total"]) == (jobs, jobs)
    now, before = (json.loads((run / name).read_text()) for name in ("plan.json", "plan.1.json"))
    assert (now["allocation"]["cores"], before["allocation"]["cores"]) == (2, 1)
    assert (
        now["digest"]["identity"]
        == before["digest"]["identity"]
        == json.loads((run / "run.json").read_text())["identity"]
    )
    assert "2 cores and 2 GB of memory" in (run / "report.html").read_text()
    assert not (run / "revision").exists()
    assert not list(place.store.glob("tmp/*"))
    assert "second.txt" in {p.name for p in wanted.rglob("*")}

    reused = inside(*words, "--name", "three")
    assert (reused.json["run"], reused.json["reused"]) == (run.name, True)
    assert inside("status", "three", "--json").json["run"] == run.name


#: Waits until `go` is there, then does as `text` says.
WAITING = """\
workflow:
  type: serial
  specification:
    steps:
      - {{name: wait, environment: "", commands: ["until [ -e {go} ]; do sleep 0.1; done; test -e {repaired} && echo 1 > out.txt"]}}
outputs: {{files: [out.txt]}}
"""


@pytest.fixture
def waiting(place: Place) -> Path:
    folder = place.root / "w"
    folder.mkdir()
    (folder / "reana.yaml").write_text(WAITING.format(go=place.root / "go", repaired=place.root / "repaired"))
    return folder


def test_who_asks_while_a_run_is_at_work_gets_its_results_too(
    place: Place, waiting: Path, inside: Callable[..., Any]
) -> None:
    (place.root / "repaired").touch()
    first = inside("run", waiting, "--name", "one", "--results", place.root / "a", "--detach", "--json").json
    other = inside(
        "run",
        waiting,
        "--name",
        "two",
        "--results",
        place.root / "b",
        "--memory",
        "2 GB",
        "--detach",
        "--json",
    )
    assert (other.code, other.json["run"], other.json["reused"]) == (0, first["run"], True)
    assert "it now also has the name two" in other.err
    assert f"its results will be copied to {place.root / 'b'} when it ends" in other.err
    assert "it runs as it was planned, not as it was asked for now: memory 1 GB → 2 GB" in other.err
    (place.root / "go").touch()
    until(lambda: inside("status", "two", "--json").json["phase"] == "COMPLETED")
    assert [p.read_text() for name in "ab" for p in (place.root / name).rglob("out.txt")] == ["1\n", "1\n"]
    third = esap_wf.run(
        str(waiting), name="three", tags=["t"], results=str(place.root / "c"), store=place.store
    )
    assert (third.id, third.reused) == (first["run"], True)
    assert list((place.root / "c").rglob("out.txt"))
    assert esap_wf.status("three", store=place.store).phase == "COMPLETED"
    assert inside("status", "one", "--json").json["tags"] == ["t"]


def test_a_run_that_cannot_go_on_is_left_and_a_new_one_says_why(
    place: Place, waiting: Path, inside: Callable[..., Any]
) -> None:
    (place.root / "go").touch()
    first = inside("run", waiting, "--json").json
    assert first["phase"] == "ERROR"
    snapshot = next(p for p in Path(first["dir"]).glob("code/*/**/reana.yaml"))
    for folder in snapshot.parents[:3]:
        folder.chmod(0o755)
    snapshot.unlink()
    (place.root / "repaired").touch()
    repeated = inside("run", waiting, "--json")
    assert (repeated.code, repeated.json["phase"]) == (0, "COMPLETED"), repeated
    assert repeated.json["run"] != first["run"]
    assert (
        f"{first['run']} is identical and did not succeed, but it can't be continued: its snapshot of the code lacks"
        in repeated.err
    )


def test_a_failed_run_of_an_earlier_version_is_resumed_by_its_own_plan(
    place: Place, waiting: Path, inside: Callable[..., Any]
) -> None:
    """Its identity was made otherwise, so no request of today is the same; it opens, is listed and goes on all the same."""
    (place.root / "go").touch()
    first = inside("run", waiting, "--name", "old", "--json").json
    for name in ("plan.json", "run.json"):
        printed = json.loads((Path(first["dir"]) / name).read_text())
        if name == "plan.json":
            for key in ("nonce", "inside", "outputs", "checksum"):
                printed.pop(key, None)
            printed["digest"].pop("scheme")
            printed["digest"]["identity"] = "ab" * 32
        else:
            printed["identity"] = "ab" * 32
        (Path(first["dir"]) / name).write_text(json.dumps(printed))
    inside("index", "rebuild")
    assert inside("plan", waiting, "--json").json["duplicates"] == []
    assert [r["name"] for r in inside("list", "--json").json["runs"]] == ["old"]
    (place.root / "repaired").touch()
    resumed = inside("resume", "old", "--json")
    assert (resumed.code, resumed.json["phase"], resumed.json["run"]) == (0, "COMPLETED", first["run"]), (
        resumed
    )
    progress = inside("status", "old", "--json").json["progress"]
    assert (progress["units_done"], progress["units_total"], progress["units_failed"]) == (1, 1, 0)


def test_a_run_without_a_seed_goes_on_with_more_by_its_id(place: Place, inside: Callable[..., Any]) -> None:
    """No request is identical to it, so `resume` takes resources itself; and a manifest may call its units what no step is called."""
    folder = write_workflow(
        place.root / "seeded",
        {"seed": {"type": ["integer", "null"], "title": "Seed", "default": None}},
        {
            "random": {"seed": "seed"},
            "units": {"axis": "unit", "count": 3, "steps": ["nothing"]},
            "resources": {"default": "small", "sizes": {"small": {"cores": 1, "memory": "1 GB"}}},
        },
        files={
            "Snakefile": f'rule all:\n    input: "outputs/result.txt"\n'
            f'rule make:\n    output: "outputs/result.txt"\n    shell: "test -e {place.root / "repaired"} && echo 1 > {{output}}"\n'
        },
    )
    first = inside("run", folder, "--json").json
    assert inside("status", first["run"], "--json").json["progress"]["units_total"] == 3
    changed = inside("resume", first["run"], "--memory", "a lot", "--json")
    assert changed.code == 2, changed
    (place.root / "repaired").touch()
    repeated = inside("resume", first["run"], "--memory", "2 GB", "--json")
    assert (repeated.code, repeated.json["phase"], repeated.json["run"]) == (0, "COMPLETED", first["run"]), (
        repeated
    )
    assert "it continues with a new plan: memory 1 GB → 2 GB" in repeated.err
    state = inside("status", first["run"], "--json").json
    assert (state["progress"]["units_done"], state["progress"]["units_total"]) == (1, 1), "each job is a unit"
    assert (
        "units: the manifest names nothing, but the run had make: each job counts as a unit"
        in state["warnings"]
    )
    plans = [json.loads((Path(first["dir"]) / name).read_text()) for name in ("plan.1.json", "plan.json")]
    assert len({p["parameters"]["seed"] for p in plans}) == len({p["digest"]["identity"] for p in plans}) == 1
