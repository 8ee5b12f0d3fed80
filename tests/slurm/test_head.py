"""Runs whose engine is a job: the same results, whoever is killed, taken away or out of reach meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers.waiting import until
from services import engines
from services.slurm import BIG, Cluster

from esap_wf.testing.places import Place

pytestmark = pytest.mark.integration

_SNAKEFILE = """\
rule all:
    input: expand("outputs/{{n}}.txt", n=[1, 2, 3])

rule step:
    output: "outputs/{{n}}.txt"
    shell: "echo begun {{wildcards.n}} >> {root}/journal; "
           "while [ ! -e {root}/gate{{wildcards.n}} ]; do sleep 0.1; done; echo {{wildcards.n}} > {{output}}"
"""


class Heads(Place):
    """A place of the command line, whose engines are jobs of a cluster."""

    cluster: Cluster

    def configure(self, **settings: object) -> None:
        lines = {
            "kind": "slurm",
            "way": "native",
            "head": "job",
            "conf": self.cluster.environment["SLURM_CONF"],
            "head_memory": "700 MB",
            "job_memory": "300 MB",
            "latency": 2,
            # an engine hears later and later of its jobs
            "poll": 1,
            **settings,
        }
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
        snakemake = engines.configuration("snakemake", slurm=True)
        (self.root / "config.toml").write_text(f"[backends.cluster]\n{text}{snakemake}")

    def gates(self, *numbers: int) -> None:
        for number in numbers:
            (self.root / f"gate{number}").touch()

    def journal(self) -> list[str]:
        path = self.root / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def begin(self) -> str:
        """A run whose steps wait at gates, in its first step; its id."""
        (self.root / "Snakefile").write_text(_SNAKEFILE.format(root=self.root))
        run = self.started("run", "Snakefile")
        until(self.journal, what="the first step", detail=lambda: self.status(run))
        return run

    def started(self, *words: object) -> str:
        done = self.inside(*words, "--backend", "cluster", "--detach", "--json")
        assert done.code == 0, done.err
        return str(done.json["run"])

    def status(self, run: str) -> dict[str, Any]:
        return self.inside("status", run, "--json").json

    def reaches(self, run: str, phase: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.status(run)
            is_over = found["phase"] in ("COMPLETED", "ERROR", "ABORTED")
            assert not is_over or found["phase"] == phase, (found, self.log(run))
            return found if found["phase"] == phase else None

        return until(there, what=phase, detail=lambda: (self.status(run), self.log(run)))

    def folder(self, run: str) -> Path:
        return next(self.store.glob(f"runs/*/{run}"))

    def log(self, run: str) -> str:
        folder = self.folder(run)
        return "\n".join(
            p.read_text()[-3000:]
            for p in (folder / "logs/supervisor.log", folder / "logs/engine.log")
            if p.exists()
        )

    def told(self, run: str) -> str:
        return (self.folder(run) / "events.jsonl").read_text()

    def supervisor(self, run: str) -> psutil.Process:
        def found() -> psutil.Process | None:
            for process in psutil.process_iter(["cmdline"]):
                words = process.info["cmdline"] or []
                if "esap_wf.running.supervisor" in words and run in words:
                    return process
            return None

        return until(found, what="its supervisor")

    def head(self, run: str, epoch: int = 1) -> str:
        record = self.folder(run) / "engine" / f"{epoch}.job.json"
        return str(until(lambda: record.exists() and json.loads(record.read_text())["job"], what="its head"))

    def is_over(self, run: str) -> None:
        """Nothing of a run works any more at the cluster."""
        names = self.cluster.ask("squeue", "-h", "-o", "%j %k")
        assert run not in names

    def results(self, run: str) -> list[tuple[str, str]]:
        found = self.inside("results", run, "--json")
        return [(o["name"], o["sha256"]) for o in found.json["outputs"]]


@pytest.fixture
def heads(cluster: Cluster, tmp_path: Path) -> Iterator[Heads]:
    made = Heads(tmp_path)
    made.cluster = cluster
    made.configure()
    (tmp_path / "home").mkdir()
    yield made
    made.gates(1, 2, 3)
    for run in made.inside("list", "--json").json["runs"]:
        if run["phase"] not in ("COMPLETED", "ERROR", "ABORTED"):
            made.inside("cancel", run["run"])
            until(lambda run=run: made.status(run["run"])["phase"] in ("COMPLETED", "ERROR", "ABORTED"))  # type: ignore[misc]


def test_a_run_gives_the_same_as_here(heads: Heads) -> None:
    here = heads.inside("run", "hello", "--json")
    assert here.code == 0, here.err
    run = heads.started("run", "hello", "--if-exists", "rerun")
    heads.reaches(run, "COMPLETED")
    assert heads.results(run) == heads.results(here.json["run"])
    heads.is_over(run)
    assert not list(heads.folder(run).glob("engine/*.environment"))


def test_a_head_is_submitted_as_the_plan_has_printed_it(heads: Heads) -> None:
    given = ["hello", "--who", "script", "--backend", "cluster"]
    told = heads.inside("plan", *given, "--print-script", "--json").json["scripts"]["whole as a job"]
    run = heads.started("run", *given[:3])
    got = heads.cluster.ask("scontrol", "write", "batch_script", heads.head(run), "-")
    heads.reaches(run, "COMPLETED")
    assert got.rstrip("\n") == told.replace("/RU/", f"/{run[:2]}/").replace("RUN", run).rstrip("\n")


def test_who_is_killed_and_who_is_asked_to_end_leaves_a_head_that_is_adopted(heads: Heads) -> None:
    run = heads.begin()
    job = heads.head(run)
    for number in (signal.SIGKILL, signal.SIGTERM):
        supervisor = heads.supervisor(run)
        os.kill(supervisor.pid, number)
        until(lambda s=supervisor: not s.is_running() or s.status() == psutil.STATUS_ZOMBIE, what="its end")  # type: ignore[misc]
        assert heads.cluster.state(job) == "RUNNING"
        until(lambda: heads.status(run)["phase"] == "UNKNOWN", what="that it is missed")
        assert heads.inside("resume", run, "--detach").code == 0
        until(lambda: heads.status(run)["phase"] == "EXECUTING", what="another supervisor")
    heads.gates(1, 2, 3)
    heads.reaches(run, "COMPLETED")
    assert "the engine of epoch 1 is adopted" in heads.told(run)
    assert sorted(heads.journal()) == ["begun 1", "begun 2", "begun 3"]
    heads.is_over(run)


def test_a_head_that_is_taken_away_is_told_and_goes_on_in_another_job(heads: Heads) -> None:
    run = heads.begin()
    heads.cluster.cancel(heads.head(run))
    until(lambda: "an earlier engine" in heads.status(run)["reason"], what="a wait for its steps' jobs")
    heads.gates(1, 2, 3)
    second = heads.head(run, 2)
    heads.reaches(run, "COMPLETED")
    assert heads.cluster.ends(second) == "COMPLETED"
    assert "it was cancelled" in heads.told(run)
    heads.is_over(run)


@pytest.mark.soak
def test_a_head_whose_node_dies_goes_on_on_another(heads: Heads) -> None:
    run = heads.begin()
    job = heads.head(run)
    node = heads.cluster.field(job, "BatchHost")
    heads.cluster.kill_node(node)
    try:
        heads.cluster.down(node)
        heads.gates(1, 2, 3)
        heads.head(run, 2)
        heads.reaches(run, "COMPLETED")
        assert f"on {node}: its node has failed" in heads.told(run)
        assert len(heads.results(run)) == 3
        heads.is_over(run)
    finally:
        heads.cluster.start_node(node)
        heads.cluster.resume_node(node)
        until(lambda: node in heads.cluster._idle(), 60, what="the node")


def test_a_run_that_is_cancelled_leaves_no_job(heads: Heads) -> None:
    run = heads.begin()
    assert heads.inside("cancel", run).code == 0
    heads.reaches(run, "ABORTED")
    heads.is_over(run)
    # as if Slurm had not heard of it
    left = heads.cluster.submit("sleep 600", f"--job-name=ewf-{run}.1")
    done = heads.inside("rm", "--yes", run)
    assert done.code == 0 and f"job {left}" in done.err, done
    until(lambda: heads.cluster.state(left) == "CANCELLED", what="the end of its job")
    assert not list(heads.store.glob(f"runs/*/{run}"))


def test_a_run_is_not_removed_while_nobody_can_say_whether_its_jobs_work(heads: Heads) -> None:
    run = heads.begin()
    heads.inside("cancel", run)
    heads.reaches(run, "ABORTED")
    plan = heads.folder(run) / "plan.json"
    said = plan.read_text()
    conf = heads.cluster.environment["SLURM_CONF"]
    away = heads.root / "slurm.conf"
    text = re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", Path(conf).read_text())
    away.write_text(f"{text}\nMessageTimeout=2\n")
    plan.chmod(0o644)
    plan.write_text(said.replace(conf, str(away)))
    done = heads.inside("rm", "--yes", run)
    assert done.code == 3 and "still work at cluster is not known" in done.err, done
    assert heads.folder(run).is_dir()
    assert heads.inside("rm", "--yes", "--unasked", run).code == 0


def test_jobs_of_a_run_that_goes_on_elsewhere_are_ended_first(heads: Heads) -> None:
    given = ["run", "noop", "--units", "1", "--seconds", "8"]
    run = heads.started(*given)

    def jobs() -> list[str]:
        names = heads.cluster.ask("squeue", "-h", "-t", "R", "-o", "%i %j %k").splitlines()
        return [name.split()[0] for name in names if run in name and f"ewf-{run}." not in name]

    until(jobs, what="the job of a step", detail=lambda: heads.log(run))
    os.kill(heads.supervisor(run).pid, signal.SIGKILL)
    heads.cluster.cancel(heads.head(run))
    until(lambda: heads.cluster.state(heads.head(run)) == "CANCELLED", what="the end of its head")
    left = jobs()
    until(lambda: heads.status(run)["phase"] == "UNKNOWN", what="that its owner is missed")
    done = heads.inside(*given, "--backend", "local", "--json")
    assert done.code == 0 and done.json["run"] == run, done
    assert left and f"job {left[0]}" in heads.told(run), heads.told(run)
    assert {heads.cluster.state(job) for job in left} == {"CANCELLED"}
    heads.is_over(run)


def test_one_that_waits_says_why_and_is_cancelled_there(heads: Heads) -> None:
    heads.configure(partition="big")
    heads.cluster.drain(BIG)
    try:
        run = heads.started("run", "hello")
        found = until(
            lambda: s if (s := heads.status(run))["reason"].startswith("waiting at cluster") else None
        )
        assert found["phase"] == "QUEUED" and "node" in found["reason"]
        heads.inside("cancel", run)
        heads.reaches(run, "ABORTED")
        heads.is_over(run)
    finally:
        heads.cluster.resume_node(BIG)


@pytest.mark.parametrize("soon", [True, pytest.param(False, marks=pytest.mark.soak, id="in its own time")])
def test_a_head_near_its_limit_hands_over(heads: Heads, soon: bool) -> None:
    # its limit is two minutes, and it is told after one at the latest
    heads.configure(head_wall="2 min", job_wall="10 s")
    run = heads.begin()
    job = heads.head(run)
    if soon:  # as Slurm does in a minute
        heads.cluster.ask("scancel", "--batch", "--signal=USR2", job)
    until(lambda: "almost over" in (heads.folder(run) / "engine/1.job.log").read_text(), what="the warning")
    heads.gates(1, 2, 3)
    heads.head(run, 2)
    heads.reaches(run, "COMPLETED")
    told = heads.told(run)
    assert "another one goes on" in told and "stop requested" not in told
    assert heads.cluster.state(job) in ("FAILED", "COMPLETED"), "it has ended by itself, not at its limit"
    assert sorted(heads.journal()) == ["begun 1", "begun 2", "begun 3"], "nothing was done twice"
    heads.is_over(run)


@pytest.mark.soak
def test_a_controller_that_is_away_is_waited_for(heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: Callable[[], bool] = lambda: "waiting for cluster since" in heads.status(run)["reason"]  # noqa: E731
    assert heads.inside("backends", "check", "cluster").code == 0
    heads.cluster.stop_controller()
    try:
        (heads.root / "Snakefile").write_text(_SNAKEFILE.format(root=heads.root))
        run = heads.started("run", "Snakefile")
        until(waits, what="the outage to be told", detail=lambda: heads.log(run))
    finally:
        heads.cluster.start_controller()
    until(heads.journal, what="the first step", detail=lambda: heads.log(run))
    heads.cluster.stop_controller()
    try:
        until(waits, what="the outage to be told", detail=lambda: heads.log(run))
        heads.gates(1, 2, 3)
    finally:
        heads.cluster.start_controller()
    heads.reaches(run, "COMPLETED")
    assert sorted(heads.journal()) == ["begun 1", "begun 2", "begun 3"]
    heads.is_over(run)
