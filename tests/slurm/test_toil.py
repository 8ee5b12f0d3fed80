"""Toil, which submits the jobs of its steps to a real Slurm: how a unit fails, and what is done again after all that is here was killed."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from faults.conftest import end
from faults.place import WatchedPlace
from helpers.waiting import until
from services import engines
from services.slurm import Cluster

from esap_wf.backends.queue import job_key

pytestmark = pytest.mark.integration

DOCUMENT = """\
cwlVersion: v1.2
class: Workflow
requirements: {{ScatterFeatureRequirement: {{}}}}
inputs:
  units: 'string[]'
outputs:
  files: {{type: 'File[]', outputSource: unit/file}}
steps:
  unit:
    scatter: unit
    in: {{unit: units}}
    out: [file]
    run:
      id: work
      class: CommandLineTool
      requirements: {{ResourceRequirement: {{coresMin: 1, ramMin: 200}}}}
      baseCommand: [bash, {script}]
      inputs: {{unit: {{type: string, inputBinding: {{position: 1}}}}}}
      outputs: {{file: {{type: File, outputBinding: {{glob: $(inputs.unit).txt}}}}}}
"""
#: Tells a file outside of the run when a unit begins and ends, in which job: of the tool's own environment Toil keeps next to nothing.
SCRIPT = """\
job=$(tr '\\0' '\\n' </proc/$PPID/environ | sed -n 's/^SLURM_JOB_ID=//p')
say() {{ echo "$1 $2 $job $(date +%s.%N)" >>{witness}; }}
say begin "$1"
sleep {seconds}
if [ "$1" = bad ]; then echo "this unit is bad"; exit 3; fi
echo "$1" >"$1.txt"
say end "$1"
"""


class Site(WatchedPlace):
    """A store that the nodes see, and the journal of the units."""

    @property
    def witness(self) -> Path:
        return self.root / "witness"

    def told(self, word: str) -> list[tuple[str, str, float]]:
        """Unit, job and time of each line of the journal that begins with a word."""
        lines = self.witness.read_text().splitlines() if self.witness.exists() else []
        rows = [line.split() for line in lines]
        return [(unit, job, float(t)) for said, unit, job, t in rows if said == word]

    def begin(self, seconds: float, *units: str) -> str:
        """A run of some units, left alone; its id."""
        script = self.root / "unit.sh"
        script.write_text(SCRIPT.format(witness=self.witness, seconds=seconds))
        (self.root / "main.cwl").write_text(DOCUMENT.format(script=script))
        (self.root / "job.json").write_text(json.dumps({"units": units}))
        given = ["run", self.root / "main.cwl", "--params", self.root / "job.json", "--engine", "toil"]
        return str(self.ok(*map(str, given), "--backend", "farm", "--cores", "2", "--detach")["run"])


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    keys = {"kind": "slurm", "way": "native", "account": "science", "conf": cluster.environment["SLURM_CONF"]}
    lines = ["[backends.farm]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    lines += ["poll = 1", "latency = 2", engines.configuration("toil")]
    (tmp_path / "config.toml").write_text("\n".join(lines) + "\n")
    made = Site(tmp_path)
    yield made
    end(made)


def kill_heads(run: str) -> None:
    """Supervisor, keeper and engine, at once: all that is here, but what Slurm has started."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(parent.name() == "slurmstepd" for parent in process.parents()):
                continue
            supervises = run in process.cmdline() and process.pid != os.getpid()
            if supervises or process.environ().get("ESAP_WF_RUN") == run:
                process.kill()


def left(cluster: Cluster, run: str) -> list[str]:
    """Jobs of a run that wait or work."""
    rows = cluster.ask("squeue", "-h", "-o", "%i|%k").splitlines()
    return [row for row in rows if job_key(run) in row]


def test_a_unit_that_fails_names_its_job_and_where_that_was(site: Site, cluster: Cluster) -> None:
    run = site.begin(0, "good", "bad")
    assert site.ended(run).phase == "ERROR", site.explain(run)
    (failure,) = site.status(run)["failures"]
    assert (failure["step"], failure["unit"], failure["exit_code"]) == ("unit", "2", 3), failure
    ((job),) = [job for unit, job, _ in site.told("begin") if unit == "bad"]
    assert failure["job"] == job, failure
    assert failure["node"] == cluster.field(job, "NodeList"), failure
    assert failure["state"], failure
    assert "this unit is bad" in "".join(failure["tail"]), failure
    assert failure["log"], failure
    assert left(cluster, run) == []


def test_what_is_done_again_after_the_head_was_killed_is_counted(site: Site, cluster: Cluster) -> None:
    run = site.begin(20, "one", "two")
    until(lambda: len(site.told("begin")) == 2, 180, what="both units", detail=lambda: site.explain(run))
    kill_heads(run)
    first = {unit: job for unit, job, _ in site.told("begin")}
    assert site.resume_until_completed(run) == 1, site.explain(run)
    begun, ended = site.told("begin"), site.told("end")
    for unit, job in first.items():
        finished = time.mktime(time.strptime(cluster.field(job, "EndTime"), "%Y-%m-%dT%H:%M:%S"))
        again = [t for other, its, t in begun if other == unit and its != job]
        assert all(t >= finished for t in again), "never beside the first"
    assert site.status(run)["progress"]["second_executions"] == len(begun) - 2, (begun, site.explain(run))
    assert {unit for unit, _, _ in ended} == {"one", "two"}
    assert left(cluster, run) == []
    site.nothing_runs(run)
    assert site.accepted(run) == 1
