"""Snakemake as a user starts it, with the plug-in on PYTHONPATH. One start costs 1.5 s: results are shared."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "executors" / "snakemake-logger-plugin-esap" / "src"
SNAKEMAKE = Path(sys.prefix) / "bin" / "snakemake"
SECRET = "hunter2-in-a-command-line"


@dataclass
class Run:
    """A finished engine run."""

    dir: Path
    code: int
    stderr: str
    text: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, event: str, **where: Any) -> list[dict[str, Any]]:
        """Return the events of a kind, optionally of one rule."""
        return [
            e for e in self.events if e["event"] == event and all(e.get(k) == v for k, v in where.items())
        ]

    def document(self, path: str) -> Any:
        """Return a JSON file of the run."""
        return json.loads((self.dir / path).read_text(encoding="utf-8"))


def environment() -> dict[str, str]:
    """Return a user's environment with the plug-in, and Python first on PATH as in a rendered run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": str(PLUGIN), "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}


def start(
    directory: Path, *arguments: str, snakefile: Path | None = None, logger: bool = True
) -> subprocess.Popen[str]:
    """Start Snakemake in `directory`, in a session of its own and with SIGINT as a terminal has it."""
    command = [str(SNAKEMAKE), "--cores", "2", "--scheduler", "greedy", "--latency-wait", "0"]
    command += ["--snakefile", str(snakefile)] if snakefile else []
    command += ["--logger", "esap", "--logger-esap-path", "events.jsonl"] if logger else []
    return subprocess.Popen(
        [*command, *arguments],
        cwd=directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(directory: Path, process: subprocess.Popen[str]) -> Run:
    """Wait for the engine and read what it left."""
    _, stderr = process.communicate(timeout=300)
    path = directory / "events.jsonl"
    text = path.read_text(encoding="ascii") if path.exists() else ""
    return Run(directory, process.returncode, stderr, text, list(events_of(text)))


def events_of(text: str) -> Iterator[dict[str, Any]]:
    """Yield the events, skipping a line that was cut off."""
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def snakemake(directory: Path, *arguments: str, snakefile: Path | None = None, logger: bool = True) -> Run:
    """Run Snakemake to its end."""
    return finish(directory, start(directory, *arguments, snakefile=snakefile, logger=logger))


def configure(directory: Path, **config: Any) -> str:
    """Write a configuration (JSON is YAML) and return its name."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    return "config.yaml"
