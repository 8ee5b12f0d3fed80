from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT

from esap_wf.models.run import Phase, RunRecord, State, now
from esap_wf.runs.processes import Holder
from esap_wf.runs.store import Run, Store

PROGRAMS = Path(__file__).with_name("programs")
CRASH_AT = ROOT / "tests" / "faults" / "crash_at.py"


class Maker:
    """Makes runs as `launch` does, without an engine."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def record(self, run_id: str, **more: object) -> RunRecord:
        fields: dict[str, Any] = {
            "workflow": "toy",
            "version": "1",
            "created": now(),
            "owner": "me",
            "host": "here",
        } | more
        return RunRecord(id=run_id, **fields)

    def __call__(self, **more: object) -> Run:
        run_id = str(more.pop("id", None) or self.store.new_id())
        return self.store.publish(
            self.store.staging(run_id), self.record(run_id, **more), State(phase=Phase.PENDING)
        )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


@pytest.fixture
def make(store: Store) -> Maker:
    return Maker(store)


@pytest.fixture
def gone() -> Holder:
    """A process of this machine that has ended."""
    from esap_wf.runs.processes import me

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    here = me()
    return Holder(host=here.host, boot_id=here.boot_id, pid=child.pid, start=1, space=here.space)


@pytest.fixture
def far() -> Holder:
    """A process of another machine: alive or not, nobody can ask."""
    return Holder(host="far-away", boot_id="another-boot", pid=1, start=1)


def program(name: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    """A real process that runs a file of programs/ with the project importable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, str(PROGRAMS / f"{name}.py"), *args],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def mounted(path: Path, options: str) -> bool:
    """Mount a tmpfs; False where this user may not."""
    path.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        return False
    return (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True
        ).returncode
        == 0
    )


def unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", str(path)], capture_output=True)
