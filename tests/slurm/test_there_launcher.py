"""Slurm, with a job for each piece, answers as every place must."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from services.slurm import Cluster

from esap_wf.backends import Profile
from esap_wf.testing import LauncherSuite

pytestmark = pytest.mark.integration


class TestThere(LauncherSuite):
    cluster: ClassVar[Cluster]

    @pytest.fixture(autouse=True)
    @classmethod
    def reached(cls, cluster: Cluster, tmp_path: Path) -> Iterator[None]:
        cls.cluster = cluster
        cls.environment = cluster.environment
        yield
        assert list((tmp_path / "place").rglob("*")) == [], "nothing is left there"

    @classmethod
    def profile(cls, root: Path) -> Profile:
        conf = cls.cluster.environment["SLURM_CONF"]
        return Profile(
            name="cluster",
            kind="slurm",
            settings={"way": "there", "folder": str(root), "conf": conf, "latency": 1},
        )
