"""Saved plans, runs from them, reruns, and what the engine gets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.errors import RefusedError
from esap_wf.models.plan import Plan, checksum
from esap_wf.models.run import encode

SHOUT = """\
rule all:
    input: "outputs/result.txt"

rule make:
    input: lambda w: config["inputs"]["data"]
    output: "outputs/result.txt"
    log: "logs/make/all.log"
    params: config=lambda w: config["word"]
    shell: "(cat {input:q}; printf '%s' {params.config:q}) > {output:q} 2> {log:q}"
"""


@pytest.fixture
def folder(place: Place) -> Path:
    (place.root / "data.txt").write_text("data ")
    return write_workflow(
        place.root / "shout",
        {"word": {"type": "string", "title": "Word", "default": "it's"}},
        {"inputs": {"data": {"title": "Data"}}},
        files={"Snakefile": SHOUT},
    )


def test_a_saved_plan_runs_exactly_once_it_is_not_stale(place: Place, folder: Path) -> None:
    saved = place.root / "plan.json"
    planned = place.inside(
        "plan", folder, "--input", "data=data.txt", "--word", "$(id)", "-o", saved, "--json"
    ).json
    assert planned["plan"] == str(saved)
    assert not place.runs(), "planning starts nothing"
    done = place.inside("run", "--plan", saved, "--json")
    assert done.code == 0, done.err
    folder_of_run = Path(done.json["dir"])
    assert (folder_of_run / "outputs/result.txt").read_text() == "data $(id)"
    stored = json.loads((folder_of_run / "plan.json").read_text())
    assert stored["digest"]["identity"] == planned["digest"]
    assert stored["command"] == planned["command"], "what was planned is what ran"
    again = place.inside("run", "--plan", saved, "--json")
    assert (again.json["run"], again.json["reused"]) == (done.json["run"], True)

    def refused(said: str) -> None:
        done = place.inside("run", "--plan", saved, "--json")
        assert done.code == 3, done
        assert "stale" in done.problems
        assert said in done.problems

    (place.root / "data.txt").write_text("other")
    refused("input data: its content changed")
    (place.root / "data.txt").write_text("data ")
    (folder / "Snakefile").write_text(SHOUT + "\n")
    refused("code of the workflow")
    (folder / "Snakefile").write_text(SHOUT)
    plan = msgspec.json.decode(saved.read_bytes(), type=Plan)
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
    old = msgspec.structs.replace(plan, expires=past)
    saved.write_bytes(encode(msgspec.structs.replace(old, checksum=checksum(old))))
    refused("it was valid until")
    saved.write_text(saved.read_text().replace("$(id)", "other"))
    edited = place.inside("run", "--plan", saved, "--json")
    assert edited.code == 3
    assert "edited by hand" in edited.problems
    assert "digest: says" in edited.problems
    changed = json.loads(encode(plan))
    changed["allocation"]["cores"] = 77
    saved.write_text(json.dumps({**changed, "expires": "whenever"}))
    edited = place.inside("run", "--plan", saved, "--json")
    assert edited.code == 3
    assert 'allocation: says {"cores": 77' in edited.problems
    with pytest.raises(RefusedError, match="edited"):
        esap_wf.run(msgspec.structs.replace(plan, units=5), store=place.store)
    assert len(place.runs()) == 1


def test_a_rerun_is_a_new_run_with_the_changes(world: Any) -> None:
    done = world.cli.inside("rerun", world.hello, "--set", "language=dutch", "--json")
    assert done.code == 0, done.err
    assert done.json["run"] != world.hello
    assert (Path(done.json["dir"]) / "outputs/greeting.txt").read_text() == "Hallo, Ada $(x) {y}!\n"
    differences = world.cli.inside("diff", world.hello, done.json["run"], "--json").json["differences"]
    told = {d["what"]: (d["first"], d["second"]) for d in differences}
    assert told["parameter language"] == ("english", "dutch")
    assert "output outputs/greeting.txt" in told
    assert not any(what.startswith("code") for what in told)
    newest = world.cli.inside("status", "first", "--json")
    assert newest.json["run"] == done.json["run"], "both runs have the name"
    assert f"runs are named 'first': the newest is taken, {done.json['run']}" in newest.err
    refused = world.cli.inside("rm", "first", "--json")
    assert refused.code == 2, "nothing is deleted by a guess"
    assert world.hello in refused.problems


def test_options_behind_two_dashes_reach_the_engine_and_others_never_do(world: Any) -> None:
    before = len(world.cli.runs())
    command = world.cli.inside("plan", "hello", "--json", "--", "--config", "a b").json["command"]
    assert command[-2:] == ["--config", "a b"]
    for words in (["--dry-run"], ["--config", "x=1"], ["--snakefile", "/tmp/x"], ["--cores", "-1"], ["-n"]):
        assert world.cli.inside("run", "hello", *words, "--json").code == 2, words
    assert len(world.cli.runs()) == before


def test_a_request_file_is_a_whole_request(world: Any, tmp_path: Path) -> None:
    request = {"workflow": "noop", "parameters": {"units": 3, "group_size": 2}, "tags": ["t"]}
    (tmp_path / "r.json").write_text(json.dumps(request))
    assert world.cli.inside("plan", "--params", tmp_path / "r.json", "--json").json["duplicates"] == [
        world.noop
    ]
    (tmp_path / "p.yaml").write_text("units: 3\ngroup_size: 0\n")
    planned = world.cli.inside(
        "plan", "noop", "--params", tmp_path / "p.yaml", "--group-size", "2", "--json"
    ).json
    assert planned["duplicates"] == [world.noop], "a flag wins over the file"
    (tmp_path / "r.json").write_text(json.dumps({**request, "workflwo": "x"}))
    wrong = world.cli.inside("plan", "--params", tmp_path / "r.json", "--json")
    assert wrong.code == 2
    assert "did you mean workflow?" in wrong.problems
