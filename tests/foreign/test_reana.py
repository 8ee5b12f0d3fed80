"""``reana.yaml``: serial, Snakemake and CWL workflows as REANA describes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.files import texts, write_files
from services import engines
from services.containers import Runtimes, container_runtimes  # noqa: F401

needs_snakemake = pytest.mark.skipif(
    not (Path(sys.prefix) / "bin/snakemake").exists(), reason="snakemake is not installed beside this Python"
)

PIPELINES = Path(__file__).with_name("pipelines") / "reana"
#: In the style of REANA's hello world.
SERIAL = texts(PIPELINES / "serial")
SNAKEMAKE = texts(PIPELINES / "snakemake")


def test_a_serial_workflow_is_a_chain_of_commands(tmp_path: Path, inside: Any, place: Place) -> None:
    reported = inside("show", write_files(tmp_path / "hello", SERIAL), "--json").json
    assert reported["engines"] == ["command"]
    assert {n: p.get("default") for n, p in reported["parameters"]["properties"].items()} == {
        "outputfile": "results/greetings.txt",
        "greeting": "Hello",
        "times": 1,
    }
    assert set(reported["inputs"]) == {"program", "inputfile"}
    assert [o["path"] for o in reported["outputs"]] == ["project/results/greetings.txt", "project/results"]
    assert reported["derived_from"]["parameters.greeting"].endswith("reana.yaml:10")


@pytest.mark.integration
def test_a_serial_workflow_runs_as_reana_would(tmp_path: Path, place: Place) -> None:
    folder = write_files(tmp_path / "hello", SERIAL)
    names = write_files(tmp_path / "mine", {"n.txt": "Zoe\n"}) / "n.txt"
    words = [
        "run",
        folder,
        "--software",
        "installed",
        "--greeting",
        "Good day",
        "--times",
        "2",
        f"--input=inputfile={names}",
        "--json",
    ]
    done = place.inside(*words, env={"USER": "somebody"})
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    assert (run / "project/results/greetings.txt").read_text() == "Good day Zoe\n" * 2
    assert (run / "project/results/count.txt").read_text() == "2\nsomebody costs \n", (
        "$$ is a dollar, and $5 the shell's"
    )
    assert not (run / "project/notes.txt").exists(), "what REANA would not upload"
    steps = [s["name"] for s in place.inside("status", done.json["run"], "--json").json["steps"]]
    assert steps == ["greet-1", "greet-2", "count"]
    bare = subprocess.run(["bash", "command.sh"], cwd=run, capture_output=True, text=True, check=False)
    assert bare.returncode == 0, "steps that have ended are not repeated"


@pytest.mark.integration
def test_its_steps_run_in_their_images(tmp_path: Path, place: Place, container_runtimes: Runtimes) -> None:  # noqa: F811
    if not set(container_runtimes.problems) < {"apptainer", "podman", "docker"}:
        pytest.skip(f"no container runtime: {container_runtimes.problems}")
    image = Path(__file__).parents[2] / "containers/noop"
    built = place.inside("software", "build", image, "--json", env=container_runtimes.environment)
    assert built.code == 0, built.err
    archive = next(p for p in place.root.rglob("*.tar*") if p.is_file())
    files = {
        **SERIAL,
        "reana.yaml": SERIAL["reana.yaml"].replace(
            'echo "$$USER costs $5"', "ls /code /work 2>/dev/null; pwd"
        ),
    }
    folder = write_files(tmp_path / "hello", files)
    (place.root / "config.toml").write_text(
        f'[containers.map]\n"docker.io/library/busybox:1.36" = "{archive}"\n'
    )
    done = place.inside(
        "run", folder, "--software", "container", "--json", env=container_runtimes.environment
    )
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    assert (run / "project/results/greetings.txt").read_text() == "Hello Jane Doe\nHello Joe Bloggs\n"
    assert (run / "project/results/count.txt").read_text() == f"2\n{run / 'project'}\n"
    assert (run / "project/results/count.txt").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "value",
    ["$(touch pwned)", "a;b", "`id`", 'a"b', "a'b", "a|b", "a>b", "a&b", "a*b", "a\\b", "~/x", "a{b,c}"],
)
def test_a_value_that_a_shell_would_act_on_is_refused(
    tmp_path: Path, inside: Any, place: Place, value: str
) -> None:
    done = inside(
        "plan",
        write_files(tmp_path / "hello", SERIAL),
        "--software",
        "installed",
        "--param",
        f"greeting={value}",
        "--json",
    )
    assert done.code == 2 and "special to a shell" in done.problems


@pytest.mark.integration
@needs_snakemake
def test_a_snakemake_workflow_gets_its_parameter_file(tmp_path: Path, place: Place) -> None:
    folder = write_files(tmp_path / "numbers", SNAKEMAKE)
    reported = place.inside("show", folder, "--json").json
    assert reported["engines"] == ["snakemake"]
    assert reported["parameters"]["properties"]["labels.title"]["default"] == "Numbers"
    done = place.inside("run", folder, "--factor", "5", "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "project/results/n.txt").read_text() == "Numbers\n5\n10\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("type: serial -> type: nextflow", ["'nextflow' can't be run"]),
        ("type: serial -> type: yadage", ["'yadage' can't be run"]),
        ("- data/names.txt -> - data/gone.txt", ["reana.yaml:5", "data/gone.txt"]),
        ("- data/names.txt -> - ../names.txt", ["inside the workspace"]),
        ("commands: -> command:", ["a step needs a list of commands"]),
        ("    steps: -> stages:", ["specification.steps"]),
        ("workflow: -> work:", ["workflow is missing"]),
        ("files: [results/greetings.txt] -> files: ['../x']", ["inside the workspace"]),
    ],
)
def test_a_broken_file_is_reported_with_its_line(
    tmp_path: Path, inside: Any, place: Place, change: str, words: list[str]
) -> None:
    old, new = change.split(" -> ")
    text = SERIAL["reana.yaml"].replace(old, new, 1)
    assert text != SERIAL["reana.yaml"]
    done = inside("show", write_files(tmp_path / "x", {**SERIAL, "reana.yaml": text}), "--json")
    assert done.code == 2, done.out
    assert all(w in done.problems for w in words), done.problems


@pytest.mark.integration
@needs_snakemake
def test_rules_of_a_foreign_snakefile_run_in_the_images_that_they_name(
    tmp_path: Path,
    place: Place,
    container_runtimes: Runtimes,  # noqa: F811
) -> None:
    container_runtimes.need("apptainer")
    built = place.inside(
        "software",
        "build",
        Path(__file__).parents[2] / "containers/noop",
        "--json",
        env=container_runtimes.environment,
    )
    assert built.code == 0, built.err
    archive = next(p for p in place.root.rglob("*.tar*") if p.is_file())
    (place.root / "config.toml").write_text(
        f'[containers.map]\n"docker.io/library/busybox:1.36" = "{archive}"\n'
    )
    text = SNAKEMAKE["workflow/snakemake/Snakefile"].replace(
        "> {output}; awk", "> {output}; ls /usr/bin/python3 /work > /dev/null 2>&1 && exit 9; awk"
    )
    folder = write_files(tmp_path / "numbers", {**SNAKEMAKE, "workflow/snakemake/Snakefile": text})
    done = place.inside(
        "run", folder, "--software", "container", "--json", env=container_runtimes.environment
    )
    assert done.code == 0, done.err + (Path(done.json["dir"]) / "logs/engine.log").read_text()
    assert (Path(done.json["dir"]) / "project/results/n.txt").read_text() == "Numbers\n2\n4\n"


CWL = {
    "reana.yaml": """\
