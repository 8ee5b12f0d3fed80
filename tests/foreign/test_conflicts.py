"""What a pipeline insists on and is not here is refused with the plan: containers, executors of profiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Done, Place
from helpers.files import write_files
from services import engines

pytestmark = pytest.mark.integration
IMAGE = "registry.example.org/nobody/nothing:1"
TOOL = """cwlVersion: v1.2
class: CommandLineTool
%s:
  DockerRequirement: {dockerPull: "%s"}
baseCommand: [echo, hello]
inputs: {}
outputs: {out: stdout}
stdout: out.txt
"""
STEPS = """cwlVersion: v1.2
class: Workflow
inputs: {}
outputs: {}
steps:
  one: {run: tool.cwl, in: {}, out: []%s}
"""


@pytest.fixture
def at(place: Place, inside: Callable[..., Done]) -> Callable[..., Done]:
    text = engines.configuration("nextflow", "cwl", "toil")
    (place.root / "config.toml").write_text(
        text + "[containers]\nruntimes = ['udocker']\nprograms = {udocker = '/nowhere/udocker'}\n"
    )
    return inside


def test_a_required_image_and_no_runtime_is_refused_with_the_ways_out(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "p", {"tool.cwl": TOOL % ("requirements", IMAGE), "main.cwl": STEPS % ""})
    for engine in ("cwl", "toil"):
        refused = at("plan", folder / "tool.cwl", "--engine", engine, "--json")
        assert refused.code == 3
        for printed in (
            f"{folder}/tool.cwl:4",
            IMAGE,
            "under requirements",
            "udocker",
            "esap-wf doctor",
            "containers.map",
            "hints",
        ):
            assert printed in refused.problems, printed
    assert "step one" in at("plan", folder / "main.cwl", "--json").problems
    reported = at("plan", folder / "tool.cwl", "--software", "installed", "--json")
    assert reported.code == 3 and "--software container runs the steps in them" in reported.problems
    (folder / "main.cwl").write_text(STEPS % ", when: $(false)")
    assert at("plan", folder / "main.cwl", "--json").code == 0, "it may never be run: a guess blocks nothing"


def test_a_hinted_image_is_done_without_and_nothing_is_said_that_was_not_looked_at(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "p", {"tool.cwl": TOOL % ("hints", IMAGE)})
    made = at("plan", folder / "tool.cwl", "--json")
    assert made.code == 0, made.err
    software = made.json["software"]
    assert software["route"] == "installed" and "is on PATH" not in software["detail"]
    assert any(IMAGE in reason for reason in software["refused"])
    assert any(IMAGE in warning and "PATH" in warning for warning in made.json["warnings"])


SNAKEFILE = 'rule all:\n    output: "o.txt"\n    shell: "touch {output}"\n'


def test_an_executor_without_a_plug_in_is_refused(at: Callable[..., Done], tmp_path: Path) -> None:
    folder = write_files(tmp_path / "p", {"Snakefile": SNAKEFILE})
    profile = write_files(
        folder / "profiles/default", {"config.yaml": "jobs: 5\nexecutor: no-such-cluster\n"}
    )
    refused = at("plan", folder, "--json")
    assert refused.code == 3
    assert (
        f"{profile}/config.yaml:2" in refused.problems
        and "pip install snakemake-executor-plugin-no-such-cluster" in refused.problems
    )
    assert at("plan", folder, "--json", "--", "--executor", "local").code == 0, (
        "what the command line says counts"
    )
    (profile / "config.yaml").write_text("executor: local\n")
    assert at("plan", folder, "--json").code == 0
    for options in (
        ("--executor", "no-such-cluster"),
        ("-e", "no-such-cluster"),
        ("--default-storage-provider=no-such-store",),
    ):
        assert "has no plug-in" in at("plan", folder, "--json", "--", *options).problems
    assert "there is no such profile" in at("plan", folder, "--json", "--", "--profile", "nowhere").problems
    own = write_files(tmp_path / "mine", {"config.yaml": "executor: no-such-cluster\n"})
    assert f"{own}/config.yaml:1" in at("plan", folder, "--json", "--", "--profile", own).problems


CONFIG = """
profiles {
    test { params.n = 1 }
    cluster { process.executor = 'slurm' }
    part { process { withName: A { executor = 'awsbatch' } } }
}
"""


def test_a_profile_that_runs_tasks_elsewhere_is_refused(at: Callable[..., Done], tmp_path: Path) -> None:
    script = "process A {\n    script: 'true'\n}\nworkflow { A() }\n"
    folder = write_files(tmp_path / "p", {"main.nf": script, "nextflow.config": CONFIG})
    assert at("plan", folder, "--json").code == 0
    assert at("plan", folder, "--json", "--", "-profile", "test").code == 0
    for profile, executor in (("cluster", "slurm"), ("test,part", "awsbatch")):
        refused = at("plan", folder, "--json", "--", "-profile", profile)
        assert refused.code == 3 and f"tasks are run by {executor}" in refused.problems
    assert "did you mean cluster" in at("plan", folder, "--json", "--", "-profile", "clster").problems
    (folder / "nextflow.config").write_text("process.executor = 'slurm'\n")
    made = at("plan", folder, "--json")
    assert made.code == 0 and any(
        "here its tasks are run on this machine" in w for w in made.json["warnings"]
    )
