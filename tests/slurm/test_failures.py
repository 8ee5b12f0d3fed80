"""How jobs of an engine fail and wait at a real Slurm, as users are told; and jobs that get more when they ran out of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.waiting import until
from helpers.workflows import write_workflow
from services import nextflow
from services.slurm import Cluster

pytestmark = pytest.mark.integration

#: Units that fail, each in a way of its own, when they are told to; the time limit of one ends it by itself.
FAILING = """\
process unit {
    tag "$u"
    errorStrategy 'finish'
    memory { u == 'memory' ? 100.MB : 300.MB }
    time { u == 'time' ? 1.min : 10.min }
    input: val u
    output: path "out_${u}"
    script:
    \"\"\"
    [ $u = time ] || until [ -e GO ]; do sleep 0.2; done
    case $u in
    code) echo "this unit is bad"; exit 3 ;;
    signal) kill -SEGV \\$\\$ ;;
    memory) python3 -c "x = bytearray(900000000); import time; time.sleep(60)" ;;
    *) echo working; sleep 600 ;;
    esac
    \"\"\"
}
workflow { unit(Channel.of('code', 'signal', 'memory', 'time', 'cancelled', 'node')) }
"""
#: Two units, of which one needs more memory than it asks for.
HUNGRY = """\
process unit {
    tag "$u"
    errorStrategy 'finish'
    publishDir 'outputs', mode: 'copy'
    input: val u
    output: path "${u}.txt"
    script:
    \"\"\"
    echo $u >> WITNESS
    [ $u = light ] || python3 -c "x = bytearray(300000000); import time; time.sleep(8)"
    echo $u > ${u}.txt
    \"\"\"
}
workflow { unit(Channel.of('light', 'heavy')) }
"""


def place_at(root: Path, cluster: Cluster, partition: str = "main") -> Place:
    """A place for runs whose configuration knows a Slurm, to which engines here submit."""
    settings = {
        "kind": "slurm",
        "way": "native",
        "conf": cluster.environment["SLURM_CONF"],
        "account": "science",
        "partition": partition,
    }
    lines = ["[backends.slurm]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    lines += ["poll = 1", "latency = 5", "[engines.nextflow]", f"path = {json.dumps(str(nextflow.path()))}"]
    (root / "home").mkdir()
    (root / "config.toml").write_text("\n".join(lines) + "\n")
    return Place(root)


def started(place: Place, *words: object) -> str:
    """The id of a run that was begun and left alone."""
    begun = place("run", *words, "--backend", "slurm", "--detach", "--json")
    assert begun.code == 0, begun
    return str(begun.json["run"])


def status(place: Place, run: str) -> dict[str, Any]:
    return place.inside("status", run, "--json").json


def ends(place: Place, run: str) -> dict[str, Any]:
    """Its status when it has ended."""
    final = ("COMPLETED", "ERROR", "ABORTED")
    return until(
        lambda: s if (s := status(place, run))["phase"] in final else None,
        420,
        what="the end of the run",
        detail=lambda: place.inside("status", run).out,
    )


def jobs_of(cluster: Cluster, run: str, state: str = "RUNNING") -> dict[str, tuple[str, str]]:
    """Name of a job of a run → its id and node."""
    told = cluster.ask("squeue", "-h", "-t", state, "-o", "%i|%N|%j|%k").splitlines()
    return {n: (i, node) for i, node, n, key in (line.split("|") for line in told) if run in key}


@pytest.fixture(scope="module")
def failed(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """A run whose units have failed in many ways, and its status."""
    root = tmp_path_factory.mktemp("failing")
    place, go = place_at(root, cluster), root / "go"
    (root / "main.nf").write_text(FAILING.replace("GO", str(go)))
    run = started(place, root / "main.nf", "--cores", "8")
    try:
        working = until(
            lambda: j if len(j := jobs_of(cluster, run)) == 6 else None,
            300,
            what="six jobs",
            detail=lambda: status(place, run),
        )
        go.touch()
        cluster.cancel(working["nf-unit_(cancelled)"][0])
        left = {"nf-unit_(node)"}
        until(lambda: jobs_of(cluster, run).keys() <= left, 300, what="the others to fail")
        cluster.down(working["nf-unit_(node)"][1])
        yield place, ends(place, run)
    finally:
        cluster.mend()


@pytest.mark.parametrize(
    ("unit", "reason", "code", "state", "says"),
    [
        ("code", "EXIT_CODE", 3, "FAILED", "exit code 3"),
        ("signal", "SIGNAL", 139, "FAILED", "killed by a signal (exit code 139)"),
        (
            "memory",
            "OUT_OF_MEMORY",
            None,
            "FAILED",
            "out of memory: it used more memory than it had asked for",
        ),
        ("time", "TIMEOUT", 140, "FAILED", "time limit reached"),
        ("cancelled", "CANCELLED", None, "CANCELLED", "it was cancelled by you"),
        ("node", "NODE_FAIL", None, "NODE_FAIL", "its node has failed"),
    ],
)
def test_a_failure_says_which_job_where_and_why(
    failed: tuple[Place, dict[str, Any]], unit: str, reason: str, code: int | None, state: str, says: str
) -> None:
    place, said = failed
    (failure,) = (f for f in said["failures"] if f["unit"] == unit)
    assert (failure["step"], failure["reason"], failure["state"]) == ("unit", reason, state)
    assert code is None or failure["exit_code"] == code
    assert failure["job"].isdigit()
    assert failure["node"] in ("n1", "n2", "n3", "n4")
    text = place.inside("status", said["run"]).out
    (line,) = (line for line in text.splitlines() if line.startswith(f"unit {unit}: "))
    assert says in line
    assert f"job {failure['job']}" in line
    assert f"on {failure['node']}" in line
    assert line.endswith(".command.log")


def test_logs_usage_and_the_report_tell_of_the_jobs(failed: tuple[Place, dict[str, Any]]) -> None:
    _, said = failed
    tails = {f["unit"]: f["tail"] for f in said["failures"]}
    assert "this unit is bad" in tails["code"]
    assert any("exceeded memory limit" in line for line in tails["memory"])
    (step,) = said["steps"]
    assert step["cpu_seconds"] > 0
    assert step["memory_bytes"] > 100_000_000
    page = Path(said["report"]).read_text()
    assert all(f"job {f['job']}" in page for f in said["failures"])
    assert said["waiting"] == []


def test_a_waiting_job_says_why_and_since_when(cluster: Cluster, tmp_path: Path) -> None:
    place = place_at(tmp_path, cluster, partition="big")
    run = started(place, "hello", "--engine", "nextflow")

    def waits(*words: str) -> Callable[[], Any]:
        def look() -> Any:
            said = status(place, run)["waiting"]
            return said if any(word in w["reason"] for w in said for word in words) else None

        return look

    try:
        cluster.drain("b1")
        (waiting,) = until(
            waits("drained", "no node"), what="a job that waits", detail=lambda: status(place, run)
        )
        assert waiting["jobs"] == 1
        assert waiting["since"].endswith("Z")
        assert "1 job waits since 20" in place.inside("status", run).out
        ((job, _),) = jobs_of(cluster, run, "PENDING").values()
        cluster.ask("scontrol", "hold", job)
        until(waits("held"), what="a job that is held", detail=lambda: status(place, run))
        cluster.ask("scontrol", "release", job)
        cluster.resume_node("b1")
        said = ends(place, run)
        assert (said["phase"], said["waiting"]) == ("COMPLETED", []), said
    finally:
        cluster.mend()


def test_a_job_that_runs_out_of_memory_gets_more_by_its_rule_and_the_next_plan_knows(
    cluster: Cluster, tmp_path: Path
) -> None:
    place, witness = place_at(tmp_path, cluster), tmp_path / "witness"
    rule = {"memory": "150 MB", "wall": "10 min", "more": {"memory": 8, "times": 1}}
    manifest = {
        "implementations": [{"engine": "nextflow", "file": "main.nf"}],
        "outputs": [{"name": "files", "path": "outputs/*.txt"}],
        "units": {"axis": "unit", "count": 2, "steps": ["unit"]},
        "resources": {
            "sizes": {"small": {"cores": 2, "memory": "1 GB", "wall": "1 h"}},
            "steps": {"unit": rule},
        },
    }
    files = {"main.nf": HUNGRY.replace("WITNESS", str(witness))}
    workflow = write_workflow(tmp_path / "hungry", {}, manifest, files=files) / "workflow.yaml"
    run = started(place, workflow)
    said = ends(place, run)
    assert said["phase"] == "COMPLETED", place.inside("status", run).out
    assert sorted(witness.read_text().split()) == ["heavy", "heavy", "light"], "what is done stays done"
    (folder,) = place.store.glob(f"runs/*/{run}")
    raised = json.loads((folder / "engine/raised.json").read_text())
    assert (raised["unit"]["memory_bytes"], raised["unit"]["times"]) == (1_200_000_000, 1)
    assert (
        "jobs of unit had too little, so they get 1.2 GB of memory (150 MB before)"
        in (folder / "events.jsonl").read_text()
    )
    written = tmp_path / "plan.json"
    assert place.inside("plan", workflow, "--backend", "slurm", "-o", written).code == 0
    plan = json.loads(written.read_text())
    assert plan["steps"]["unit"]["memory_bytes"] == 1_200_000_000
    assert any("had too little" in warning for warning in plan["warnings"])
