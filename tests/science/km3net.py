"""What tests of the workflow `km3net` share: its software, its scripts, a bare Nextflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from helpers.paths import CACHE, ROOT

from esap_wf.software import environments

WORKFLOW = ROOT / "workflows" / "km3net"
SCHEMA = json.loads((WORKFLOW / "params.schema.json").read_text())
DEFAULTS: dict[str, Any] = {name: rule["default"] for name, rule in SCHEMA["properties"].items()}
#: seconds; a dense detector, where a few events suffice
TINY = {
    "simulated_files": 2,
    "events_per_file": 25,
    "layout": "orca",
    "strings": 7,
    "energy_min": 200,
    "energy_max": 3000,
    "noise_fraction": 0.1,
}

#: What tests run with the workflow's own Python and modules.
PROGRAMS = Path(__file__).with_name("programs") / "km3net"

Done = subprocess.CompletedProcess[str]


class Software:
    """The workflow's environment, built once by esap-wf itself."""

    def __init__(self) -> None:
        self.python = environments.build(WORKFLOW / "requirements.txt", CACHE) / "bin" / "python"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "NXF_"))}
        self.environment = {
            **kept,
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        self.data = next(self.python.parents[1].glob("lib/python3*/site-packages/km3net_testdata/data"))

    def script(self, name: str, *arguments: object, cwd: Path) -> Done:
        """Call a script of the workflow."""
        command = [str(self.python), "-B", str(WORKFLOW / "scripts" / f"{name}.py"), *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, env=self.environment, timeout=300, check=False
        )

    def code(self, text: str, cwd: Path, *arguments: object) -> Any:
        """Lines of Python that import the workflow's modules and print one JSON value last."""
        start = f"import json, sys\nimport numpy as np\nfrom pathlib import Path\n{text}"
        return json.loads(self._run(cwd, ["-c", start, *map(str, arguments)]).splitlines()[-1])

    def program(self, name: str, cwd: Path, *arguments: object) -> Any:
        """Run a program of programs/km3net, which imports the scripts as modules; the JSON value that it prints last."""
        said = self._run(cwd, [str(PROGRAMS / f"{name}.py"), *map(str, arguments)])
        return json.loads(said.splitlines()[-1])

    def _run(self, cwd: Path, words: list[str], given: str = "") -> str:
        done = subprocess.run(
            [str(self.python), "-B", *words],
            cwd=cwd,
            input=given,
            capture_output=True,
            text=True,
            env={**self.environment, "PYTHONPATH": str(WORKFLOW / "scripts")},
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def chain(
        self, folder: Path, events: Path, geometry: Path | None, **parameters: Any
    ) -> tuple[dict[str, Any], list[str]]:
        """The steps for one file, up to summary and verdict; results are in ``folder``. Gives the summary and what the steps said."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "p.json").write_text(json.dumps({"parameters": {**DEFAULTS, **parameters}}))
        detector = [] if geometry is None else ["--detector", geometry]
        steps: list[tuple[str, list[object]]] = [
            ("filter", ["--parameters", "p.json", "--events", events, "--out", "f.h5"]),
            ("calibrate", ["--events", "f.h5", *detector, "--out", "c.h5"]),
            (
                "reconstruct",
                [
                    "--parameters",
                    "p.json",
                    "--events",
                    "c.h5",
                    *detector,
                    "--file",
                    1,
                    "--out",
                    "tracks/t.h5",
                ],
            ),
            (
                "summary",
                [
                    "--parameters",
                    "p.json",
                    "--tracks",
                    "tracks",
                    "--table",
                    "events.fits",
                    "--out",
                    "summary.json",
                ],
            ),
            ("validate", ["--table", "events.fits", "--summary", "summary.json", "--out", "validation.json"]),
        ]
        shutil.rmtree(folder / "tracks", ignore_errors=True)
        (folder / "tracks").mkdir()
        said = self.steps(folder, steps)
        return json.loads((folder / "summary.json").read_text()), said

    def steps(self, folder: Path, steps: list[tuple[str, list[object]]]) -> list[str]:
        """What scripts say that run one after the other, in one process: much of a step's time is the import of its packages."""
        return self._run(folder, [str(PROGRAMS.with_name("steps.py"))], _words(steps)).split("\f")[1:]

    def attempts(self, folder: Path, steps: list[tuple[str, list[object]]]) -> list[str]:
        """What scripts end with, in one process: a message, or nothing if they succeed."""
        said = self._run(folder, [str(PROGRAMS.with_name("steps.py")), "--attempts"], _words(steps))
        ended: list[str] = json.loads(said.splitlines()[-1])
        return ended

    def simulate(self, folder: Path, **parameters: Any) -> tuple[Path, Path]:
        """A file of toy events and the detector file that belongs to it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "s.json").write_text(json.dumps({"parameters": {**DEFAULTS, **parameters}}))
        words = ["--parameters", "s.json", "--file"]
        detector = ["--detector", "toy.detx"]
        self.steps(
            folder,
            [
                ("simulate", [*words, 0, "--out", "toy.detx"]),
                ("simulate", [*words, 1, *detector, "--out", "events.h5"]),
            ],
        )
        return folder / "events.h5", folder / "toy.detx"


def _words(steps: list[tuple[str, list[object]]]) -> str:
    return json.dumps([[name, *map(str, arguments)] for name, arguments in steps])


def run_nextflow(
    program: Path, software: Software, folder: Path, parameters: dict[str, Any], *options: str
) -> Done:
    """The bare engine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(parameters))
    command = [
        str(program),
        "run",
        str(WORKFLOW / "main.nf"),
        "-params-file",
        "params.json",
        "-ansi-log",
        "false",
        "-offline",
        *options,
    ]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env=software.environment,
        timeout=400,
        check=False,
    )
