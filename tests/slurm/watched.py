"""Runs on a Slurm of the tests, and a witness: a journal outside of them to which each unit writes when it begins and when it ends."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from helpers.waiting import until
from helpers.workflows import write_workflow
from places.elsewhere import FILES, MANIFEST, PARAMETERS, Elsewhere
from services.slurm import Cluster

from esap_wf.backends.queue import job_key
from esap_wf.runs import states

#: What a unit does: a name in the journal, some seconds, its file, its name again.
_UNIT = (
    'say() {{ printf "%s %s %s %s\\n" "$1" "$2" "$(hostname)" "$SLURM_JOB_ID" >> {witness}; }}; '
    'say begin "$1"; sleep "$2"; echo "unit $1" > "outputs/units/$1.dat" && say end "$1"'
)


@dataclass
class OnSlurm(Elsewhere):
    """
    A place for runs whose configuration knows a Slurm as ``toy``.

    Parameters
    ----------
    on : Cluster
    """

    on: Cluster | None = None

    @property
    def slurm(self) -> Cluster:
        """Where its runs work."""
        assert self.on
        return self.on

    @property
    def folder(self) -> Path:
        """Where pieces work, as this machine and the nodes see it."""
        return self.root / "shared"

    @property
    def witness(self) -> Path:
        """The journal."""
        return self.root / "witness"

    def backend(self) -> list[str]:
        self.folder.mkdir(exist_ok=True)
        conf = self.slurm.environment["SLURM_CONF"]
        settings = {
            "way": "there",
            "folder": str(self.folder),
            "conf": conf,
            "partition": "main",
            "job_wall": "10 min",
        }
        return [
            "[backends.toy]",
            'kind = "slurm"',
            "latency = 1",
            *(f'{k} = "{v}"' for k, v in settings.items()),
        ]

    def there(self) -> list[str]:
        return [*super().there(), 'version = "1.0"']

    @property
    def cut(self) -> str:
        folder = self.root / "cut"
        if not folder.exists():
            unit = _UNIT.format(witness=self.witness)
            texts = {name: f"UNIT = {unit!r}\n{text}" for name, text in FILES.items()}
            write_workflow(folder, PARAMETERS, MANIFEST, files=texts)
        return str(folder)

    def said(self, word: str) -> Counter[str]:
        """How often units have said that they ``begin`` or ``end``."""
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(f"{word} "))

    def jobs_of(self, run: str) -> dict[str, str]:
        """Jobs of a run that wait or work: id → node."""
        told = self.slurm.ask("squeue", "-h", "-o", "%i|%N|%j|%k").splitlines()
        found = (line.split("|", 2) for line in told)
        return {job: node for job, node, rest in found if run in rest or job_key(run) in rest}

    def a_job(self, run: str) -> tuple[str, str]:
        """One that works: its id and its node. A run that has ended has none."""

        def found() -> tuple[str, str] | None:
            assert self.run(run).observe().phase not in states.FINAL, "it has ended"
            return next(((j, n) for j, n in self.jobs_of(run).items() if n), None)

        return until(found, what="a job that works")

    def working(self, run: str) -> list[psutil.Process]:
        """Processes on the nodes that work in a sandbox of a run."""
        found = []
        for node, piece in self.slurm.pieces.items():
            for process in piece.processes() if node not in ("head", "dbd", "sql", "munged") else []:
                with contextlib.suppress(psutil.Error, FileNotFoundError):
                    if str(self.folder) in process.cwd() and run in process.cwd():
                        found.append(process)
        return found

    def clean(self, run: str) -> None:
        """Nothing lost, nothing accepted twice, second executions counted, nothing left at the cluster or here."""
        pieces = self.pieces(run)
        assert all(pieces.accepted(slice_) for slice_ in pieces.slices())
        assert self.accepted(run) == 1
        until(lambda: not self.jobs_of(run), what="no job to be left", detail=lambda: self.jobs_of(run))
        until(lambda: not self.working(run), what="no process to be left", detail=lambda: self.working(run))
        self.nothing_runs(run)
        units = {f"u{i:03}" for i in range(1, self.status(run)["progress"]["units_total"] + 1)}
        assert set(self.said("end")) == units
        told = (self.run(run).dir / "outputs/all.txt").read_text().splitlines()
        assert sorted(told) == [f"unit {unit}" for unit in sorted(units)]
        repeated = {unit: times - 1 for unit, times in self.said("begin").items() if times > 1}
        counted = self.again(run)
        print(f"{run}: units begun again: {repeated or 'none'}; slices counted as begun again: {counted}")
        assert bool(repeated) <= bool(counted), f"{repeated} were begun again, and nobody says so"
