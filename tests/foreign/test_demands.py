"""What the steps of somebody's pipeline ask for reaches the plan; a default of esap-wf fails no run that the bare engine would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.files import write_files
from hypothesis import given
from hypothesis import strategies as st
from services import engines

from esap_wf.backends.local.capacity import memory
from esap_wf.engines import Demand
from esap_wf.engines.cwl.engine import Cwltool
from esap_wf.engines.nextflow import demands as nextflow_demands
from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.errors import RefusedError
from esap_wf.formats.quantities import to_bytes
from esap_wf.models.plan import Allocation
from esap_wf.models.request import Request, ResourceRequest
from esap_wf.planning import places, wishes

GIB = 2**30


def reported(demands: list[Demand]) -> dict[tuple[str, str], int | None]:
    return {(d.who.split(" ", 1)[1], d.what): d.amount for d in demands}


# --- Nextflow

PIPELINES = Path(__file__).with_name("pipelines")
PROCESSES = (PIPELINES / "nextflow/demands/main.nf").read_text()
CONFIG = (PIPELINES / "nextflow/demands/nextflow.config").read_text()


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "nf",
        {"main.nf": PROCESSES, "nextflow.config": CONFIG, "far.nf": "process far { script: 'true' }\n"},
    )


def nextflow(pipeline: Path, *options: str, **values: Any) -> list[Demand]:
    return nextflow_demands.demands(pipeline / "main.nf", None, options, values)


def test_directives_and_configuration_are_read_in_nextflows_order(pipeline: Path) -> None:
    found = reported(nextflow(pipeline))
    assert found["small", "cores"] == 2 and found["small", "memory"] == 600 * 2**20
    assert found["big", "cores"] == 3 and found["big", "memory"] == GIB and found["big", "wall"] == 5400
    assert found["grows", "memory"] is None, "only the engine can tell"
    assert found["grows", "cores"] == 7, "the configuration's, where the process says nothing"
    assert (found["limited", "cores"], found["limited", "memory"]) == (4, GIB), (
        "resourceLimits cap what is asked for"
    )
    assert found["far", "cores"] == 5


def test_parameters_profiles_and_further_configuration_decide(pipeline: Path) -> None:
    assert reported(nextflow(pipeline, threads=12, gigabytes=4))["big", "memory"] == 4 * GIB
    assert reported(nextflow(pipeline, "-profile", "cluster"))["big", "memory"] == 64 * GIB
    assert reported(nextflow(pipeline, "-c", "other.config"))["big", "memory"] is None


def test_what_is_surely_run_is_reported_from_what_may_be(pipeline: Path) -> None:
    certain = {d.who.split()[1] for d in nextflow(pipeline) if d.certain}
    assert certain == {"small", "limited", "far"}


@pytest.mark.parametrize(
    ("what", "data", "amount"),
    [
        ("memory", "2 GB", 2 * GIB),
        ("memory", "2.GB", 2 * GIB),
        ("memory", "1.5GB", GIB * 3 // 2),
        ("memory", 1024, 1024),
        ("memory", "much", None),
        ("memory", True, None),
        ("wall", "10min", 600),
        ("wall", "1 h", 3600),
        ("wall", "2.d", 172800),
        ("wall", "500 ms", 0),
        ("wall", 60_000, 60),
        ("wall", "an hour", None),
        ("cores", 4, 4),
        ("cores", "4", 4),
        ("cores", 1.5, None),
    ],
)
def test_amounts_in_nextflows_words(what: str, data: object, amount: int | None) -> None:
    assert nextflow_demands.amount_of(what, data) == amount


@given(
    st.sampled_from(["cores", "memory", "wall"]),
    st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.lists(st.text())),
)
def test_whatever_a_directive_holds_is_an_amount_or_none(what: str, data: object) -> None:
    amount = nextflow_demands.amount_of(what, data)
    assert amount is None or isinstance(amount, int)


# --- Snakemake, CWL

SNAKEFILE = (PIPELINES / "snakemake/demands/Snakefile").read_text()


def test_threads_and_resources_of_rules(tmp_path: Path) -> None:
    write_files(tmp_path, {"Snakefile": SNAKEFILE, "c.yaml": "steps: {t: 8}\n"})
    found = reported(Snakemake().demands(tmp_path / "Snakefile", None, (), {}))
    assert (found["a", "cores"], found["a", "memory"], found["a", "wall"]) == (4, 3 * 10**9, 7200)
    assert (found["b", "cores"], found["b", "memory"], found["b", "wall"]) == (8, GIB, 5400)
    assert found["c", "cores"] is None and found["c", "memory"] is None
    assert reported(Snakemake().demands(tmp_path / "Snakefile", None, (), {"steps.t": 2}))["b", "cores"] == 2


TOOL = """
cwlVersion: v1.2
class: CommandLineTool
hints: {ResourceRequirement: {coresMin: 9, ramMin: 500}, ToolTimeLimit: {timelimit: 60}}
baseCommand: "true"
inputs: {n: {type: int, default: 2}}
outputs: []
"""
STEPS = """
cwlVersion: v1.2
class: Workflow
requirements: {ResourceRequirement: {coresMin: 2}}
inputs: {n: int}
outputs: []
steps:
  plain: {run: tool.cwl, in: {n: n}, out: []}
  own: {run: tool.cwl, in: {n: n}, out: [], requirements: {ResourceRequirement: {coresMax: 3}}}
  maybe: {run: tool.cwl, in: {n: n}, out: [], when: "$(inputs.n > 1)"}
  asks: {run: expression.cwl, in: {n: n}, out: []}
