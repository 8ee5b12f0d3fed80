"""The cluster of the tests is what they take it for: nodes of their own, users, accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
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