version: 0.9.4
inputs:
  files: [data/names.txt, inputs.yml]
  directories: [workflow/cwl]
  parameters: {input: inputs.yml}
workflow: {type: cwl, file: workflow/cwl/head.cwl}
outputs: {files: [out.txt]}
""",
    "inputs.yml": "names: {class: File, location: data/names.txt}\ntimes: 3\n",
    "data/names.txt": "a\nb\n",
    "workflow/cwl/head.cwl": """\
cwlVersion: v1.0
class: CommandLineTool
baseCommand: [head, -n]
inputs:
  times: {type: int, inputBinding: {position: 1}}
  names: {type: File, inputBinding: {position: 2}}
outputs: {out: {type: stdout}}
stdout: out.txt
""",
}


def test_a_cwl_workflow_gets_the_values_of_its_job_file(tmp_path: Path, inside: Any, place: Place) -> None:
    reported = inside("show", write_files(tmp_path / "first", CWL), "--json").json
    assert reported["engines"] == ["cwl", "toil"]
    assert (
        reported["parameters"]["properties"]["times"]["default"] == 3
        and reported["parameters"]["required"] == []
    )
    assert (
        reported["inputs"]["names"]["default"] == "data/names.txt"
        and not reported["inputs"]["names"]["required"]
    )
    assert reported["derived_from"]["parameters.times"].endswith("inputs.yml:2")


def test_a_job_file_may_say_more_than_one_place(tmp_path: Path, inside: Any, place: Place) -> None:
    """Its places are those of the file itself, as cwltool reads it; flags take their place."""
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    tool = CWL["workflow/cwl/head.cwl"].replace("  names:", "  more: File[]\n  called: File\n  names:")
    order = "names: {class: File, location: ../data/names.txt}\ntimes: 3\nmore: [{class: File, path: ../data/names.txt}]\n"
    order += "called: {class: File, path: ../data/names.txt, basename: other.txt}\n"
    text = CWL["reana.yaml"].replace("inputs.yml", "jobs/inputs.yml")
    changes = {"reana.yaml": text, "jobs/inputs.yml": order, "workflow/cwl/head.cwl": tool}
    folder = write_files(
        tmp_path / "first", {**{k: v for k, v in CWL.items() if k != "inputs.yml"}, **changes}
    )
    assert inside("show", folder, "--json").json["inputs"]["names"]["default"] == "data/names.txt"
    reported = inside("plan", folder, "--json").json["parameters"]
    names = {"class": "File", "path": f"{folder}/jobs/../data/names.txt"}
    assert (reported["more"], reported["called"]) == ([names], {**names, "basename": "other.txt"}), reported
    (tmp_path / "mine.txt").write_text("c\n")
    assert (
        "called" not in inside("plan", folder, "--called", tmp_path / "mine.txt", "--json").json["parameters"]
    )


def test_places_of_a_job_file_in_a_folder_begin_at_the_top_of_the_workspace_as_in_reana(
    tmp_path: Path, inside: Any, place: Place
) -> None:
    changes = {
        "reana.yaml": CWL["reana.yaml"].replace("inputs.yml", "workflow/cwl/inputs.yml"),
        "workflow/cwl/inputs.yml": CWL["inputs.yml"],
    }
    folder = write_files(
        tmp_path / "first", {**{k: v for k, v in CWL.items() if k != "inputs.yml"}, **changes}
    )
    assert inside("show", folder, "--json").json["inputs"]["names"]["default"] == "data/names.txt"


@pytest.mark.integration
def test_a_cwl_workflow_runs_with_them(tmp_path: Path, place: Place) -> None:
    (place.root / "config.toml").write_text(engines.configuration("cwl"))
    done = place.inside("run", write_files(tmp_path / "first", CWL), "--times", "1", "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "outputs/out.txt").read_text() == "a\n"
