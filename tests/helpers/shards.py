"""The shard runner of rules/, started as an engine's job starts it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from helpers.paths import ROOT

RUNNER = ROOT / "rules" / "shard"


def module(name: str) -> Any:
    """A module of the runner; in a job its folder is the first on the path."""
    sys.path.insert(0, str(RUNNER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RUNNER))


class Shard:
    """
    A folder with a list of units, in which a runner can be started.

    Parameters
    ----------
    folder : Path
    units : iterable
        Names of units, or their values.
    """

    def __init__(self, folder: Path, units: Iterable[str | Mapping[str, Any]]) -> None:
        self.folder = folder
        self.write(units)

    def write(self, units: Iterable[str | Mapping[str, Any]]) -> None:
        """The list of units."""
        records = [{"unit": unit} if isinstance(unit, str) else dict(unit) for unit in units]
        (self.folder / "units.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")

    def arguments(self, *options: str, command: Iterable[str] = ()) -> list[str]:
        """Those of a runner, with a result and a log for each unit."""
        return [
            *(sys.executable, "-SB", str(RUNNER), "--step", "unit", "--journal", "journals"),
            *("--result", "made/{unit}.txt", "--log", "logs/{unit}.log", "--manifest", "manifest.json"),
            *([] if "--numbers" in options else ["--units", "units.jsonl"]),
            *options,
            *(["--", *command] if command else []),
        ]

    def start(self, *options: str, command: Iterable[str] = ()) -> subprocess.Popen[str]:
        """A runner that is at work."""
        return subprocess.Popen(
            self.arguments(*options, command=command),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, command: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
        """A runner to its end."""
        return subprocess.run(
            self.arguments(*options, command=command),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def manifest(self) -> dict[str, dict[str, Any]]:
        """What it says of each unit."""
        units = json.loads((self.folder / "manifest.json").read_text("utf-8"))["units"]
        assert len({unit["unit"] for unit in units}) == len(units)
        return {unit["unit"]: unit for unit in units}

    def journals(self) -> list[Path]:
        """Of all attempts."""
        return sorted((self.folder / "journals" / "unit").glob("*.jsonl"))

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """What all journals say of one kind, the oldest first."""
        found = []
        for journal in self.journals():
            for raw in journal.read_bytes().splitlines():
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue
                if isinstance(line, dict) and line.get("kind") == kind:
                    found.append(line)
        return found
