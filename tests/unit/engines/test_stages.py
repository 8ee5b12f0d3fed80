"""What an engine is asked for in a stage: the whole run's job, elsewhere and with a little more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esap_wf.engines import EngineBase, Job, JobInput, Rendered
from esap_wf.engines.cwl.engine import Cwltool, steps_of
from esap_wf.engines.cwl.events import Steps
from esap_wf.engines.cwl.toil import Toil
from esap_wf.engines.nextflow.engine import Nextflow
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.engines.stages import stage_job
from esap_wf.models.manifest import Stage
from esap_wf.models.plan import Allocation, EngineChoice, SoftwareChoice
from esap_wf.models.request import DataRef

FOLDER = "code/0123456789abcdef/workflows/toy"
GIVEN = {"parts": ["outputs/a b.dat", "outputs/c.dat"]}


def job_at(file: str, item: str | None = None) -> Job:
    """A house job whose sources are elsewhere."""
    return Job(
        workflow="toy",
        entry=f"{FOLDER}/{file}",
        parameters={"x": 1},
        inputs={"table": JobInput((DataRef(uri="t", path="/data/t.csv"),))},
        selected={},
        allocation=Allocation(cores=2, memory_bytes=10**9, disk_bytes=0, wall_seconds=60),
        software=SoftwareChoice(route="installed", detail=""),
        item=item,
        source=Path("/src/toy") / file,
        folder=FOLDER,
    )


def rendered(engine: EngineBase, job: Job) -> Rendered:
    """With an engine of which only the path is known."""
    choice = EngineChoice(name=engine.name, path="/opt/engine", version="1", found="configured")
    return engine.render(choice, job)


def config(rendered: Rendered, name: str) -> Any:
    return json.loads(rendered.files[name])


def test_a_map_stage_gets_its_share_and_a_join_stage_the_files() -> None:
    whole = job_at("Snakefile")
    third = stage_job(whole, Stage(item="map", gives={"parts": "outputs/*.dat"}), 3, 5, {})
    assert third == replace(whole, item="map", parameters={"x": 1, "slice": 3, "slices": 5})
    join = stage_job(whole, Stage(item="join"), None, 5, GIVEN)
    assert (join.entry, join.item, join.parameters) == (whole.entry, "join", {"x": 1})
    assert join.inputs["table"] == whole.inputs["table"]
    assert join.inputs["parts"].many
    assert [ref.path for ref in join.inputs["parts"].refs] == GIVEN["parts"]
    assert whole.parameters == {"x": 1} and set(whole.inputs) == {"table"}, "the whole run's is what it was"


@pytest.mark.parametrize("file", ["main.nf", "flows/main.nf"])
@pytest.mark.parametrize("other", ["map.nf", "flows/deep/map.nf"])
def test_another_file_is_one_of_the_same_folder(file: str, other: str) -> None:
    made = stage_job(job_at(file), Stage(file=other), 1, 2, {})
    assert (made.entry, made.source) == (f"{FOLDER}/{other}", Path("/src/toy") / other)
    assert stage_job(replace(job_at(file), source=None), Stage(file=other), 1, 2, {}).source is None


def test_a_part_belongs_to_its_file() -> None:
    whole = job_at("all.cwl", "main")
    assert stage_job(whole, Stage(item="map"), 1, 2, {}).item == "map"
    assert stage_job(whole, Stage(file="map.cwl"), 1, 2, {}).item is None
    assert stage_job(whole, Stage(), 1, 2, {}).item == "main"


def test_snakemake_is_asked_for_the_target_rule() -> None:
    whole = job_at("Snakefile")
    plain = rendered(Snakemake(), whole)
    made = rendered(Snakemake(), stage_job(whole, Stage(item="map"), 2, 3, {}))
    assert made.command == [plain.command[0], "map", *plain.command[1:]]
    values = config(made, "config.json")
    assert (values["slice"], values["slices"], values["x"]) == (2, 3, 1)
    join = rendered(Snakemake(), stage_job(whole, Stage(item="join"), None, 3, GIVEN))
    assert join.command[:2] == [plain.command[0], "join"]
    assert config(join, "config.json")["inputs"] == {"table": ["/data/t.csv"], **GIVEN}
    assert "slice" not in config(join, "config.json")


def test_nextflow_runs_another_script() -> None:
    whole = job_at("main.nf")
    made = rendered(Nextflow(), stage_job(whole, Stage(file="map.nf"), 2, 3, {}))
    assert f"{FOLDER}/map.nf" in made.command and "-entry" not in made.command
    assert (config(made, "params.json")["slice"], config(made, "params.json")["slices"]) == (2, 3)
    join = rendered(Nextflow(), stage_job(whole, Stage(file="join.nf"), None, 3, GIVEN))
    assert config(join, "params.json")["inputs"] == {"table": ["/data/t.csv"], **GIVEN}


@pytest.mark.parametrize("engine", [Cwltool(), Toil()], ids=lambda e: e.name)
def test_cwl_runs_another_document_or_a_part_of_one(engine: EngineBase) -> None:
    whole = job_at("main.cwl")
    made = rendered(engine, stage_job(whole, Stage(file="map.cwl"), 2, 3, {}))
    assert made.command[-2] == f"{FOLDER}/map.cwl"
    assert (config(made, "job.json")["slice"], config(made, "job.json")["slices"]) == (2, 3)
    join = rendered(engine, stage_job(whole, Stage(item="join"), None, 3, GIVEN))
    assert join.command[-2] == f"{FOLDER}/main.cwl#join"
    assert config(join, "job.json")["parts"] == [
        {"class": "File", "location": "outputs/a%20b.dat"},
        {"class": "File", "location": "outputs/c.dat"},
    ]


def test_units_that_cwl_only_counts_are_told_apart_in_slices(tmp_path: Path) -> None:
    """The first unit of each slice is another one; what runs once in each has no unit."""
    (tmp_path / "map.cwl").write_text(
        "cwlVersion: v1.2\nclass: Workflow\nrequirements: {ScatterFeatureRequirement: {}}\n"
        "inputs: {all: 'string[]'}\noutputs: {}\nsteps:\n"
        "  list: {in: {}, out: [], run: {id: ls, class: CommandLineTool, inputs: {}, outputs: {}}}\n"
        "  unit: {scatter: x, in: {x: all}, out: [], run: {id: echo, class: CommandLineTool,"
        " inputs: {x: string}, outputs: {}}}\n"
    )

    def steps(parameters: dict[str, int], slices: int) -> Steps:
        plan = {"entry": "map.cwl", "parameters": parameters, "slicing": {"slices": slices}}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        return steps_of(tmp_path)

    second = steps({"slice": 2, "slices": 3}, 3)
    assert [second.of(name) for name in ("list", "unit", "unit_2")] == [
        ("list", None),
        ("unit", "2.1"),
        ("unit", "2.2"),
    ]
    assert second.of_toil("map.cwl.1.echo") == ("unit", "2.2")
    for other in (steps({}, 3), steps({"slice": 2}, 1)):  # a join, a run whose own parameter it is
        assert (other.of("unit_2"), other.of_toil("map.cwl.1.echo")) == (("unit", "2"), ("unit", "2"))
