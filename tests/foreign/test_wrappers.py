"""Manifests in a repository of their own, for code in another one; several in one repository; what `init` writes for it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.files import write_files
from helpers.repositories import commit, git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_snakemake = pytest.mark.skipif(
    not (Path(sys.prefix) / "bin/snakemake").exists(), reason="snakemake is not installed beside this Python"
)

UPSTREAM = {
    "Snakefile": """\
configfile: "config.yaml"

rule all:
    input: "results/text.txt"

rule text:
    input: "data/greeting.txt"
    output: "results/text.txt"
    log: "logs/text.log"
    params: name=config["name"], times=config["times"]
    shell: "for i in $(seq {params.times}); do cat {input}; echo {params.name:q}; done > {output} 2> {log}"
""",
    "config.yaml": "name: nobody\ntimes: 1\n",
    "data/greeting.txt": "hello\n",
    "codemeta.json": json.dumps(
        {"name": "text", "license": "https://spdx.org/licenses/MIT", "author": [{"name": "Up Stream"}]}
    ),
}


def manifest(name: str, upstream: dict[str, str], title: str, **more: Any) -> str:
    return json.dumps(
        {
            "schema_version": 1,
            "name": name,
            "title": title,
            "version": "1.0.0",
            "implementations": [
                {"engine": "snakemake", "file": "Snakefile", "config": "plain", "upstream": upstream}
            ],
            "software": [{"installed": []}],
            "outputs": [{"name": "text", "path": "project/results/text.txt"}],
            **more,
        }
    )


def schema(**properties: Any) -> str:
    return json.dumps({"type": "object", "additionalProperties": False, "properties": properties})


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = write_files(tmp_path / "upstream", UPSTREAM)
    commit(folder)
    git(folder, "tag", "v1")
    return folder


@pytest.fixture
def wrappers(tmp_path: Path, upstream: Path) -> Path:
    """Two wrappers of one software, with other parameters and of other commits."""
    where = {"url": upstream.as_uri(), "ref": "v1"}
    folder = write_files(
        tmp_path / "wrappers",
        {
            "workflows/short/workflow.yaml": manifest("short", where, "One greeting"),
            "workflows/short/params.schema.json": schema(
                name={"type": "string", "title": "who", "default": "world"}
            ),
            "workflows/short/README.md": "x\n",
            "workflows/long/workflow.yaml": manifest(
                "long", {"url": upstream.as_uri()}, "Many greetings", license="BSD-3-Clause"
            ),
            "workflows/long/params.schema.json": schema(
                times={"type": "integer", "title": "how often", "minimum": 2, "default": 3}
            ),
            "workflows/long/README.md": "x\n",
        },
    )
    commit(folder)
    return folder


def test_of_several_manifests_one_is_named(wrappers: Path, inside: Any, place: Place) -> None:
    url = wrappers.as_uri()
    several = inside("show", url, "--json")
    assert several.code == 2
    assert f"{url}#short" in several.problems and f"{url}#long" in several.problems
    assert inside("show", f"{url}#long", "--json").json["title"] == "Many greetings"
    assert inside("show", f"{url}#workflows/short", "--json").json["title"] == "One greeting"
    gone = inside("show", f"{url}#shrt", "--json")
    assert gone.code == 2


def test_the_record_of_the_wrapped_code_is_reported(wrappers: Path, inside: Any, place: Place) -> None:
    short = inside("show", f"{wrappers.as_uri()}#short", "--json").json
    assert short["license"] == "MIT" and short["authors"][0]["name"] == "Up Stream"
    assert inside("show", f"{wrappers.as_uri()}#long", "--json").json["license"] == "BSD-3-Clause"


def test_a_wrapper_lints_clean_and_says_that_a_branch_moves(
    wrappers: Path, inside: Any, place: Place
) -> None:
    assert inside("lint", wrappers / "workflows/short").code == 0
    warnings = inside("plan", wrappers / "workflows/long", "--json").json["warnings"]
    assert any("names no commit" in w for w in warnings)


@pytest.mark.integration
@needs_snakemake
def test_wrappers_run_upstream_code_without_a_change(wrappers: Path, upstream: Path, place: Place) -> None:
    write_files(upstream, {"data/greeting.txt": "good day\n"})
    commit(upstream)
    expected = {"short": "hello\nA 'b'\n", "long": "good day\nnobody\n" * 2}
    for name, flags in (("short", ["--name", "A 'b'"]), ("long", ["--times", "2"])):
        done = (
            place.inside("run", f"{wrappers.as_uri()}#{name}", *flags, "--json")
            if name == "long"
            else place.inside("run", f"{wrappers.as_uri()}#{name}", "--param", f"name={flags[1]}", "--json")
        )
        assert done.code == 0, done.err
        run = Path(done.json["dir"])
        assert (run / "project/results/text.txt").read_text() == expected[name]
        plan = json.loads((run / "plan.json").read_text())
        assert (
            plan["workflow"] == name
            and plan["entry"].split("/")[2] == "upstream"
            and (run / plan["entry"]).is_file()
        )
        assert plan["reference"] == f"{wrappers.as_uri()}@{git(wrappers, 'rev-parse', 'HEAD')}#{name}"
    shutil.rmtree(upstream)
    # pinned by a tag, not by a commit: what the tag means can't be asked any more
    offline = place.inside("rerun", done.json["run"], "--json")
    assert offline.code != 0 and "upstream" in offline.err


@pytest.mark.integration
@needs_snakemake
def test_init_of_a_url_writes_a_wrapper_pinned_to_the_commit(
    upstream: Path, place: Place, tmp_path: Path
) -> None:
    made = place.inside("init", f"{upstream.as_uri()}@v1", "--into", tmp_path / "mine/upstream", "--json")
    assert made.code == 0, made.err
    folder = tmp_path / "mine/upstream"
    assert git(upstream, "rev-parse", "v1") in (folder / "workflow.yaml").read_text()
    assert place.inside("lint", folder).code == 0
    cached = upstream.rename(tmp_path / "elsewhere")
    done = place.inside("run", folder, "--times", "2", "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "project/results/text.txt").read_text() == "hello\nnobody\n" * 2
    cached.rename(upstream)
    repeated = place.inside("init", f"{upstream.as_uri()}@v1", "--into", folder, "--json")
    assert repeated.code == 3 and "already exists" in repeated.problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": "gone.smk"}, ["gone.smk", "has no"]),
        ({"upstream": {"url": "ext::sh%20-c%20x"}}, ["not the address"]),
        ({"upstream": {"url": "file:///nowhere/x.git"}}, ["no such repository"]),
        ({"upstream": {"url": "URL", "ref": "v9"}}, ["v9"]),
        ({"upstream": {"url": "URL#x"}}, ["names a repository"]),
    ],
)
def test_a_broken_wrapper_is_reported(
    upstream: Path, inside: Any, place: Place, tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    printed = json.loads(json.dumps(change).replace("URL", upstream.as_uri()))
    text = json.loads(manifest("w", {"url": upstream.as_uri()}, "W"))
    text["implementations"][0] |= printed
    folder = write_files(tmp_path / "w", {"workflow.yaml": json.dumps(text), "params.schema.json": schema()})
    done = inside("plan", folder, "--json")
    assert done.code != 0
    assert all(w in done.problems for w in words), done.problems


def test_a_manifest_from_elsewhere_can_not_name_a_folder_of_this_machine(
    upstream: Path, place: Place, tmp_path: Path
) -> None:
    from dataclasses import replace

    from esap_wf import config
    from esap_wf.catalogue import manifests, workflows
    from esap_wf.errors import UsageError

    folder = write_files(
        tmp_path / "w",
        {"workflow.yaml": manifest("w", {"url": upstream.as_uri()}, "W"), "params.schema.json": schema()},
    )
    elsewhere = replace(
        manifests.read_manifest(folder / "workflow.yaml", "url"), reference="https://example.org/w@0#w"
    )
    with pytest.raises(UsageError, match="can't name a repository of this machine"):
        workflows.wrapping(config.load(), elsewhere)
