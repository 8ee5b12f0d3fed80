"""Snakemake pipelines that nobody wrote for esap-wf: run as they are, with the results of the bare engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.files import contents, texts, write_files
from helpers.repositories import commit, git

SNAKEMAKE = Path(sys.prefix) / "bin" / "snakemake"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="snakemake is not installed beside this Python"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]

PIPELINES = Path(__file__).with_name("pipelines") / "snakemake"
#: Relative paths of a clone in every place where a pipeline has them: configuration, sheet, data, scripts, own profile, basedir.
PIPELINE = texts(PIPELINES / "counts")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A repository."""
    folder = write_files(tmp_path / "counts", PIPELINE)
    commit(folder)
    return folder


def bare(pipeline: Path, tmp_path: Path, *words: str) -> dict[str, bytes]:
    """Results of the engine alone in a fresh clone."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(pipeline), str(clone))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "PYTEST_"))}
    done = subprocess.run(
        [SNAKEMAKE, "--cores", "1", *words], cwd=clone, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return contents(clone / "results")


def test_results_are_those_of_the_bare_engine_in_a_clone(
    pipeline: Path, place: Place, tmp_path: Path
) -> None:
    words = ["--config", "minimum=5", "report={'title': \"a 'b' $(c)\"}"]
    expected = bare(pipeline, tmp_path, *words)
    done = place.inside(
        "run", f"{pipeline.as_uri()}@main", "--minimum", "5", "--report.title", "a 'b' $(c)", "--json"
    )
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    assert contents(run / "project/results") == expected
    reported = {o["path"]: o for o in place.inside("results", done.json["run"], "--json").json["outputs"]}
    assert set(reported) == {f"project/results/{name}" for name in expected}, "each file once"
    assert (pipeline / "results").exists() is False, "nothing is written into the pipeline's own folder"
    status = place.inside("status", done.json["run"], "--json").json
    assert {s["name"]: s["done"] for s in status["steps"]} == {"count": 2, "summary": 1}

    # the bare command, without esap-wf, in a copy of the run directory
    repeated = tmp_path / "again"
    shutil.copytree(run, repeated, symlinks=True)
    shutil.rmtree(repeated / "project/results")
    done_repeated = subprocess.run(
        ["bash", "command.sh"], cwd=repeated, capture_output=True, text=True, check=False
    )
    assert done_repeated.returncode == 0, done_repeated.stderr
    assert contents(repeated / "project/results") == expected


def test_a_rerun_means_the_same_commit_and_a_new_start_the_new_one(pipeline: Path, place: Place) -> None:
    url = pipeline.as_uri()
    first = place.inside("run", url, "--json").json
    write_files(pipeline, {"data/b.txt": "9\n9\n"})
    commit(pipeline)
    rerun = place.inside("rerun", first["run"], "--set", "minimum=4", "--json")
    assert rerun.code == 0, rerun.err
    assert (Path(rerun.json["dir"]) / "project/results/counts/b.txt").read_text() == "2\n"
    plan = (Path(rerun.json["dir"]) / "plan.json").read_text()
    assert f"{url}@{git(pipeline, 'rev-parse', 'HEAD~1')}" in plan
    moved = place.inside("run", url, "--json").json
    assert not moved["reused"]
    assert (Path(moved["dir"]) / "project/results/counts/b.txt").read_text() == "4\n"


def test_an_input_of_the_users_takes_the_place_of_the_default(
    pipeline: Path, place: Place, tmp_path: Path
) -> None:
    mine = write_files(tmp_path / "m i n e", {"x'y.txt": "7\n8\n"})
    sheet = mine / "sheet.tsv"
    sheet.write_text("sample\tfile\nz\tdata/a.txt\n")
    done = place.inside("run", pipeline / "workflow/Snakefile", "--input", f"samples={sheet}", "--json")
    assert done.code == 0, done.err
    assert set(contents(Path(done.json["dir"]) / "project/results")) == {"summary.txt", "counts/z.txt"}


def test_a_manifest_from_init_runs_identically_and_is_not_overwritten(pipeline: Path, place: Place) -> None:
    before = place.inside("plan", pipeline, "--json").json
    made = place.inside("init", pipeline, "--json")
    assert made.code == 0, made.err
    assert {Path(f).name for f in made.json["files"]} == {"workflow.yaml", "params.schema.json"}
    assert place.inside("lint", pipeline).code == 0
    after = place.inside("plan", pipeline, "--json").json
    assert after["command"] == before["command"] and after["parameters"] == before["parameters"]
    done = place.inside("run", pipeline, "--minimum", "5", "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "project/results/counts/a.txt").read_text() == "2\n"
    kept = (pipeline / "workflow.yaml").read_text()
    repeated = place.inside("init", pipeline, "--json")
    assert repeated.code == 2 and "already exists" in repeated.problems
    assert (pipeline / "workflow.yaml").read_text() == kept


def test_a_failing_rule_is_reported_with_its_log_and_the_run_can_be_resumed(
    pipeline: Path, place: Place
) -> None:
    (pipeline / "workflow/scripts/count.sh").write_text("echo no awk here >&2; exit 3\n")
    commit(pipeline)
    done = place.inside("run", pipeline, "--json")
    assert done.code == 1
    run = Path(done.json["dir"])
    failure = place.inside("status", done.json["run"], "--json").json["failures"][0]
    assert failure["step"] == "count" and failure["log"].startswith("project/logs/count/")
    assert "no awk here" in "\n".join(failure["tail"])
    (run / "project/workflow/scripts/count.sh").write_text(PIPELINE["workflow/scripts/count.sh"])
    resumed = place.inside("resume", done.json["run"], "--json")
    assert resumed.code == 0, resumed.err
    assert (run / "project/results/counts/a.txt").read_text() == "4\n"


def test_wrong_values_are_reported_all_at_once(pipeline: Path, place: Place) -> None:
    done = place.inside(
        "run", pipeline, "--minimum", "-1", "--min-factor", "many", "--input", "samples=gone.tsv", "--json"
    )
    assert done.code == 2
    for words in ("minimum", "min-factor", "gone.tsv"):
        assert words in done.problems
    assert not place.runs()
