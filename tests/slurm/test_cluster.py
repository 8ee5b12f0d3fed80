"""The cluster of the tests is what they take it for: nodes of their own, users, accounts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.processes import running
from helpers.waiting import until
from services.slurm import BIG, GPU, NODES, USERS, Cluster

pytestmark = pytest.mark.integration


def test_a_job_on_each_node_sees_a_host_and_processes_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    partitions = {**dict.fromkeys(NODES, "main"), BIG: "big", GPU: "gpu"}
    jobs = {
        node: cluster.submit(
            "hostname; ls /proc | grep -c '^[0-9]'",
            "-p",
            partition,
            "-w",
            node,
            f"--output={tmp_path}/{node}",
        )
        for node, partition in partitions.items()
    }
    assert [cluster.ends(job) for job in jobs.values()] == ["COMPLETED"] * 6
    for node in jobs:
        host, processes = (tmp_path / node).read_text().split()
        assert host == node
        assert int(processes) < 20


def test_a_second_user_and_the_accounts(cluster: Cluster) -> None:
    job = cluster.submit("true", user=USERS[1])
    assert cluster.ends(job) == "COMPLETED"
    assert cluster.field(job, "UserId").startswith(USERS[1])
    assert cluster.field(job, "Account") == "science"
    with pytest.raises(RuntimeError, match="Invalid account"):
        cluster.submit("true", "--account=reserve", user=USERS[1])


@dataclass
class Ended:
    """Jobs that were begun together, by what becomes of them."""

    cluster: Cluster
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def ended(cluster: Cluster) -> Iterator[Ended]:
    long = "sleep 600"
    jobs = {
        "time": cluster.submit(long, "-w", "n1"),
        "cancelled": cluster.submit(long, "-w", "n1", user=USERS[0]),
        "node": cluster.submit(long, "-w", "n2", "--no-requeue"),
        "low": cluster.submit(long, "-w", "n4", "-p", "low", "--exclusive"),
        "memory": cluster.submit(
            "python3 -c 'x = bytearray(500 * 2**20); import time; time.sleep(60)'", "--mem=100"
        ),
    }
    until(lambda: all(cluster.state(job) != "PENDING" for job in jobs.values()), what="the start of all")
    cluster.expire(jobs["time"])
    cluster.cancel(jobs["cancelled"])
    cluster.kill_node("n2")
    jobs["high"] = cluster.submit("true", "-w", "n4")
    yield Ended(cluster, jobs)
    cluster.start_node("n2")
    cluster.resume_node("n2")


@pytest.mark.parametrize(
    ("name", "state", "signal"),
    [
        ("cancelled", "CANCELLED by 0", ""),
        ("node", "NODE_FAIL", ""),
        ("low", "PREEMPTED", ""),
        ("high", "COMPLETED", "0:0"),
        ("memory", "FAILED", "0:9"),
        ("time", "TIMEOUT", "0:0"),
    ],
)
def test_what_happens_to_a_job_is_what_slurm_says(ended: Ended, name: str, state: str, signal: str) -> None:
    job = ended.jobs[name]
    assert ended.cluster.ends(job) == state.split()[0]
    asked = ("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,ExitCode")
    until(lambda: ended.cluster.ask(*asked).startswith(state), what="the accounting")
    assert ended.cluster.ask(*asked).strip().endswith(signal)


def test_jobs_outlive_their_controller_and_their_slurmd(plain_cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = plain_cluster.submit(f"until [ -e {gate} ]; do sleep 0.1; done", "-w", "n1")
    until(lambda: plain_cluster.state(job) == "RUNNING", what="its start")
    plain_cluster.stop_controller()
    assert "DOWN" in plain_cluster.ask("scontrol", "ping", check=False)
    plain_cluster.start_controller()
    plain_cluster.crash_slurmd("n1")
    assert plain_cluster.state(job) == "RUNNING"
    plain_cluster.restart_slurmd("n1")
    gate.touch()
    assert plain_cluster.ends(job) == "COMPLETED"


def test_a_drained_node_takes_no_job(plain_cluster: Cluster) -> None:
    plain_cluster.drain("n3")
    job = plain_cluster.submit("true", "-w", "n3")
    until(lambda: "ReqNodeNotAvail" in plain_cluster.ask("squeue", "-h", "-o", "%r"), what="the reason")
    plain_cluster.resume_node("n3")
    assert plain_cluster.ends(job) == "COMPLETED"


def test_a_node_may_see_another_folder_and_have_a_full_disk(plain_cluster: Cluster, tmp_path: Path) -> None:
    seen, full = tmp_path / "seen", tmp_path / "full"
    seen.mkdir()
    full.mkdir()
    (seen / "file").touch()
    script = f"ls {seen}; head -c 200000 /dev/zero >{full}/file || echo full"
    plain_cluster.cover("n1", seen)
    plain_cluster.cover("n1", full, "64k")
    told = {}
    for node in ("n1", "n2"):
        job = plain_cluster.submit(script, "-w", node, f"--output={tmp_path}/{node}")
        assert plain_cluster.ends(job) == "COMPLETED"
        told[node] = (tmp_path / node).read_text()
    plain_cluster.uncover("n1", seen)
    plain_cluster.uncover("n1", full)
    assert told["n1"].split()[-1] == "full"
    assert "file\n" not in told["n1"]
    assert told["n2"] == "file\n"


def test_nothing_is_left_of_a_cluster_whose_tests_are_killed(plain_cluster: Cluster) -> None:
    program = "from services import slurm\nwith slurm.running(accounting=False) as c:\n print(c.folder, flush=True)\n input()"
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert owner.stdout
    folder = owner.stdout.readline().strip()
    assert len(running(folder)) > 6
    owner.kill()
    owner.communicate()
    until(lambda: not running(folder), what="the end of all", detail=lambda: running(folder))
    assert not Path(folder).exists()
