"""Nextflow pipelines without a manifest, run bare and through esap-wf: the same outputs, byte for byte; and how they are called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from foreign.bare import run as run_bare
from foreign.trees import below
from helpers.command_line import Done, Place
from helpers.files import contents, write_files
from helpers.repositories import commit, git
from services.nextflow import nextflow_fixture  # noqa: F401

PIPELINES = Path(__file__).parent / "pipelines/nextflow"
HEADER = "sample,fastq_1,fastq_2,strandedness,lane\n"

pytestmark = pytest.mark.integration


@pytest.fixture
def at(place: Place, nextflow: Path) -> Place:
    (place.root / "config.toml").write_text(f'[engines.nextflow]\npath = "{nextflow}"\n')
    return place


def bare(nextflow: Path, folder: Path, pipeline: Path, *words: object) -> dict[str, bytes]:
    """What Nextflow alone publishes into ``results``, started in a folder."""
    command = [str(nextflow), "run", str(pipeline), "-ansi-log", "false", *map(str, words)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "NXF_OFFLINE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return contents(folder / "results")


def remembered(folder: Path, pipeline: Path, *words: str) -> dict[str, bytes]:
    """The same, kept between sessions: for what holds no place of this machine."""
    both = folder.parent / "both"
    shutil.copytree(pipeline, both / "pipeline")
    shutil.copytree(folder, both / "user")
    made = run_bare("nextflow", both, ["../pipeline", *words], at="user")
    assert made.code == 0, made.printed
    return {
        name: entry.text.encode()
        for name, entry in below(made.tree, "user/results").items()
        if entry.kind == "file"
    }


def completed(done: Done) -> Path:
    assert done.code == 0 and done.json["phase"] == "COMPLETED", done.out + done.err
    return Path(done.json["dir"])


def problems(done: Done) -> str:
    assert done.code == 2, done.out + done.err
    return done.problems


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's folder with data of their own."""
    folder = tmp_path / "user"
    shutil.copytree(PIPELINES / "quantify/data", folder / "mine")
    (folder / "mine/gut_1.fq").write_text("@r1\nAC\n+\nII\n")
    return folder


def test_without_parameters_it_is_what_the_bare_engine_makes(at: Place, user: Path) -> None:
    expected = remembered(user, PIPELINES / "quantify")
    run = completed(at.inside("run", PIPELINES / "quantify", "--json", cwd=user))
    assert contents(run / "outputs") == expected and list(expected) == ["quant/gut.txt"]
    answer = json.loads((run / "outputs.json").read_bytes())
    assert [o["path"] for o in answer["outputs"]] == ["outputs/quant/gut.txt"]
    assert json.loads((run / "params.json").read_bytes()) == {"outdir": "outputs"}, (
        "the pipeline's own defaults are its own business"
    )


def test_values_keep_their_types_and_relative_patterns_their_folder(at: Place, user: Path) -> None:
    values = {
        "kmer": 2,
        "fraction": 0.25,
        "upper": True,
        "label": "it's 5 $HOME",
        "filter": {"min": 5},
        "trim": {"left": 3},
    }
    (user / "p.json").write_text(json.dumps({**values, "reads": "mine/gut_{1,2}.fq", "outdir": "results"}))
    expected = remembered(user, PIPELINES / "quantify", "-params-file", "p.json")
    (at.root / "elsewhere").mkdir()
    run = completed(
        at.inside(
            "run", PIPELINES / "quantify", "--params", user / "p.json", "--json", cwd=at.root / "elsewhere"
        )
    )
    assert contents(run / "outputs") == expected
    assert b"gut_1.fq 1" in next(iter(expected.values())), (
        "the user's own reads were taken, not the example's"
    )
    assert contents(user / "results") == expected, "outdir is where the results are copied to"
    # the same by flags, as its own users write them
    flags = [
        "--kmer",
        "2",
        "--fraction",
        "0.25",
        "--upper",
        "--label",
        "it's 5 $HOME",
        "--filter",
        '{"min": 5}',
        "--trim.left",
        "3",
    ]
    repeated = at.inside(
        "run", PIPELINES / "quantify", *flags, "--reads", "mine/gut_{1,2}.fq", "--json", cwd=user
    )
    assert completed(repeated) == run and repeated.json["reused"], (
        "flags and a file that say the same are the same run"
    )
    named = at.inside(
        "run", PIPELINES / "quantify", *flags, "--input", "reads=mine/gut_{1,2}.fq", "--json", cwd=user
    )
    assert completed(named) == run


def test_content_behind_a_pattern_makes_another_run(at: Place, user: Path) -> None:
    call = ["plan", PIPELINES / "quantify", "--reads", "mine/gut_{1,2}.fq", "--json"]
    before = at.inside(*call, cwd=user).json["digest"]
    assert at.inside(*call, cwd=user).json["digest"] == before
    (user / "mine/gut_2.fq").write_text("@x\nA\n+\nI\n")
    assert at.inside(*call, cwd=user).json["digest"] != before
    reported = problems(
        at.inside("plan", PIPELINES / "quantify", "--reads", "mine/nothing_{1,2}.fq", "--json", cwd=user)
    )
    assert "no file matches" in reported


