"""
What runs cost on a Slurm: ``python benchmarks/slurm.py [--quick]``. It is the real one of the tests, on
loopback (tests/services/install.sh gets its packages).

- A unit in a shard, beside a job for each unit: CPU time of all there is, the nodes' and esap-wf's too.
- The wall time of units that sleep, beside that of as many workers which do nothing else.
- How often the engine calls ``sbatch`` for a job, and how often ``squeue`` is called in all, and for a look
  at 10^4 jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import measure
import psutil
from overhead import rendered

sys.path.insert(0, str(measure.ROOT / "tests"))

from services import engines, slurm

PER_UNIT, WALL, CALLS, LOOK = 0.05, 1.15, 1.0, 1.0
SLOTS = 8
COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "sinfo", "scancel", "sacctmgr")


@dataclass(frozen=True)
class Run:
    """CPU and wall seconds of a run, its jobs at Slurm, calls of ``sbatch`` for them, and of ``squeue``."""

    units: int
    cpu: float
    wall: float
    jobs: int
    submitted: int
    squeue: int


@dataclass
class Bench:
    """A cluster, a store that its nodes see, and commands that count themselves."""

    cluster: slurm.Cluster
    folder: Path

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name in COMMANDS:
            (programs / name).write_text(
                f'#!/bin/sh\necho {name} >>"{self.counts}"\nexec "{shutil.which(name)}" "$@"\n'
            )
            (programs / name).chmod(0o755)
        self.environment = measure.environment(
            self.folder,
            **self.cluster.environment,
            ESAP_WF_CACHE=str(measure.CACHE),
            PATH=f"{programs}:{os.environ['PATH']}",
        )
        (self.folder / "config").write_text(
            "[backends.cluster]\n"
            'kind = "slurm"\nway = "native"\npartition = "main"\naccount = "science"\n'
            f'latency = 2\njob_memory = "300 MB"\nconf = "{self.cluster.environment["SLURM_CONF"]}"\n'
            + engines.configuration("snakemake", slurm=True)
        )

    @property
    def counts(self) -> Path:
        """A line for each call of a command."""
        return self.folder / "calls"

    def calls(self) -> Counter[str]:
        return Counter(self.counts.read_text().split() if self.counts.exists() else ())

    def run(self, units: int, seconds: float, size: int) -> Run:
        """A run of noop."""
        before, nodes = self.calls(), self.nodes()
        given = ["noop", "--units", str(units), "--seconds", str(seconds), "--engine", "snakemake"]
        there = ["--backend", "cluster", "--cores", str(SLOTS), "--shard-size", str(size)]
        command = [measure.ESAP_WF, "run", *given, *there, "--if-exists", "rerun", "--detach", "--json"]
        used = measure.cost(command, self.environment)
        folder = Path(json.loads(used.text)["dir"])
        state = json.loads((folder / "state.json").read_text())
        if state["phase"] != "COMPLETED":
            raise SystemExit(f"{' '.join(command)}: {state['phase']}: {state.get('reason')}")
        wall = measure.between(state["started"], state["ended"])
        submitted = len((folder / "engine" / "submitted.jsonl").read_text().splitlines())
        jobs = len(self.cluster.ask("squeue", "-h", "--states=all", "-o", "%j|%k").split(folder.name)) - 1
        cpu = used.cpu + self.nodes() - nodes
        return Run(units, cpu, wall, jobs, submitted, (self.calls() - before)["squeue"])

    def bare(self, units: int) -> Run:
        """The same by the bare engine: `bash command.sh` in a copy of what was rendered last."""
        made = max((self.folder / "store" / "runs").glob("*/*"), key=lambda path: path.stat().st_mtime)
        copy = rendered(made, self.folder / f"bare-{units}")
        (copy / "engine" / "bin").mkdir(parents=True)
        before, nodes = self.calls(), self.nodes()
        used = measure.cost(["bash", "command.sh"], self.environment, copy)
        calls = self.calls() - before
        cpu = used.cpu + self.nodes() - nodes
        return Run(units, cpu, used.wall, calls["sbatch"], calls["sbatch"], calls["squeue"])

    def nodes(self) -> float:
        """CPU seconds that the nodes have used until now, those of ended jobs too."""
        seconds = 0.0
        for name in (*slurm.NODES, slurm.BIG, slurm.GPU):
            for process in self.cluster.pieces[name].processes():
                with suppress(psutil.Error):
                    t = process.cpu_times()
                    seconds += t.user + t.system + t.children_user + t.children_system
        return seconds

    def look(self, jobs: int) -> tuple[int, float, float]:
        """Questions that one look at so many jobs takes, CPU seconds of asking, and of Slurm's command."""
        from esap_wf.backends.slurm import questions
        from esap_wf.backends.slurm.commands import Commands
        from esap_wf.models.place import Profile

        os.environ |= self.cluster.environment
        settings = {"commands": str(self.folder / "bin"), "conf": self.cluster.environment["SLURM_CONF"]}
        commands = Commands(Profile(name="cluster", kind="slurm", settings=settings))
        array = self.cluster.submit("true", "--hold", f"--array=0-{jobs - 1}")
        before, begin = self.calls(), os.times()
        found = questions.active(commands)
        end = os.times()
        self.cluster.cancel(array)
        if len(found) != jobs:
            raise SystemExit(f"{len(found)} jobs were seen, not {jobs}")
        asked = end.children_user + end.children_system - begin.children_user - begin.children_system
        return (self.calls() - before).total(), end.user + end.system - begin.user - begin.system, asked


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("looking", "units", "sleeping"), help="One table.")
    given = parser.parse_args()
    quick, only = given.quick, given.only
    if why := slurm.why_not():
        print(f"not measured: there is no Slurm here: {why}")
        return
    with (
        slurm.running() as cluster,
        tempfile.TemporaryDirectory(prefix="esap-wf-bench-") as name,
    ):
        bench = Bench(cluster, Path(name))
        if only in (None, "looking"):
            looking(bench, 1000 if quick else 10_000)
        if only in (None, "units"):
            per_unit(bench, *((200, 8) if quick else (1000, 60)))
        if only in (None, "sleeping"):
            sleeping(bench, *((40, 2.0) if quick else (400, 10.0)))


