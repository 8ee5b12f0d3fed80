"""Helpers of the tests of `fair`: the workflow's environment, its scripts as processes, its functions from Python, CWL runners."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import kept
from helpers.paths import CACHE, ROOT
from services import engines

from esap_wf.software import environments
from esap_wf.software.containers import archive
from esap_wf.software.containers import folder as images

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "fair"
SCHEMA = json.loads((WORKFLOW / "params.schema.json").read_text())["properties"]
DEFAULTS: dict[str, Any] = {name: said["default"] for name, said in SCHEMA.items()}
#: a job of seconds
TINY = json.loads((WORKFLOW / "test" / "job.json").read_text())
SELECTION = (
    "reader",
    "momentum_resolution",
    "identification",
    "track_distance",
    "decay_length",
    "pointing",
    "mass_min",
    "mass_max",
    "bins",
)

#: What tests run with the workflow's own Python and modules.
PROGRAMS = Path(__file__).with_name("programs") / "fair"

Done = subprocess.CompletedProcess[str]
#: a script and its arguments
Step = tuple[object, ...]


class Software:
    """Python of the workflow's environment, or of that of other requirements."""

    def __init__(self, requirements: Path = WORKFLOW / "requirements.txt") -> None:
        self.python = environments.build(requirements, CACHE) / "bin" / "python"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self.environment = {
            **kept,
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }

    def script(self, name: str | Path, *arguments: object, cwd: Path, patience: float = 170) -> Done:
        """Run one script of the workflow, or another one by its path without `.py`; for so many seconds."""
        command = [str(self.python), "-B", str(WORKFLOW / "scripts" / f"{name}.py"), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=patience,
            check=False,
        )

    def code(self, text: str, *arguments: object, cwd: Path, patience: float = 240) -> Any:
        """Run lines that import the scripts as modules; the JSON value that they print last."""
        return self._value(
            ["-c", f"import json, sys\nimport numpy as np\n{text}", *map(str, arguments)], cwd, patience
        )

    def program(self, name: str, *arguments: object, cwd: Path, patience: float = 240) -> Any:
        """Run a program of programs/fair, which imports the scripts as modules; the JSON value that it prints last."""
        return self._value([str(PROGRAMS / f"{name}.py"), *map(str, arguments)], cwd, patience)

    def _value(self, words: list[str], cwd: Path, patience: float) -> Any:
        done = subprocess.run(
            [str(self.python), "-B", *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**self.environment, "PYTHONPATH": str(WORKFLOW / "scripts")},
            timeout=patience,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    def steps(self, steps: list[Step], folder: Path) -> None:
        """Run scripts, and steps of programs/fair, one after the other in one process."""
        done = subprocess.run(
            [str(self.python), "-B", str(PROGRAMS.with_name("steps.py"))],
            cwd=folder,
            input=json.dumps([[str(word) for word in step] for step in steps]),
            capture_output=True,
            text=True,
            env={**self.environment, "PYTHONPATH": f"{WORKFLOW / 'scripts'}{os.pathsep}{PROGRAMS}"},
            timeout=170,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def generated(self, *wanted: tuple[Path, int, dict[str, Any]]) -> list[Path]:
        """Files of toy events with their records beside them, of folder, block and changes of parameters each."""
        steps: list[Step] = []
        for folder, block, changes in wanted:
            folder.mkdir(parents=True, exist_ok=True)
            p = {**DEFAULTS, **TINY, **changes}
            steps.append(
                (
                    "generate",
                    "--block",
                    block,
                    "--seed",
                    p["seed"],
                    "--events",
                    p["events_per_file"],
                    "--beam-energy",
                    p["beam_energy"],
                    "--lambda-rate",
                    p["lambda_rate"],
                    "--momentum-resolution",
                    p["momentum_resolution"],
                    "--out",
                    folder / f"toy-{block}.root",
                    "--record",
                    folder / f"record-{block}.json",
                )
            )
        self.steps(steps, wanted[0][0])
        return [folder / f"toy-{block}.root" for folder, block, _ in wanted]

    def generate(self, folder: Path, block: int, **changes: Any) -> Path:
        """One file of toy events with its record beside it."""
        return self.generated((folder, block, changes))[0]

    def simulation(self) -> Path:
        """Counts of a file of the simulation with the default selection, kept between sessions."""

        def make(folder: Path) -> None:
            file = self.generate(folder, 0, lambda_rate=1.0, events_per_file=TINY["simulation_events"])
            self.steps([self.analysis(file, folder / "part.root", folder / "counts.json", DEFAULTS)], folder)

        return (
            kept.made("fair-simulation", [WORKFLOW / "scripts", DEFAULTS, TINY, environments.abi()], make)
            / "counts.json"
        )

    def analysis(
        self, file: Path, part: Path, counts: Path, p: dict[str, Any], record: Path | None = None
    ) -> Step:
        """The analysis of a file from `generate`, or of one with the same events as `record`."""
        options = [word for n in SELECTION for word in (f"--{n.replace('_', '-')}", p[n])]
        of = record or file
        record = of.with_name(f"record-{of.stem.removeprefix('toy-')}.json")
        return ("analyse", "--events", file, "--record", record, *options, "--out", part, "--counts", counts)

    def chain(
        self,
        files: list[Path],
        folder: Path,
        before: Sequence[Step] = (),
        simulation: Path | None = None,
        **changes: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Analysis to validation of files from `generate`, without an engine: verdict, result of the fit.

        `before` are steps that come first; `simulation` has counts for the efficiency, else those of `simulation()` are taken.
        """
        folder.mkdir(parents=True, exist_ok=True)
        p = {**DEFAULTS, **changes}
        parts = [(folder / f"part-{i}.root", folder / f"counts-{i}.json") for i, _ in enumerate(files)]
        steps = [*before]
        steps += [self.analysis(f, part, counts, p) for f, (part, counts) in zip(files, parts, strict=True)]
        steps += [
            (
                "merge",
                "--parts",
                *[a for a, _ in parts],
                "--counts",
                *[b for _, b in parts],
                "--simulated",
                simulation or self.simulation(),
                "--out",
                "merged.root",
                "--summary",
                "summary.json",
            ),
        ]
        return self.fitted(folder, steps, **changes)

    def fitted(
        self, folder: Path, steps: list[Step], **changes: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fit and validation behind other steps, of what was merged in a folder: verdict, and result of the fit."""
        p = {**DEFAULTS, **changes}
        steps = [
            *steps,
            (
                "fit",
                "--merged",
                "merged.root",
                "--summary",
                "summary.json",
                "--background",
                p["background"],
                "--background-order",
                p["background_order"],
                "--out",
                "spectrum.root",
                "--result",
                "fit.json",
            ),
            (
                "validate",
                "--summary",
                "summary.json",
                "--result",
                "fit.json",
                "--tolerance",
                p["tolerance"],
                "--out",
                "validation.json",
            ),
        ]
        self.steps(steps, folder)
        return json.loads((folder / "validation.json").read_text()), json.loads(
            (folder / "fit.json").read_text()
        )


def image() -> Path:
    """The image of the workflow as a root file system, kept between sessions."""
    archived = images.build(images.read_folder(ROOT / "containers" / "fair"), CACHE)
    return (
        kept.made("fair-image", [archived.name], lambda made: archive.unpack(archived, made / "root"))
        / "root"
    )


def runner(engine: str, variable: str) -> Path:
    """The program of an engine, `cwl` or `toil`: that of a variable, else the one of the tests; skips by name if there is none."""
    given = os.environ.get(variable)
    return Path(given) if given else engines.program(engine)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def tiny_outputs(software: Software, cwltool: Path) -> Path:
    """Outputs of a tiny job with toy events by the bare engine, kept between sessions; tests read them."""

    def make(folder: Path) -> None:
        done = run_cwl(cwltool, software, folder, TINY)
        assert done.returncode == 0, done.stderr[-3000:]

    return kept.made("fair", [WORKFLOW, TINY, str(cwltool), environments.abi()], make) / "outputs"


def run_cwl(program: Path, software: Software, folder: Path, job: dict[str, Any], *options: str) -> Done:
    """Run the workflow with a bare runner in a folder, results in `outputs`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(job))
    path = f"{software.environment['PATH']}{os.pathsep}{program.parent}"
    command = [program, "--outdir", "outputs", *options, WORKFLOW / "main.cwl", "job.json"]
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        capture_output=True,
        text=True,
        env={**software.environment, "PATH": path},
        timeout=600,
        check=False,
    )
