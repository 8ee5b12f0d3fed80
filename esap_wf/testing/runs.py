"""What tests look at of a run: its phase, its events, its processes, and whether it runs bare."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from esap_wf.testing.places import Done, Place, of_run


@dataclass
class Ended:
    """A run that several tests look at, and what was reported of it when it had just ended."""

    at: Place
    done: Done
    state: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def run(self) -> Path:
        """Its directory."""
        return Path(self.done.json["dir"])


@dataclass
class Troubled:
    """A run whose engine was killed, and, when it was resumed, its supervisor."""

    at: Place
    run: Path
    jobs: list[int]
    killed: str
    done: Done

    def ended(self) -> Ended:
        """The same as a run that has ended."""
        state = self.at.inside("status", self.run.name, "--json").json
        return Ended(self.at, self.done, state, events(self.run))


def runs_bare(made: Ended, bare: Path) -> None:
    """What was rendered for a run gives the same results elsewhere, without esap-wf."""
    assert made.done.code == 0, made.done.err
    run = made.run
    for name in json.loads((run / "plan.json").read_text())["files"]:
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(run / name, bare / name)
    for name in ("outputs", "logs", "engine"):
        (bare / name).mkdir(exist_ok=True)
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("NXF_", "SNAKEMAKE_", "TOIL_", "CWL_", "ESAP_"))
    }
    subprocess.run(
        ["bash", "command.sh"],
        cwd=bare,
        env=kept,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    ours = {p.relative_to(run): p.read_bytes() for p in (run / "outputs").rglob("*") if p.is_file()}
    assert ours and ours == {
        p.relative_to(bare): p.read_bytes() for p in (bare / "outputs").rglob("*") if p.is_file()
    }


def phase(run: Path) -> str:
    """Phase of a run, from its file."""
    return str(json.loads((run / "state.json").read_text())["phase"])


def events(run: Path, **where: object) -> list[dict[str, Any]]:
    """Events of a run with these fields."""
    log = run / "events.jsonl"
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return of(found, **where)


def of(found: list[dict[str, Any]], **where: object) -> list[dict[str, Any]]:
    """Events with these fields."""
    return [e for e in found if all(e.get(k) == v for k, v in where.items())]


def asleep(run: Path) -> list[int]:
    """What units wait for, found as a supervisor finds what an engine left: by the run's key."""
    sleeping = {p.pid for p in psutil.process_iter(["name"]) if p.info["name"] == "sleep"}
    return [pid for pid in of_run(run) if pid in sleeping] if sleeping else []