def test_a_sample_sheet_is_run_as_its_own_users_do(at: Place, nextflow: Path, user: Path) -> None:
    row = f"a,{user}/mine/gut_1.fq,,forward,1\n" + f"b,{user}/mine/gut_2.fq,{user}/mine/gut_1.fq,auto,\n"
    (user / "samples.csv").write_text(HEADER + row)
    words = ["--input", "samples.csv", "--min_length", "7", "--publish_dir_mode", "copy"]
    expected = bare(nextflow, user, PIPELINES / "sheet", *words, "--outdir", "results")
    run = completed(at.inside("run", PIPELINES / "sheet", *words, "--json", cwd=user))
    assert contents(run / "outputs") == expected and len(expected) == 2
    (user / "p.yaml").write_text("input: samples.csv\nmin_length: 7\npublish_dir_mode: copy\n")
    repeated = at.inside("run", PIPELINES / "sheet", "--params", user / "p.yaml", "--json")
    assert repeated.json["reused"] and completed(repeated) == run
    (user / "mine/gut_2.fq").write_text("@other\nA\n+\nI\n")
    changed = at.inside("plan", PIPELINES / "sheet", *words, "--json", cwd=user).json
    assert not changed["duplicates"], "what the rows name is part of the run"


def test_every_row_of_a_sheet_is_checked_before_the_run(at: Place, user: Path) -> None:
    rows = [
        f"a b,{user}/mine/gut_1.fq,,forward,1",
        "c,mine/gut_1.fq,,forward,2",
        f"d,{user}/none.fq,,forward,3",
        f"e,{user}/mine/gut_1.fq,,sideways,4",
        f"f,{user}/mine/gut_1.fq,,auto,zero",
        f"g,{user}/mine/gut_1.fq,,auto,5",
        f"g,{user}/mine/gut_1.fq,,auto,5",
        f",{user}/mine/gut_1.fq,,auto,6",
    ]
    sheet = user / "samples.csv"
    sheet.write_text(HEADER + "\n".join(rows) + "\n")
    done = at.inside(
        "validate", PIPELINES / "sheet", "--input", "samples.csv", "--email", "nobody", "--json", cwd=user
    )
    reported = "\n".join(f"{p['where']}: {p['what']} ({p['hint']})" for p in done.json["problems"])
    assert f"{sheet}:2: sample: Sample name must be provided and cannot contain spaces" in reported
    assert (
        f"{sheet}:3: fastq_1: 'mine/gut_1.fq' is relative" in reported
        and f"write {user}/mine/gut_1.fq" in reported
    )
    assert f"{sheet}:4: fastq_1: there is no {user}/none.fq" in reported
    assert f"{sheet}:5: strandedness" in reported and f"{sheet}:6: lane" in reported
    assert (
        f"{sheet}:8: sample, lane: the same as in {sheet}:7" in reported
        and f"{sheet}:9: sample is missing" in reported
    )
    assert "--email: Please give an address such as me@example.org" in reported


def test_what_is_missing_or_wrong_is_reported_in_the_pipelines_own_names(at: Place, user: Path) -> None:
    assert "input input: Path to comma-separated file" in problems(
        at.inside("plan", PIPELINES / "sheet", "--json")
    )
    (user / "samples.txt").write_text(HEADER)
    reported = problems(
        at.inside(
            "plan", PIPELINES / "sheet", "--input", "samples.txt", "--min_length", "0", "--json", cwd=user
        )
    )
    assert (
        "must be a file whose name ends with .csv" in reported and "--min_length: 0 is less than" in reported
    )
    assert "no such option" in at.inside("plan", PIPELINES / "quantify", "--kmre", "3").err.lower()


def test_show_says_where_each_part_is_written(at: Place) -> None:
    reported = at.inside("show", PIPELINES / "quantify").out
    assert (
        "--trim.left" in reported
        and "nextflow.config:13" in reported
        and "main.nf:7, used as a path in main.nf:28" in reported
    )
    derived = at.inside("show", PIPELINES / "quantify", "--json").json["derived_from"]
    assert derived["pipeline"] == f"{PIPELINES}/quantify/main.nf" and derived["parameters.kmer"].endswith(
        "main.nf:10"
    )
    shown = at.inside("run", PIPELINES / "sheet", "--help").out
    assert (
        "--min_length" in shown and "Processing options of sheet" in shown and "--max_memory" not in shown
    ), "hidden ones are not in the help"


