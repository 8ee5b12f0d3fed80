"""Runs whose engine submits to a Slurm of the tests, in shards, with a witness: a journal outside of them to which each unit writes when it begins and when it ends."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from faults.place import WatchedPlace
from helpers.waiting import until
from services import engines
from services.slurm import Cluster

from esap_wf.authoring import scaffold
from esap_wf.backends.queue import job_key
from esap_wf.runs import states

#: Of a run: as many shards as cores.
PARTS = 8
#: Before and after the work of a unit of the workflow that `esap-wf new workflow --shards` makes.
_BEGIN = '    if a.action == "part":\n'
_WITNESS = """\
    if a.action == "part":
        import socket, time
        def say(word):
            handle = os.open({witness!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            where = os.environ.get("SLURM_JOB_ID", "-")
            os.write(handle, ("%s %d %s %s\\n" % (word, a.number, socket.gethostname(), where)).encode())
            os.fsync(handle)
        say("begin")
        time.sleep({seconds})
"""
_WRITE = 'write(a.output, {"sum": a.step * sum(numbers[a.number :: a.parts])})\n'


@dataclass
class Natively(WatchedPlace):
    """
    A store that the nodes see, and a cluster as the places ``farm`` (the engine here) and ``heads`` (the
    engine is a job).
    """

    on: Cluster | None = None
    seconds: float = 0.7

    def __post_init__(self) -> None:
        conf = self.slurm.environment["SLURM_CONF"]
        text = engines.configuration("snakemake", "nextflow", slurm=True)
        for name, more in (("farm", {}), ("heads", {"head": "job", "head_memory": "700 MB"})):
            keys = {"kind": "slurm", "way": "native", "account": "science", "conf": conf, **more}
            text += f'[backends.{name}]\npoll = 1\nlatency = 2\njob_memory = "300 MB"\n'
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        (self.root / "config.toml").write_text(text)

    @property
    def slurm(self) -> Cluster:
        """Where its jobs work."""
        assert self.on
        return self.on

    @property
    def witness(self) -> Path:
        """The journal."""
        return self.root / "witness"

    @property
    def workflow(self) -> Path:
        """Sums of parts, with the witness in each part."""
        folder = self.root / "witnessed"
        if not folder.exists():
            scaffold.make("witnessed", self.root, shards=True)
            script = folder / "scripts" / "sums.py"
            text = script.read_text()
            assert _BEGIN in text and _WRITE in text
            begin = _WITNESS.format(witness=str(self.witness), seconds=self.seconds)
            text = text.replace(_BEGIN, begin).replace(_WRITE, f'{_WRITE}        say("end")\n')
            script.write_text(text)
            (self.root / "numbers.csv").write_text("".join(f"{n}\n" for n in range(100)))
        return folder

    def begin(self, backend: str, parts: int = PARTS, size: int = 4, cores: int = 2, **options: Any) -> str:
        """Start a run, and leave it alone; its id."""
        given = ["run", self.workflow, "--numbers", self.root / "numbers.csv", "--parts", parts, "--step", 1]
        how = ["--backend", backend, "--shard-size", size, "--cores", cores, "--detach"]
        began = self(*map(str, [*given, *how]), "--json", **options)
        assert began.code == 0, began
        return str(began.json["run"])

    def said(self, word: str) -> Counter[int]:
        """How often units have said that they ``begin`` or ``end``."""
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        return Counter(int(line.split()[1]) for line in lines if line.startswith(f"{word} "))

    def at_work(self, run: str) -> tuple[str, str]:
        """The job of a shard that works: its id and its node. A run that has ended has none."""

        def found() -> tuple[str, str] | None:
            assert self.run(run).observe().phase not in states.FINAL, "it has ended"
            ids = {line.split()[3] for line in self.witness.read_text().splitlines()}
            return next(((job, node) for job, node in self.jobs_at(run).items() if node and job in ids), None)

        return until(found, what="a shard at work", detail=lambda: self.explain(run))

    def jobs_at(self, run: str) -> dict[str, str]:
        """Jobs of a run that wait or work: id → node."""
        told = (
            line.split("|", 2) for line in self.slurm.ask("squeue", "-h", "-o", "%i|%N|%j|%k").splitlines()
        )
        return {job: node for job, node, rest in told if run in rest or job_key(run) in rest}

    def processes(self, job: str) -> Iterator[psutil.Process]:
        """Those of a job."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_JOB_ID") == job:
                    yield process

    def heads(self, run: str) -> Iterator[psutil.Process]:
        """Supervisor, keeper and engine of a run on this machine."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                supervises = run in process.cmdline() and process.pid != os.getpid()
                if supervises or process.environ().get("ESAP_WF_RUN") == run:
                    yield process

    def clean(self, run: str, parts: int = PARTS) -> None:
        """Nothing lost, nothing accepted twice, what was executed again is counted, and nothing is left."""
        until(lambda: not self.jobs_at(run), what="no job to be left", detail=lambda: self.jobs_at(run))
        self.nothing_runs(run)
        assert self.accepted(run) == 1
        result = json.loads((self.run(run).dir / "outputs/result.json").read_text())
        assert result == {"sum": float(sum(range(100))), "parts": parts}
        assert set(self.said("end")) == set(range(parts))
        progress = self.status(run)["progress"]
        assert (progress["units_done"], progress["units_total"]) == (parts, parts)
        begun = self.said("begin")
        again = {unit: times - 1 for unit, times in begun.items() if times > 1}
        print(f"{run}: units begun again: {again or 'none'}; counted: {progress['second_executions']}")
        # of those that were stopped when their job was to end, nobody doubts that they were not done
        stopped = self.stopped(run)
        lost = sum(times - min(times, stopped[unit]) for unit, times in again.items())
        self.confirm_counted(run, "part", lost)
        assert not self.unexplained(run), self.explain(run)

    def confirm_counted(self, run: str, step: str, lost: int) -> None:
        """
        Second executions are those of the witness. A runner writes down that a unit begins before the unit
        does: one that is killed in between is counted although the witness has not seen it.
        """
        begun, counted = self.said("begin"), self.status(run)["progress"]["second_executions"]
        started = self.journalled(run, step, "start")
        unseen = sum(max(0, times - begun[unit]) for unit, times in started.items())
        assert lost <= counted <= lost + unseen, (lost, counted, unseen)

    def unexplained(self, run: str) -> set[str]:
        """Jobs in which a unit was cut off and of whose end the run's record says nothing."""
        lines = self.witness.read_text().splitlines()
        said = Counter((unit, job, word) for word, unit, _, job in map(str.split, lines))
        cut = {j for (u, j, word), n in said.items() if word == "begin" and n > said[u, j, "end"]}
        record = (self.run(run).dir / "events.jsonl").read_text().splitlines()
        told = [e for e in map(json.loads, record) if e.get("state") or e.get("reason") or e.get("detail")]
        named = {e.get("batch") for e in told}
        words = {word.strip(",;:()") for e in told for word in str(e.get("detail") or "").split()}
        return cut - named - words

    def stopped(self, run: str, step: str = "part") -> Counter[int]:
        """Units that runners have stopped, by their journals."""
        return self.journalled(run, step, "stopped")

    def journalled(self, run: str, step: str, kind: str) -> Counter[int]:
        """How often runners have written that of units."""
        folder = self.run(run).dir / "work/shards" / step
        lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
        return Counter(int(json.loads(line)["unit"]) for line in lines if f'"kind":"{kind}"' in line)
