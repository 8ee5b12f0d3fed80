"""Engines on this machine whose steps are jobs of a real Slurm: the same results as here, no job left, nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from faults.place import WatchedPlace
from helpers.waiting import until
from services import engines
from services.slurm import Cluster

from esap_wf.backends.queue import job_key
from esap_wf.runs import processes
from esap_wf.runs.store import Run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def native(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPlace]:
    root = tmp_path_factory.mktemp("native")
    keys = {"kind": "slurm", "way": "native", "account": "science", "conf": cluster.environment["SLURM_CONF"]}
    lines = ["[backends.farm]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    lines += ["poll = 1", "latency = 5", engines.configuration("snakemake", "nextflow", slurm=True)]
    (root / "config.toml").write_text("\n".join(lines) + "\n")
    yield WatchedPlace(root)


def of_run(cluster: Cluster, run: str, *options: str) -> list[str]:
    """Ids of a run's jobs, by name or comment."""
    rows = cluster.ask("squeue", "-h", *options, "-o", "%i|%j|%k").splitlines()
    return [row.split("|")[0] for row in rows if job_key(run) in row]


def running(cluster: Cluster, run: str, count: int) -> None:
    until(lambda: len(of_run(cluster, run, "-t", "R")) >= count, 120, what=f"{count} jobs of {run}")


@pytest.mark.parametrize("engine", ["snakemake", "nextflow"])
def test_a_run_makes_the_same_as_here(engine: str, native: WatchedPlace, cluster: Cluster) -> None:
    here = native.ok("run", "hello", "--engine", engine, "--if-exists", "rerun")
    there = native.ok("run", "hello", "--engine", engine, "--backend", "farm", "--if-exists", "rerun")
    assert there["phase"] == "COMPLETED"
    for name in ("greeting.txt", "greeting.json"):
        ours, theirs = (native.run(str(r["run"])).dir / "outputs" / name for r in (here, there))
        assert ours.read_bytes() == theirs.read_bytes()
    assert of_run(cluster, there["run"], "--states=all"), "its jobs carry the run's key"
    assert of_run(cluster, there["run"]) == []


def test_a_unit_that_fails_in_a_shard_names_its_job_and_where_that_was(
    native: WatchedPlace, cluster: Cluster
) -> None:
    given = ["noop", "--units", "4", "--shard-size", "2", "--fail-unit", "3", "--engine", "snakemake"]
    done = native("run", *given, "--backend", "farm", "--if-exists", "rerun", "--json")
    assert done.code == 1, done
    run = done.json["run"]
    (failure,) = native.ok("status", run)["failures"]
    assert (failure["unit"], failure["exit_code"], failure["reason"]) == ("u00003", 3, "EXIT_CODE")
    assert cluster.field(failure["job"], "NodeList") == failure["node"]
    assert failure["state"] == "FAILED"
    assert "fails as asked for" in "".join(failure["tail"])
    assert native.ok("status", run)["progress"]["units_done"] == 3
    shards = [row for row in of_run(cluster, run, "--states=all") if row == failure["job"]]
    assert shards == [failure["job"]]


def test_a_run_by_hand_submits_too(native: WatchedPlace, cluster: Cluster) -> None:
    made = native.ok("run", "hello", "--engine", "nextflow", "--backend", "farm", "--who", "hand")
    run = native.run(made["run"])
    (run.dir / "engine" / "bin" / "sbatch").unlink()
    before = set(cluster.ask("squeue", "-h", "--states=all", "-o", "%i").split())
    subprocess.run(["bash", "command.sh"], cwd=run.dir, check=True, capture_output=True)
    assert len(set(cluster.ask("squeue", "-h", "--states=all", "-o", "%i").split()) - before) == 1


@pytest.fixture(scope="module")
def profiles(native: WatchedPlace) -> Path:
    """What bare engines need to submit, as written for the place."""
    native.ok("backends", "show", "farm", "--write-profiles", str(native.root / "profiles"))
    return native.root / "profiles"


