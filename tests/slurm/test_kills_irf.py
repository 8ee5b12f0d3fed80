"""
A thousand units of `irf` in shards, whose engine submits to Slurm, while ten things are killed or taken away one after the other: nothing is
lost, nothing counts twice, no job is left, and units that were executed again are counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from faults.conftest import end
from helpers.paths import CACHE, ROOT
from helpers.waiting import until
from services.slurm import Cluster

from esap_wf.models.run import Phase
from esap_wf.software import environments

from .test_kills_native import FROM_HERE, Strike
from .witnessed import Natively

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.science, pytest.mark.soak]

UNITS, STRIKES, HOURS = 1000, 10, 1800.0
#: In its place of the script: what a unit does, between two lines in the witness.
_UNIT = "def unit(values: Mapping[str, Any], results: Mapping[str, str]) -> None:\n"
_WITNESS = """\
def unit(values, results):
    import os, socket
    def say(word):
        handle = os.open({witness!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        where = os.environ.get("SLURM_JOB_ID", "-")
        os.write(handle, ("%s %d %s %s\\n" % (word, values["number"], socket.gethostname(), where)).encode())
        os.close(handle)
    say("begin")
    _unit(values, results)
    say("end")


def _unit(values: Mapping[str, Any], results: Mapping[str, str]) -> None:
"""
_ALL = "".join(
    f'        "{name}",\n'
    for name in (
        *("work/verdict.txt", "outputs/irf.fits", "outputs/benchmarks.fits", "outputs/validation.json"),
        *("outputs/report.html", "outputs/production.json", "outputs/production.md"),
    )
)


@dataclass
class Irf(Natively):
    """The seed blocks of `irf` and the list of all events; the analysis of some hundred showers means nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.software = environments.build(ROOT / "workflows/irf/requirements.txt", CACHE) / "bin"
        self.extra["PATH"] = f"{self.software}:{os.environ['PATH']}"

    @property
    def workflow(self) -> Path:
        folder = self.root / "workflows" / "irf"
        if not folder.exists():
            shutil.copytree(ROOT / "workflows" / "irf", folder)
            shutil.copytree(ROOT / "rules", self.root / "rules")
            script, snakefile = folder / "scripts" / "simulate.py", folder / "Snakefile"
            text, rules = script.read_text(), snakefile.read_text()
            assert _UNIT in text and _ALL in rules
            script.write_text(text.replace(_UNIT, _WITNESS.format(witness=str(self.witness))))
            snakefile.write_text(rules.replace(_ALL, '        "work/events.fits",\n'))
            manifest = folder / "workflow.yaml"
            kept, _, _ = manifest.read_text().partition("\noutputs:\n")
            manifest.write_text(f"{kept}\noutputs:\n  - name: events\n    path: work/events.fits\n")
        return folder

    def produce(self) -> str:
        """Start it, and leave it alone; its id."""
        given = ["run", self.workflow, "--software", "installed", "--blocks", UNITS, "--seed", 7]
        for particle in ("gamma", "proton", "electron"):
            given += [f"--{particle}-showers", UNITS]
        how = ["--backend", "farm", "--shard-size", 50, "--cores", 4, "--detach"]
        return str(self.ok(*map(str, [*given, *how]))["run"])

    def clean(self, run: str, parts: int = UNITS) -> None:
        until(lambda: not self.jobs_at(run), what="no job to be left", detail=lambda: self.jobs_at(run))
        self.nothing_runs(run)
        assert self.accepted(run) == 1
        wanted = set(range(1, parts + 1))
        assert set(self.said("end")) == wanted
        progress = self.status(run)["progress"]
        assert (progress["units_done"], progress["units_total"]) == (parts, parts)
        accepted = Counter(
            unit
            for path in (self.run(run).dir / "work/shards/simulate").glob("*.json")
            for unit in (int(one["unit"]) for one in json.loads(path.read_text())["units"])
        )
        assert accepted == Counter(wanted), "each is in one manifest, once"
        again = {unit: times - 1 for unit, times in self.said("begin").items() if times > 1}
        stopped = self.stopped(run, "simulate")
        lost = sum(times - min(times, stopped[unit]) for unit, times in again.items())
        print(f"{run}: begun again {sum(again.values())}, counted {progress['second_executions']}")
        self.confirm_counted(run, "simulate", lost)
        assert not self.unexplained(run), self.explain(run)


@pytest.fixture
def irf(broken: Cluster, tmp_path: Path) -> Iterator[Irf]:
    made = Irf(tmp_path, on=broken)
    yield made
    end(made)
    broken.mend()


@pytest.mark.parametrize("seed", range(FIRST := int(os.environ.get("FIRST_SEED", "0")), FIRST + 6))
def test_a_thousand_units_survive_whatever_happens(seed: int, irf: Irf) -> None:
    chance = random.Random(seed)
    run = irf.produce()
    order: list[Strike] = [*FROM_HERE] * 2
    chance.shuffle(order)
    until(irf.witness.exists, 300, what="the first unit", detail=lambda: irf.explain(run))
    struck = Counter[str]()
    for strike in order[:STRIKES]:
        time.sleep(chance.uniform(0, 8))
        # there may be nothing to strike at this moment, or the controller is away
        with contextlib.suppress(StopIteration, AssertionError, RuntimeError, psutil.Error):
            strike(irf, run)
            struck[strike.__name__.removeprefix("_")] += 1
        irf.slurm.mend()
        if irf.run(run).observe().phase in (Phase.UNKNOWN, Phase.ERROR, Phase.ABORTED):
            failures = [f"{f['step']}: {f['reason']}" for f in irf.status(run)["failures"][:3]]
            print(f"{run}: {strike.__name__}: {failures}")
            assert irf("resume", run, "--detach").code == 0
        print(f"{run}: seed {seed}, {dict(struck)}, {len(irf.said('end'))} units")
    finish = time.monotonic() + HOURS
    while (state := irf.run(run).observe()).phase is not Phase.COMPLETED:
        assert time.monotonic() < finish, irf.explain(run)
        if state.phase in (Phase.UNKNOWN, Phase.ERROR, Phase.ABORTED):
            assert irf("resume", run, "--detach").code == 0
        time.sleep(1)
    irf.clean(run)
