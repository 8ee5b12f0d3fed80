"""Runs that work at a toy cluster, and the same runs here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.place import WatchedPlace
from helpers.processes import kill
from helpers.toy import ToyCluster
from helpers.waiting import until
from helpers.workflows import write_workflow

from esap_wf.runs.pieces import Pieces, second_executions

#: What each slice of a run of `CUT` does, with the engine of docs/engine-tutorial.md: it begins in a moment.
UNIT = 'sleep "$2"; echo "unit $1" > "outputs/units/$1.dat"'
FILES = {
    "main.flow": """\
from pathlib import Path
def units(config, first, last):
    for i in range(first, last + 1):
        yield ("unit", f"u{i:03}", ["bash", "-c", UNIT, "-", f"u{i:03}", str(config["seconds"])], f"outputs/units/u{i:03}.dat")
def stages(config):
    yield list(units(config, 1, config["units"]))
    files = [f"outputs/units/u{i:03}.dat" for i in range(1, config["units"] + 1)]
    yield [("all", None, ["bash", "-c", 'cat "$@" > outputs/all.txt', "-", *files], "outputs/all.txt")]
""",
    "map.flow": """\
def stages(config):
    n, s, k = config["units"], config["slice"], config["slices"]
    yield [
        ("unit", f"u{i:03}", ["bash", "-c", UNIT, "-", f"u{i:03}", str(config["seconds"])], f"outputs/units/u{i:03}.dat")
        for i in range((s - 1) * n // k + 1, s * n // k + 1)
    ]
""",
    "join.flow": """\
def stages(config):
    files = sorted(config["inputs"]["unit_files"])
    yield [("all", None, ["bash", "-c", 'cat "$@" > outputs/all.txt', "-", *files], "outputs/all.txt")]
""",
}
MANIFEST = {
    "implementations": [
        {
            "engine": "miniflow",
            "file": "main.flow",
            "map": {"file": "map.flow", "gives": {"unit_files": "outputs/units/*.dat"}},
            "join": {"file": "join.flow"},
        }
    ],
    "software": [{"installed": ["bash"]}],
    "units": {"axis": "unit", "count": "units", "steps": ["unit"]},
    "outputs": [{"name": "all", "path": "outputs/all.txt"}, {"name": "units", "path": "outputs/units/*.dat"}],
}
PARAMETERS = {
    "units": {"type": "integer", "title": "Units", "default": 6, "minimum": 1},
    "seconds": {"type": "number", "title": "Seconds", "default": 0},
}
ENGINES = {"snakemake": "snakemake", "cwl": "cwltool", "toil": "toil-cwl-runner"}


@dataclass
class Elsewhere(WatchedPlace):
    """
    A place for runs whose configuration knows a toy cluster.

    Parameters
    ----------
    engines : dict
        Engine → its program at the cluster.
    software : sequence of str
        Folders that come first on the PATH there.
    profile : str
        Further lines of the cluster's profile (TOML).
    """

    engines: dict[str, str] = field(default_factory=dict)
    software: Sequence[str] = (str(Path(sys.executable).parent),)
    profile: str = "poll = 0.1"

    def __post_init__(self) -> None:
        (self.root / "config.toml").write_text(
            "\n".join([*self.backend(), self.profile, *self.there()]) + "\n"
        )

    def backend(self) -> list[str]:
        """How its profile begins."""
        self.cluster = ToyCluster(self.root / "cluster")
        return ["[backends.toy]", 'kind = "toy"', f'folder = "{self.cluster.folder}"']

    def there(self) -> list[str]:
        """What its profile says of engines and software."""
        programs = {"miniflow": self.extra["MINIFLOW"], **self.engines}
        lines = ["[backends.toy.software]", f"path = {json.dumps(list(self.software))}"]
        for name, path in programs.items():
            lines += [f"[backends.toy.engines.{name}]", f'path = "{path}"']
        return lines

    @property
    def cut(self) -> str:
        """A workflow that can be cut into slices, and begins in a moment."""
        folder = self.root / "cut"
        if not folder.exists():
            texts = {n: f"UNIT = {UNIT!r}\n{t}" for n, t in FILES.items()}
            write_workflow(folder, PARAMETERS, MANIFEST, files=texts)
        return str(folder)

    def begin(self, *words: str, slices: int = 3, **options: Any) -> str:
        """Start a run of `cut` at the cluster, and leave it alone."""
        given = ["run", self.cut, "--backend", "toy", "--slices", str(slices), *words, "--detach", "--json"]
        done = self(*given, **options)
        assert done.code == 0, done
        return str(done.json["run"])

    def pieces(self, run: str) -> Pieces:
        """What the run directory records of them."""
        return Pieces(self.run(run).dir, self.opened)

    def again(self, run: str) -> int:
        """Second executions, as the run directory counts them."""
        return second_executions(self.pieces(run))

    def completed(self, run: str, times: int = 0) -> None:
        """It ends well, after it was resumed so often."""
        assert self.resume_until_completed(run) == times, self.explain(run)
        self.clean(run)

    def clean(self, run: str) -> None:
        """Each slice is accepted once, and nothing is left at the cluster, nor here."""
        pieces = self.pieces(run)
        for slice_ in pieces.slices():
            accepted = pieces.accepted(slice_)
            assert accepted is not None, slice_
            assert accepted.attempt in [a.attempt for a in pieces.attempts(slice_)]
        assert self.accepted(run) == 1
        until(lambda: not self.cluster.jobs(), what="nothing to be left", detail=self.cluster.jobs)
        self.nothing_runs(run)
        assert not list((self.root / "cache/places/toy/runs").glob("*.json"))

    def executed(self, run: str) -> dict[str, int]:
        """Slice and attempt → how often its command began."""
        return {
            key.split(".", 2)[2]: times
            for key, times in self.cluster.executions().items()
            if key.startswith(f"{run}.")
        }

    def kill_supervisor(self, run: str) -> None:
        """SIGKILL to the supervisor alone."""
        pid = self.supervisor(run)
        assert pid
        kill([pid])
        until(lambda: self.supervisor(run) != pid or not Path(f"/proc/{pid}").exists(), what="its end")

    def outputs(self, run: str) -> dict[str, str]:
        """Checksums of the results."""
        return self.results(run)

    def told(self, run: str) -> list[dict[str, Any]]:
        """Its events."""
        return [json.loads(line) for line in (self.run(run).dir / "events.jsonl").read_text().splitlines()]