def test_names_that_are_options_of_the_command_go_by_param(at: Place) -> None:
    folder = at.root / "names"
    folder.mkdir()
    (folder / "main.nf").write_text(
        "params.name = 'x'\nparams.maxMemory = '1.GB'\nparams.'min-len' = 1\nparams.a_b = 1\nparams.'a-b' = 2\nworkflow { }\n"
    )
    words = ["--param", "name=me", "--maxMemory", "2.GB", "--min-len", "5", "--a_b", "10", "--a-b", "20"]
    done = at.inside("plan", folder, *words, "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["parameters"] == {"name": "me", "maxMemory": "2.GB", "min-len": 5, "a_b": 10, "a-b": 20}
    dashes = at.inside("plan", PIPELINES / "sheet", "--min-length", "0", "--json")
    assert "--min_length: 0 is less than" in problems(dashes), (
        "underscores may be dashes where that is no other name"
    )


def test_a_file_that_is_only_a_text_to_the_pipeline_is_reported(at: Place, user: Path) -> None:
    done = at.inside(
        "plan", PIPELINES / "quantify", "--adapter", "mine/gut_1.fq", "--label", "mine", "--json", cwd=user
    )
    assert (
        done.code == 0
        and f"adapter: 'mine/gut_1.fq' is text to this pipeline, not an input; if a file is meant, write {user}"
        in done.err
    )
    assert "label" not in done.err
    (user / "p.yml").write_text("adapter: mine/gut_1.fq\n")
    assert (
        "adapter: 'mine/gut_1.fq'"
        in at.inside("plan", PIPELINES / "quantify", "--params", user / "p.yml", "--json").err
    )


def test_python_gives_the_same_as_the_command_line(
    at: Place, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esap_wf import api

    for name, value in at.environment.items():
        monkeypatch.setenv(name, value)
    values = {
        "kmer": 2,
        "trim": {"left": 1},
        "reads": f"{user}/mine/gut_{{1,2}}.fq",
        "outdir": str(user / "results"),
    }
    plan = api.plan(str(PIPELINES / "quantify"), values)
    flags = ["--kmer", "2", "--trim.left", "1", "--reads", "mine/gut_{1,2}.fq", "--outdir", "results"]
    assert (
        at.inside("plan", PIPELINES / "quantify", *flags, "--json", cwd=user).json["digest"]
        == plan.digest.identity
    )
    assert plan.request.results == str(user / "results") and plan.parameters == {
        "outdir": "outputs",
        "kmer": 2,
        "trim.left": 1,
    }
    reported = problems(
        at.inside("plan", PIPELINES / "quantify", "--outdir", "a", "--results", "b", "--json", cwd=user)
    )
    assert "the pipeline's own flag says a" in reported


# --- where it is started

#: The configuration of the project counts, the script stands deeper; links inside of the repository, paths from where one starts it.
PROJECT = {
    "nextflow.config": "manifest.mainScript = 'sub/main.nf'\nparams.greeting = 'from the top'\n",
    "sub/nextflow.config": "params.other = 'from beside'\n",
    "sub/main.nf": """\
params.outdir = 'results'
params.table = 'tables/all.csv'
process C {
  publishDir params.outdir, mode: 'copy'
  input: path f; path g; path t
  output: path 'n.txt'
  script: "cat $f $g $t > n.txt; echo ${params.greeting} ${params.other} >> n.txt"
}
workflow {
  C(file("${projectDir}/data/a.txt"), file('extra/b.txt'), Channel.fromPath(params.table).splitCsv().map { row -> file(row[0]) })
}
""",
    "data/a.txt": "1\n",
    "extra/b.txt": "2\n",
    "tables/all.csv": "tables/c.txt\n",
    "tables/c.txt": "3\n",
    "unused/d.txt": "4\n",
}


def test_a_script_in_a_sub_folder_has_what_it_has_in_a_clone(
    at: Place, nextflow: Path, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "r", PROJECT)
    (folder / "sub/data").symlink_to("../data")
    commit(folder)
    git(tmp_path, "clone", "--quiet", str(folder), "clone")
    expected = bare(nextflow, tmp_path / "clone", Path("sub/main.nf"))
    assert expected == {"n.txt": b"1\n2\n3\nfrom the top from beside\n"}
    run = completed(at.inside("run", folder / "sub/main.nf", "--json"))
    assert contents(run / "outputs") == expected
    assert not (run / "unused").exists()
    reported = at.inside("results", run.name, "--json").json["outputs"]
    assert [o["path"] for o in reported] == ["outputs/n.txt"], "what was put there is no result"
    repeated = completed(at.inside("run", folder, "--json"))
    assert contents(repeated / "outputs") == expected, "as the project says that it is started"


def test_the_folder_of_results_of_an_earlier_run_is_no_input(tmp_path: Path) -> None:
    from esap_wf.engines.nextflow.interface import derive

    folder = write_files(tmp_path / "r", {**PROJECT, "results/old.txt": "", "work/x": ""})
    (folder / "sub/main.nf").write_text(
        PROJECT["sub/main.nf"] + "// \nfile('results/old.txt')\nfile('work/x')\nfile('../../secret')\n"
    )
    write_files(tmp_path, {"secret": ""})
    found = derive(folder, None)
    assert found is not None
    assert found.beside == {
        "extra/b.txt": "extra/b.txt",
        "tables/all.csv": "tables/all.csv",
        "tables/c.txt": "tables/c.txt",
    }
    assert any("work/x can't be found where Nextflow is started" in w for w in found.warnings)