@pytest.mark.parametrize("engine", ["snakemake", "nextflow"])
def test_a_bare_engine_submits_by_the_profile_that_is_written(
    engine: str, profiles: Path, cluster: Cluster, tmp_path: Path
) -> None:
    commands = {
        "snakemake": [engines.snakemake_for_slurm(), "--profile", profiles / "snakemake", "-s", "Snakefile"],
        "nextflow": [
            engines.program("nextflow"),
            "-c",
            profiles / "nextflow.config",
            "run",
            "main.nf",
            "-offline",
        ],
    }
    (tmp_path / "Snakefile").write_text(
        'rule one:\n    output: "one.txt"\n    shell: "echo $SLURM_JOB_ID $(hostname) > {output}"\n'
    )
    (tmp_path / "main.nf").write_text(
        "process one { publishDir '.', mode: 'copy'\n output: path 'one.txt'\n"
        " script: 'echo $SLURM_JOB_ID $(hostname) > one.txt' }\nworkflow { one() }\n"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ESAP_WF_", "PYTHONPATH"))}
    done = subprocess.run(
        [str(word) for word in commands[engine]],
        cwd=tmp_path,
        env={**kept, **cluster.environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    job, node = (tmp_path / "one.txt").read_text().split()
    assert cluster.field(job, "NodeList") == node
    assert cluster.field(job, "Account") == "science"
    assert "ewf-" not in cluster.field(job, "JobName")


@pytest.mark.soak  # a minute: the short form is the cancel below
def test_a_run_that_is_to_end_lets_its_jobs_end_and_goes_on_from_there(
    native: WatchedPlace, cluster: Cluster
) -> None:
    given = ["run", "noop", "--backend", "farm", "--units", "3", "--seconds", "8", "--cores", "1"]
    run = native.ok(*given, "--shard-size", "1", "--detach")["run"]
    running(cluster, run, 1)
    native.ok("cancel", run, "--drain")
    until(lambda: native.run(run).state().phase == "ABORTED", 120, what="the end")
    done = native.run(run).state().progress.units_done
    assert 1 <= done < 3
    assert of_run(cluster, run) == []
    native.ok("resume", run)
    progress = native.run(run).state().progress
    assert (progress.units_done, progress.second_executions) == (3, 0)


def test_cancel_leaves_no_job(native: WatchedPlace, cluster: Cluster) -> None:
    given = ["run", "noop", "--backend", "farm", "--units", "2", "--seconds", "300", "--cores", "2"]
    run = native.ok(*given, "--detach")["run"]
    running(cluster, run, 2)
    of_jobs = until(lambda: _of_jobs(run), 60, what="processes of the jobs: the nodes are this machine")
    assert not of_jobs & {s.pid for s in processes.survivors(run)}, "none gets a signal from a supervisor"
    native.ok("cancel", run)
    until(lambda: native.run(run).state().phase == "ABORTED", 90, what="the end")
    assert of_run(cluster, run) == []


def _of_jobs(run: str) -> set[int]:
    found = psutil.process_iter(["environ"])
    return {p.pid for p in found if _of(p, "ESAP_WF_JOBS") == job_key(run) and _of(p, "SLURM_JOB_ID")}


def _of(process: psutil.Process, name: str) -> str:
    return str((process.info["environ"] or {}).get(name, ""))


def _kill(run: Run) -> None:
    """The supervisor, its keeper and the engine: all that carries the run's key, at once."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        supervises = run.id in (process.info["cmdline"] or []) and process.pid != os.getpid()
        if _of(process, "ESAP_WF_RUN") == run.id or supervises:
            assert not _of(process, "SLURM_JOB_ID"), "a job does not carry the key"
            process.kill()


def test_what_jobs_did_while_no_head_lived_is_not_repeated(native: WatchedPlace, cluster: Cluster) -> None:
    given = ["run", "noop", "--backend", "farm", "--units", "2", "--seconds", "25", "--cores", "2"]
    run = native.run(native.ok(*given, "--detach")["run"])
    running(cluster, run.id, 2)
    jobs = of_run(cluster, run.id)
    until(lambda: (run.events_path.read_text().count('"start"')) >= 2, what="both units")
    _kill(run)
    native.ok("resume", run.id)
    assert run.state().phase == "COMPLETED"
    units = [j for j in of_run(cluster, run.id, "--states=all") if j in jobs]
    assert [cluster.state(j) for j in units] == ["COMPLETED"] * 2
    names = cluster.ask("squeue", "-h", "--states=all", "-o", "%j|%k").splitlines()
    assert sum(job_key(run.id) in row and "rule_unit" in row for row in names) == 2
    assert run.state().progress.second_executions == 0
    assert "none is repeated" in run.events_path.read_text()
