"""A real Slurm for the tests: a controller and six nodes on loopback, each a host of its own as far as processes and host names go.

Tests use `running()`, or the fixtures of ``tests/slurm``. It is up in a quarter of a second without accounting, in two seconds with it.

Memory is watched without control groups (``OverMemoryKill``): a job that uses more than it asked for is FAILED there, by signal 9 (a step of
`srun`: exit code 137), with the words "exceeded memory limit" in its output; only a site with control groups says OUT_OF_MEMORY. A time limit is
looked at every 30 seconds. While the controller is away, commands wait for ten seconds before they say so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import Cluster
from .configuration import BIG, GPU, NODES
from .users import USERS

__all__ = ["BIG", "GPU", "NODES", "USERS", "Cluster", "running", "why_not"]

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_NEEDED = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "unshare": "util-linux",
    "useradd": "passwd",
}
_NEEDED_FOR_ACCOUNTING = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}


def why_not(accounting: bool = True) -> str:
    """Why there can be none here; empty if there can."""
    if os.geteuid() != 0:
        return "it is started by root"
    for program, package in {**_NEEDED, **(_NEEDED_FOR_ACCOUNTING if accounting else {})}.items():
        if shutil.which(program, path=_PATH) is None:
            return f"there is no {program} (apt-get install {package})"
    Path("/etc/slurm").mkdir(exist_ok=True)
    tried = [
        "unshare",
        "--pid",
        "--uts",
        "--mount",
        "--mount-proc",
        "--fork",
        "mount",
        "--bind",
        "/etc",
        "/etc/slurm",
    ]
    done = subprocess.run(tried, capture_output=True, text=True, check=False)
    return f"no namespaces can be made: {done.stderr.strip()}" if done.returncode else ""


@contextlib.contextmanager
def running(*, accounting: bool = True, **more: Any) -> Iterator[Cluster]:
    """
    A cluster; the test is skipped by name if it can't be had.

    Parameters
    ----------
    accounting : bool
        Whether there is a database.
    **more
        Further parameters of `Cluster`.
    """
    if why := why_not(accounting):
        pytest.skip(f"Slurm: {why}")
    made = Cluster(accounting=accounting, **more)
    try:
        made.start()
        yield made
    finally:
        made.stop()
