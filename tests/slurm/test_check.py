"""`esap-wf check` of a whole Slurm: one that does what its profile says, and some that don't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from services import engines
from services.slurm import Cluster

pytestmark = pytest.mark.integration


def place(root: Path, cluster: Cluster, **keys: Any) -> Place:
    """With a profile `slurm`, for Snakemake alone."""
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    conf = json.dumps(cluster.environment["SLURM_CONF"])
    profile = f'[backends.slurm]\nkind = "slurm"\npoll = 1\nlatency = 2\nconf = {conf}\n{text}'
    (root / "config.toml").write_text(f"{profile}{engines.configuration('snakemake', slurm=True)}\n")
    return Place(root)


def rows(here: Place, code: int) -> dict[tuple[str, str, str], dict[str, Any]]:
    done = here("check", "slurm", "--wait", "120", "--json")
    assert done.code == code, done
    return {(r["engine"], r["task"], r["way"]): r for r in done.json["checks"]}


def test_one_that_is_good_is_told_so_for_each_task(cluster: Cluster, tmp_path: Path) -> None:
    found = rows(place(tmp_path, cluster, account="science", job_memory="300 MB"), 0)
    assert found["snakemake", "noop", "native"]["ok"], found
    assert not [row for row in found.values() if row["ok"] is False], found
    assert cluster.jobs() == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"partition": "bgi"}, "did you mean big?"),
        ({"account": "scienc"}, "did you mean science?"),
        ({"options": ["--comment=mine"]}, "by it a run finds its own jobs"),
        ({"job_memory": "1 TB"}, "one job needs 1 TB of memory"),
    ],
    ids=["partition", "account", "option", "memory"],
)
def test_one_that_is_not_says_why_before_anything_is_submitted(
    cluster: Cluster, tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    found = rows(place(tmp_path, cluster, **keys), 1)
    refused = [r["reason"] for (engine, _, _), r in found.items() if engine == "snakemake"]
    assert refused
    assert all(words in reason for reason in refused), refused
    assert cluster.jobs() == []
