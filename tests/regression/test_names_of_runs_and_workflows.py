"""Names and relative paths that meant something else the second time, without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

import esap_wf
from esap_wf.catalogue import addresses, derivation, repositories
from esap_wf.config import Config
from esap_wf.errors import UnavailableError, UsageError


@pytest.fixture
def collection(place: Place) -> Path:
    (place.root / "config.toml").write_text("workflows = ['mine']\n")
    (place.root / "mine").mkdir()
    return place.root / "mine"


def test_a_name_of_two_workflows_is_refused_and_a_source_or_the_path_chooses(
    inside: Any, collection: Path
) -> None:
    write_workflow(collection / "hello", manifest={"name": "hello", "version": "7.7.0"})
    rows = [
        (r["source"], r["version"])
        for r in inside("workflows", "--json").json["workflows"]
        if r["name"] == "hello"
    ]
    assert len(rows) == 2
    assert ("configured", "7.7.0") in rows
    refused = inside("plan", "hello", "--json")
    assert refused.code == 2
    assert "hello@built-in" in refused.problems
    assert "hello@configured" in refused.problems
    assert inside("show", "hello@configured", "--json").json["version"] == "7.7.0"
    assert inside("show", collection / "hello", "--json").json["version"] == "7.7.0"
    assert inside("show", "hello@built-in", "--json").json["source"] == "built-in"
    assert inside("show", "hello@elsewhere", "--json").code == 2
    assert "software" in str(inside("doctor", "--json").json["checks"])


def test_a_workflow_is_not_found_by_a_name_that_is_not_its_own(inside: Any, collection: Path) -> None:
    write_workflow(collection / "my-hello", manifest={"name": "hello"})
    refused = inside("plan", "my-hello", "--json")
    assert refused.code == 2
    assert "calls itself 'hello', but its path says 'my-hello'" in refused.problems
    assert "calls itself" in inside("lint", collection / "my-hello", "--json").out
    assert inside("plan", collection / "my-hello", "--json").code == 0, "a path is no name"


def _shout(folder: Path, **manifest: Any) -> Path:
    snakefile = 'rule all:\n    input: "outputs/result.txt"\n\nrule make:\n    input: lambda w: config["inputs"]["data"]\n'
    snakefile += '    output: "outputs/result.txt"\n    shell: "cp {input:q} {output:q}"\n'
    return write_workflow(
        folder, {}, {"inputs": {"data": {"title": "Data"}}, **manifest}, files={"Snakefile": snakefile}
    )


def test_a_rerun_takes_the_data_and_the_workflow_of_its_run(place: Place, collection: Path) -> None:
    _shout(collection / "shout")
    for name in ("a", "b"):
        (place.root / name).mkdir()
        (place.root / name / "d.txt").write_text(name)
    first = place.inside("run", "shout", "--input", "data=d.txt", "--json", cwd=place.root / "a")
    assert first.code == 0, first.err
    repeated = place.inside("rerun", first.json["run"], "--json", cwd=place.root / "b")
    assert repeated.code == 0, repeated.err
    assert (Path(repeated.json["dir"]) / "outputs/result.txt").read_text() == "a"
    _shout(place.root / "other" / "shout", version="2.0.0")
    (place.root / "config.toml").write_text("workflows = ['other', 'mine']\n")
    third = place.inside("rerun", first.json["run"], "--json", cwd=place.root / "b")
    assert third.code == 0, third.err
    assert json.loads((Path(third.json["dir"]) / "run.json").read_text())["version"] == "1.0.0"
    collection.rename(place.root / "gone")
    fourth = place.inside("rerun", first.json["run"], "--json", cwd=place.root / "b")
    assert fourth.code == 0, fourth.err
    assert "is gone: the workflow is taken from" in fourth.err
    assert json.loads((Path(fourth.json["dir"]) / "run.json").read_text())["version"] == "2.0.0"


def test_paths_of_a_request_file_are_relative_to_the_file(
    place: Place, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "requests"
    _shout(folder / "shout")
    (folder / "d.txt").write_text("data")
    (folder / "r.yaml").write_text(
        "workflow: ./shout\ninputs: {data: [d.txt]}\nresults: there\nparameters: {}\n"
    )
    monkeypatch.chdir(place.root)
    saved = place.root / "plan.json"
    done = inside("plan", "--params", folder / "r.yaml", "-o", saved, "--json")
    assert done.code == 0, done.err
    request = json.loads(saved.read_text())["request"]
    assert request["inputs"] == {"data": [str(folder / "d.txt")]}
    assert request["results"] == str(folder / "there")
    assert request["workflow"] == str(folder / "shout/workflow.yaml")
    (place.root / "d.txt").write_text("of the flag")
    assert (
        inside(
            "plan", folder / "shout", "--input", "data=d.txt", "--results", "here", "-o", saved, "--json"
        ).code
        == 0
    )
    request = json.loads(saved.read_text())["request"]
    assert request["inputs"] == {"data": [str(place.root / "d.txt")]}
    assert request["results"] == str(place.root / "here")


def test_python_stores_absolute_paths_and_takes_no_request_that_the_command_line_refuses(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shout(place.root / "shout")
    (place.root / "d.txt").write_text("data")
    monkeypatch.chdir(place.root)
    request = esap_wf.plan("./shout", inputs={"data": "d.txt"}, results=Path("there")).request
    assert request.inputs == {"data": [str(place.root / "d.txt")]}
    assert (request.workflow, request.results) == (
        str(place.root / "shout/workflow.yaml"),
        str(place.root / "there"),
    )
    for wrong in ({"name": "q\n"}, {"tags": ["a b"]}, {"name": "\ud800"}, {"tags": [object()]}):
        with pytest.raises(UsageError):
            esap_wf.plan("hello", **wrong)


def test_a_folder_named_without_a_slash_is_pointed_out(
    inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-pipeline").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "./my-pipeline" in inside("show", "my-pipeline", "--json").problems


@pytest.mark.parametrize(
    ("expected", "version"),
    [
        ("1.0dev", "1.0.0-dev"),
        ("v2.1", "2.1.0"),
        ("2.0.1rc1", "2.0.1-rc1"),
        ("1.2.3+4", "1.2.3+4"),
        ("latest", "0.0.0"),
    ],
)
def test_versions_of_pipelines_become_semantic_ones(expected: str, version: str) -> None:
    assert derivation._version(expected) == version


def test_what_ssh_says_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").write_text(
        "#!/bin/sh\necho 'ssh: connect to host x.invalid port 22: Connection refused' >&2\nexit 255\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    with pytest.raises(UnavailableError) as caught:
        repositories.fetch(
            addresses.parse("git@x.invalid:a/b.git"), Config(store=tmp_path, cache=tmp_path, source=tmp_path)
        )
    assert "Connection refused" in caught.value.problems[0].what
