"""The toy place (tests/places/toy_place) with the engine of docs/engine-tutorial.md: installed into a folder, told what is to go wrong, and what it has seen."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from helpers import tutorial
from helpers.paths import ROOT

PACKAGE = ROOT / "tests/places/toy_place"


def install(folder: Path) -> dict[str, str]:
    """Build and install the packages by pip into a folder. The variables by which Python and the shell find them there."""
    place = shutil.copytree(PACKAGE, folder / "place")
    engine = tutorial.write(folder / "engine")
    environment = tutorial.installing(folder / "site")
    pip = [sys.executable, "-m", "pip", "install", str(place), str(engine)]
    subprocess.run(pip, env={**os.environ, **environment}, check=True, stdin=subprocess.DEVNULL, timeout=300)
    program = folder / "miniflow"
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={folder / 'site'} exec {sys.executable} -c "
        "'from miniflow.program import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    return {"PYTHONPATH": environment["PYTHONPATH"], "PATH": environment["PATH"], "MINIFLOW": str(program)}


@dataclass
class ToyCluster:
    """A cluster, as its operator sees it: toy_place/cluster.py says which files mean what."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def fault(self, fault: str, piece: str = "*", **more: object) -> None:
        """Something goes wrong, once."""
        path = self.folder / "faults.json"
        with (self.folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            faults = json.loads(path.read_text()) if path.exists() else []
            part = self.folder / ".faults"
            part.write_text(json.dumps([*faults, {"fault": fault, "piece": piece, **more}]))
            part.replace(path)

    def waiting_faults(self) -> list[dict[str, Any]]:
        """What has not gone wrong yet."""
        path = self.folder / "faults.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    def go_away(self) -> None:
        """It answers no question from now on."""
        (self.folder / "away.json").write_text('{"until": null}')

    def come_back(self) -> None:
        """It answers, lets users in, and begins jobs."""
        for name in ("away.json", "locked-out", "hold"):
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()

    def log(self, **where: object) -> list[dict[str, Any]]:
        """What it was asked (`call`), and what went wrong (`fault`)."""
        path = self.folder / "log.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if all(line.get(k) == v for k, v in where.items())]

    def executions(self) -> dict[str, int]:
        """How often the command of each piece has begun, whether the piece is still there or not."""
        folder = self.folder / "executions"
        return {p.name: p.read_text().count("begin\n") for p in folder.iterdir()} if folder.is_dir() else {}

    def jobs(self) -> list[str]:
        """Keys of the pieces of which it has anything."""
        folder = self.folder / "jobs"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def processes(self) -> list[int]:
        """Living processes of its pieces."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ESAP_WF_PIECE") and self._has(process):
                    found.append(process.pid)
        return found

    def _has(self, process: psutil.Process) -> bool:
        return process.cwd().startswith(str(self.folder)) or process.environ().get("HOME") == str(
            self.folder / "home"
        )

    def end(self) -> None:
        """End what a failed test has left."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
