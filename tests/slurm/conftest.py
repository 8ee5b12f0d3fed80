"""The clusters of a session: one with accounting and one without, which start in a few seconds when the first test needs them.

A test that kills nodes or the controller uses one of its own (`services.slurm.running`), or mends what it broke.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from places.conftest import toy_environment  # noqa: F401
from services import slurm
from services.slurm import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """With accounting."""
    with slurm.running() as made:
        yield made


@pytest.fixture(scope="session")
def plain_cluster() -> Iterator[Cluster]:
    """Without accounting."""
    with slurm.running(accounting=False) as made:
        yield made


@pytest.fixture(scope="session")
def broken() -> Iterator[Cluster]:
    """For those who kill its parts, and mend it afterwards."""
    with slurm.running(node_timeout=10) as made:
        yield made