def looking(bench: Bench, jobs: int) -> None:
    """One question, whatever the number of jobs."""
    questions, own, asked = bench.look(jobs)
    row = [f"{jobs} jobs", str(questions), f"{own:.2f}", f"{asked:.2f}", measure.verdict(questions, LOOK)]
    header = ["a look at", "questions", "CPU s of esap-wf", "CPU s of squeue", f"≤ {LOOK:g} question"]
    measure.show("Watching jobs", header, [row])


def per_unit(bench: Bench, many: int, few: int) -> None:
    """Shards beside a job for each unit, by esap-wf and by the bare plug-in."""
    bench.run(SLOTS, 0, 1)
    runs = {
        f"{many} units in shards": bench.run(many, 0, -(-many // SLOTS)),
        f"{few} units, a job each": bench.run(few, 0, 1),
        f"{few} units, a job each, by the bare plug-in": bench.bare(few),
    }
    rows = []
    for title, run in runs.items():
        each = run.cpu / run.units
        target = measure.verdict(each, PER_UNIT) if "shards" in title else ""
        row = [
            title,
            str(run.jobs),
            f"{run.cpu:.1f}",
            f"{each:.3f}",
            target,
            f"{run.submitted / run.jobs:.2f}",
        ]
        rows.append([*row, str(run.squeue), f"{run.wall:.0f}"])
    header = ["noop", "jobs", "CPU s", "a unit", f"≤ {PER_UNIT} s", "sbatch a job", "squeue", "wall s"]
    measure.show("A unit's cost", header, rows)


def sleeping(bench: Bench, units: int, seconds: float) -> None:
    """Units that sleep, on eight slots."""
    ideal = units * seconds / SLOTS
    run = bench.run(units, seconds, -(-units // SLOTS))
    ratio = run.wall / ideal
    row = [f"{units} × {seconds:g} s", str(run.jobs), f"{ideal:.0f}", f"{run.wall:.0f}", f"{ratio:.2f}"]
    row += [measure.verdict(ratio, WALL), f"{run.submitted / run.jobs:.2f}"]
    header = ["units", "jobs", "ideal s", "wall s", "ratio", f"≤ {WALL}", "sbatch a job"]
    measure.show(f"Units that sleep, on {SLOTS} slots", header, [row])


if __name__ == "__main__":
    main()