"""


def test_resource_requirements_count_where_they_are_nearest_and_before_hints(tmp_path: Path) -> None:
    own = TOOL.replace(
        "hints: {ResourceRequirement: {coresMin: 9, ramMin: 500}",
        "requirements: {ResourceRequirement: {coresMin: $(inputs.n)}",
    )
    write_files(tmp_path, {"tool.cwl": TOOL, "expression.cwl": own, "main.cwl": STEPS})
    found = Cwltool().demands(tmp_path / "main.cwl", None, (), {"n": 5})
    cores = {d.who: (d.amount, d.certain) for d in found if d.what == "cores"}
    assert cores == {
        "step plain": (2, True),
        "step own": (3, True),
        "step maybe": (2, False),
        "step asks": (None, True),
    }
    alone = reported(Cwltool().demands(tmp_path / "tool.cwl", None, (), {}))
    assert alone == {("tool.cwl", "cores"): 9, ("tool.cwl", "memory"): 500 * 2**20, ("tool.cwl", "wall"): 60}
    assert (
        reported(Cwltool().demands(tmp_path / "expression.cwl", None, (), {"n": 5}))[
            "expression.cwl", "cores"
        ]
        == 5
    )
    assert (
        reported(Cwltool().demands(tmp_path / "expression.cwl", None, (), {}))["expression.cwl", "cores"] == 2
    ), "the input's default"


# --- the place


def settled(
    monkeypatch: pytest.MonkeyPatch, config: Any, demands: list[Demand], **asked: Any
) -> tuple[Allocation, list[str]]:
    monkeypatch.setattr("esap_wf.backends.local.capacity.usable_cores", lambda: 4)
    monkeypatch.setattr("esap_wf.backends.local.capacity.memory", lambda: 8 * 10**9)
    request = Request(workflow="x", resources=ResourceRequest(**asked))
    start = Allocation(
        cores=asked.get("cores", 1),
        memory_bytes=to_bytes(asked.get("memory", "1 GB")),
        disk_bytes=0,
        wall_seconds=3600,
    )
    asked_for = wishes.of_request(request, False, demands, "Engine")
    there = places.all_of(request, config)
    found = places.choose(request, config, there, wishes.wanted(start, asked_for), asked_for)
    return found.allocation, found.warnings


@pytest.mark.parametrize("insists", [True, False])
def test_what_steps_ask_for_is_what_the_run_gets(
    monkeypatch: pytest.MonkeyPatch, config: Any, insists: bool
) -> None:
    demands = [
        Demand("memory", 2 * GIB, "rule a", "f:1", insists, insists),
        Demand("cores", 3, "rule b", "f:2", insists, insists),
    ]
    made, warnings = settled(monkeypatch, config, demands)
    assert (made.cores, made.memory_bytes, warnings, made.exceeded) == (3, 2 * GIB, [], False)
    assert made.origin == {"cores": "rule b, f:2", "memory": "rule a, f:1", "wall": "default"}


def test_what_only_the_engine_can_tell_gets_all_that_is_there_or_what_the_user_gives(
    monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    demands = [Demand("memory", None, "rule a", "f:1"), Demand("cores", None, "rule a", "f:1")]
    made, _ = settled(monkeypatch, config, demands)
    assert (made.cores, made.memory_bytes, made.exceeded) == (4, 8 * 10**9, True)
    assert "only the engine can tell" in made.origin["memory"]
    made, _ = settled(monkeypatch, config, demands, cores=2, memory="3 GB")
    assert (made.cores, made.memory_bytes, made.exceeded) == (2, 3 * 10**9, False)
    assert made.origin["cores"] == "as you asked"


def test_more_than_there_is_ends_only_what_the_engine_would_end(
    monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    made, warnings = settled(monkeypatch, config, [Demand("cores", 64, "rule a", "f:1")])
    assert made.cores == 4 and made.exceeded
    assert warnings == [
        "rule a asks for 64 cores (f:1), local has 4 cores: Engine goes on with what there is"
    ]
    made, warnings = settled(
        monkeypatch, config, [Demand("cores", 64, "process a", "f:1", True, True, certain=False)]
    )
    assert made.cores == 4 and "ends the run if it comes to it" in warnings[0], (
        "it may never be run: a guess blocks nothing"
    )
    with pytest.raises(
        RefusedError,
        match=r"64 cores asked for, but it has 4 .*process a \(f:1\) asks for it, and Engine runs nothing with less",
    ):
        settled(monkeypatch, config, [Demand("cores", 64, "process a", "f:1", True, True)])


def test_less_than_a_step_insists_on_is_refused_with_what_to_give(
    monkeypatch: pytest.MonkeyPatch, config: Any
) -> None:
    with pytest.raises(
        RefusedError, match=r'f:1: process a asks for 2.15 GB of memory, .* 1 GB .*--memory "2 GiB"'
    ):
        settled(
            monkeypatch, config, [Demand("memory", 2 * GIB, "process a", "f:1", True, True)], memory="1 GB"
        )
    made, warnings = settled(monkeypatch, config, [Demand("memory", 2 * GIB, "rule a", "f:1")], memory="1 GB")
    assert made.memory_bytes == 10**9 and len(warnings) == 1


# --- with the engines


@pytest.fixture
def at(place: Place, inside: Callable[..., Done]) -> Callable[..., Done]:
    (place.root / "config.toml").write_text(engines.configuration("nextflow", "cwl", "toil"))
    return inside


NEEDS = """process big {
    memory '2 GB'
    publishDir 'results'
    output: path 'o.txt'
    script: "echo ${task.memory.toMega()} ${task.cpus} > o.txt"
}
workflow { big() }
"""


@pytest.mark.integration
def test_a_process_that_asks_for_more_than_a_default_runs(at: Callable[..., Done], tmp_path: Path) -> None:
    pipeline = write_files(tmp_path / "p", {"main.nf": NEEDS}) / "main.nf"
    refused = at("plan", pipeline, "--memory", "1 GB", "--json")
    assert refused.code == 3 and f"{pipeline}:2: process big asks for 2.15 GB" in refused.problems
    done = at("run", pipeline, "--json")
    assert done.code == 0, done.err
    assert (Path(done.json["dir"]) / "results/o.txt").read_text() == "2048 1\n"


CORES = """cwlVersion: v1.2
class: CommandLineTool
requirements: {ResourceRequirement: {coresMin: 1000, ramMin: 300}}
baseCommand: echo
arguments: [$(runtime.cores), $(runtime.ram)]
inputs: {}
outputs: {out: stdout}
stdout: out.txt
"""


@pytest.mark.integration
def test_cwltool_runs_what_asks_for_more_cores_than_there_are_and_toil_is_not_begun(
    at: Callable[..., Done], tmp_path: Path
) -> None:
    tool = write_files(tmp_path / "p", {"tool.cwl": CORES}) / "tool.cwl"
    done = at("run", tool, "--json")
    assert done.code == 0, done.err
    assert "asks for 1000 cores" in done.err
    assert (Path(done.json["dir"]) / "outputs/out.txt").read_text() == "1000 300\n", "as the bare engine says"
    refused = at("plan", tool, "--engine", "toil", "--json")
    assert refused.code == 3 and "1000 cores asked for" in refused.problems
    assert at("plan", tool, "--cores", "1", "--json").code == 3


@pytest.mark.integration
def test_a_plan_says_where_its_numbers_come_from(at: Callable[..., Done], tmp_path: Path) -> None:
    folder = write_files(tmp_path / "p", {"Snakefile": SNAKEFILE, "c.yaml": "steps: {t: 1}\n"})
    made = at("plan", folder, "--cores", "1", "--json").json["allocation"]
    all_of_it = "everything that there is: only the engine can tell what its steps ask for"
    assert made["origin"] == {"cores": "as you asked", "memory": all_of_it, "wall": "rule a, Snakefile:10"}
    assert made["memory_bytes"] == memory()
    assert "2 h (rule a, Snakefile:10)" in " ".join(at("plan", folder).out.split())
