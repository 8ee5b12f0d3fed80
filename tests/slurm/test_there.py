"""Runs at a Slurm that works on pieces, each a job: nothing is lost, nothing counts twice, nothing is left, whatever happens to supervisors, jobs and nodes."""

from __future__ import annotations

import filecmp
import getpass
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults.conftest import end
from faults.place import HERE
from helpers import toy
from helpers.paths import CACHE, ROOT
from helpers.waiting import until
from places.elsewhere import Elsewhere
from services import cwl
from services.slurm import Cluster

from esap_wf.models.run import Phase, State
from esap_wf.software import environments

pytestmark = [pytest.mark.integration, pytest.mark.faults]

ARMED = [sys.executable, str(HERE / "armed.py")]


@dataclass
class OnSlurm(Elsewhere):
    """A place for runs whose configuration knows a cluster, called like the toy."""

    slurm: Cluster | None = None
    memory: str = "500 MB"

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="esw-there-", dir="/tmp"))
        super().__post_init__()

    def backend(self) -> list[str]:
        assert self.slurm
        conf = self.slurm.environment["SLURM_CONF"]
        return [
            *("[backends.toy]", 'kind = "slurm"', 'way = "there"', f'conf = "{conf}"', "latency = 1"),
            *(f'folder = "{self.folder}"', f'memory = "{self.memory}"'),
        ]

    def there(self) -> list[str]:
        lines = super().there()
        at = lines.index("[backends.toy.engines.miniflow]")
        return [*lines[: at + 1], 'version = "1.0"', *lines[at + 1 :]]

    def left(self) -> list[str]:
        """What is in the folder of pieces."""
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))

    def working(self, key: str = "") -> list[psutil.Process]:
        """What works for pieces, by the end of their keys."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("ESAP_WF_PIECE", "?").endswith(key) and self.holds(process):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def holds(self, process: psutil.Process) -> bool:
        return str(self.folder) in process.environ().get("PWD", "")

    def job(self, key: str) -> str:
        """Id of the job of a piece, by the end of its key, once its steps work."""
        return until(lambda: self._job(key), what=f"the job of {key}")

    def _job(self, key: str) -> str:
        boxes = self.folder / getpass.getuser()
        found = [p.parent for p in boxes.glob(f"*{key}/job") if (p.parent / "started/by").exists()]
        return (found[0] / "job").read_text() if found and self.working(key) else ""

    def clean(self, run: str) -> None:
        """Each slice is accepted once, and nothing is left there, nor here."""
        assert self.slurm
        pieces = self.pieces(run)
        assert all(pieces.accepted(slice_) for slice_ in pieces.slices())
        assert self.accepted(run) == 1
        until(lambda: not self.left(), what="nothing to be left", detail=self.left)
        until(lambda: run not in self.slurm.ask("squeue", "-h", "-o", "%j") if self.slurm else True)
        assert self.working() == []
        self.nothing_runs(run)

    def by(self, word: str, run: str) -> State:
        """Wait for a word in the reason of a run."""
        return self.wait(run, lambda s: word in s.reason)


@pytest.fixture(scope="session")
def tutorial_engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The engine of docs/engine-tutorial.md."""
    return toy.install(tmp_path_factory.mktemp("toy-place"))


@pytest.fixture
def there(cluster: Cluster, tmp_path: Path, tutorial_engine: dict[str, str]) -> Iterator[OnSlurm]:
    made = OnSlurm(tmp_path, dict(tutorial_engine), slurm=cluster)
    yield made
    end(made)
    shutil.rmtree(made.folder)


@pytest.fixture(scope="module")
def here(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, tutorial_engine: dict[str, str]
) -> dict[str, str]:
    """The results of the same run on this machine."""
    place = OnSlurm(tmp_path_factory.mktemp("here"), dict(tutorial_engine), slurm=cluster)
    shutil.rmtree(place.folder)
    return place.results(place.ok("run", place.cut, "--backend", "local")["run"])


POINTS = ["piece-written", "piece-started", "handle-kept", "pulled", "slot-taken", "forgotten"]


@pytest.mark.parametrize(
    "point",
    [
        *("piece-started", "handle-kept", "pulled", "slot-taken"),
        *(
            pytest.param(f"{point}:{nth}", marks=pytest.mark.soak)
            for point in POINTS
            for nth in range(2, 5)
            if point != "piece-started" or nth < 3
        ),
    ],
)
def test_a_supervisor_killed_at_a_point_is_succeeded(
    point: str, there: OnSlurm, here: dict[str, str]
) -> None:
    given = ["run", there.cut, "--backend", "toy", "--slices", "3"]
    began = there(point, *given, "--detach", "--json", command=ARMED)
    assert began.code == 0, began
    run = str(began.json["run"])
    # before its supervisor is there, it is UNKNOWN for a moment, too
    until((there.run(run).dir / "pieces").is_dir, what="the first piece")
    assert there.ended(run).phase is Phase.UNKNOWN
    again = there.ok(*given)
    assert (again["run"], again["phase"]) == (run, "COMPLETED"), there.explain(run)
    there.clean(run)
    assert there.results(run) == here
    assert there.again(run) == 0


def test_jobs_go_on_while_the_controller_is_away_and_without_their_supervisor(
    there: OnSlurm, here: dict[str, str], cluster: Cluster
) -> None:
    run = there.begin("--seconds", "1")
    for slice_ in "123":
        there.job(f".{slice_}.1")
    there.kill_supervisor(run)
    cluster.stop_controller()
    try:
        there.popen("resume", run, "--detach").wait()
        state = there.by("waiting for toy since", run)
        assert state.phase is Phase.EXECUTING
    finally:
        cluster.start_controller()
    there.completed(run)
    assert there.results(run) == here
    assert there.again(run) == 0


def test_a_slice_whose_node_dies_or_whose_job_is_put_back_is_started_once_more(
    there: OnSlurm, here: dict[str, str], cluster: Cluster
) -> None:
    run = there.begin("--seconds", "3")
    job = there.job(".1.1")
    other = there.job(".2.1")
    cluster.ask("scontrol", "update", f"JobId={other}", "Requeue=1")
    cluster.requeue(other)
    node = cluster.field(job, "NodeList")
    cluster.kill_node(node)
    try:
        cluster.down(node)
        there.completed(run)
    finally:
        cluster.start_node(node)
        cluster.resume_node(node)
    assert there.results(run) == here
    again = there.again(run)
    assert again >= 2, "both are counted"
    assert there.status(run)["pieces"]["second_executions"] == again


def test_a_job_that_somebody_cancels_ends_the_run_which_says_so_and_can_be_resumed(
    there: OnSlurm, here: dict[str, str], cluster: Cluster
) -> None:
    run = there.begin("--seconds", "2")
    cluster.cancel(there.job(".2.1"))
    assert there.ended(run).phase is Phase.ERROR
    (failure, *_) = there.status(run)["failures"]
    assert (failure["reason"], failure["unit"]) == ("CANCELLED", "slice 2")
    assert "cancelled by" in failure["detail"]
    there.ok("resume", run)
    there.clean(run)
    assert there.results(run) == here


def test_a_run_that_waits_for_a_node_says_why(there: OnSlurm, here: dict[str, str], cluster: Cluster) -> None:
    other = cluster.submit("sleep 600", "--nodes=4", "--exclusive", "--partition=main")
    try:
        until(lambda: cluster.state(other) == "RUNNING", what="all nodes to be taken")
        run = there.begin()
        state = there.by("no node is free", run)
        assert state.phase is Phase.QUEUED
    finally:
        cluster.cancel(other)
    there.completed(run)
    assert there.results(run) == here


def test_a_run_submits_what_its_plan_has_printed_and_leaves_nothing_when_it_is_cancelled(
    there: OnSlurm, cluster: Cluster
) -> None:
    given = [there.cut, "--backend", "toy", "--slices", "3", "--seconds", "60"]
    told = there.ok("plan", *given, "--print-script")["scripts"]
    run = there.begin("--seconds", "60")
    got = cluster.ask("scontrol", "write", "batch_script", there.job(".1.1"), "-")
    assert got.rstrip("\n") == told["1 as a job"].replace("RUN", run).rstrip("\n")
    there.ok("cancel", run)
    assert there.ended(run).phase is Phase.ABORTED
    until(lambda: not there.left(), what="nothing to be left", detail=there.left)
    assert there.working() == []
    until(lambda: run not in cluster.ask("squeue", "-h", "-o", "%j"))


# --- real engines


UNITS = ("--units", "7", "--output-bytes", "100")


def outputs(run: str | Path) -> Path:
    return Path(run) / "outputs"


def same(one: Path, other: Path) -> None:
    """The same files with the same bytes."""
    names = sorted(str(p.relative_to(one)) for p in one.rglob("*") if p.is_file())
    assert names == sorted(str(p.relative_to(other)) for p in other.rglob("*") if p.is_file())
    assert not [n for n in names if not filecmp.cmp(one / n, other / n, shallow=False)]


@pytest.fixture(scope="module")
def real(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, tutorial_engine: dict[str, str]
) -> Iterator[OnSlurm]:
    """A place that knows the cluster, with this machine's Snakemake and cwltool."""
    snakemake = shutil.which("snakemake", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert snakemake
    programs = {"snakemake": snakemake, "cwl": str(cwl.cwltool())}
    made = OnSlurm(
        tmp_path_factory.mktemp("real"),
        dict(tutorial_engine),
        slurm=cluster,
        memory="2 GB",
        engines=programs,
    )
    yield made
    shutil.rmtree(made.folder)


def run_there(place: OnSlurm, *words: str, backend: str = "toy") -> dict[str, Any]:
    done = place("run", *words, "--backend", backend, "--if-exists", "rerun", "--json")
    assert done.json.get("phase") == "COMPLETED", done
    return done.json


@pytest.mark.parametrize(("engine", "slices"), [("snakemake", 1), ("snakemake", 3), ("cwl", 1), ("cwl", 3)])
def test_noop_makes_the_same_there_and_leaves_nothing(real: OnSlurm, engine: str, slices: int) -> None:
    local = real.root / "local.json"
    if not local.exists():
        local.write_text(json.dumps(run_there(real, "noop", *UNITS, backend="local")))
    cut = ["--slices", str(slices)] if slices > 1 else []
    done = run_there(real, "noop", *UNITS, "--engine", engine, *cut)
    same(outputs(done["dir"]), outputs(json.loads(local.read_text())["dir"]))
    status = real.status(done["run"])
    assert (status["backend"], status["progress"]["units_done"]) == ("toy", 7)
    assert status["pieces"]["accepted"] == (4 if slices > 1 else 1)
    assert status["pieces"]["second_executions"] == 0
    assert real.left() == []


def test_hello_there(real: OnSlurm) -> None:
    done = run_there(real, "hello")
    same(outputs(done["dir"]), outputs(run_there(real, "hello", backend="local")["dir"]))
    assert real.left() == []


def test_a_step_that_fails_there_is_told_as_it_is_here(real: OnSlurm) -> None:
    failing = ["run", "noop", "--units", "4", "--fail-unit", "3", "--exit-code", "7", "--if-exists", "rerun"]
    told = {}
    for backend in ("local", "toy"):
        done = real(*failing, "--backend", backend, "--json")
        assert done.code == 1
        told[backend] = real.status(done.json["run"])
    for key in ("step", "unit", "reason", "exit_code", "log", "tail"):
        assert told["toy"]["failures"][0][key] == told["local"]["failures"][0][key]
    assert told["toy"]["exit_code"] == told["local"]["exit_code"]
    assert real.left() == []


def keep(place: OnSlurm, attempt: int, name: Path) -> None:
    """Another name for the journal of an attempt at a shard, which outlives its piece."""
    found = until(
        lambda: next(place.folder.rglob(f"work/shards/unit/*.{attempt}.jsonl"), None),
        what=f"the journal of attempt {attempt}",
    )
    os.link(found, name)


def test_a_lost_piece_costs_only_the_units_that_its_shard_had_not_finished(
    real: OnSlurm, cluster: Cluster
) -> None:
    given = ["noop", "--units", "8", "--seconds", "2", "--shard-size", "8", "--cores", "1"]
    began = real("run", *given, "--backend", "toy", "--if-exists", "rerun", "--detach", "--json")
    assert began.code == 0, began
    run = began.json["run"]
    job, (first, second) = real.job(".whole.1"), (real.root / f"{run}.{n}" for n in (1, 2))
    keep(real, 1, first)
    until(lambda: first.read_text().count('"done"') >= 3, what="three units")
    node = cluster.field(job, "NodeList")
    cluster.kill_node(node)
    try:
        keep(real, 2, second)
        assert real.ended(run).phase is Phase.COMPLETED, real.explain(run)
    finally:
        cluster.start_node(node)
        cluster.resume_node(node)
    status = real.status(run)["progress"]
    assert status["units_done"] == status["units_total"] == 8
    begun = [path.read_text().count('"start"') for path in (first, second)]
    assert sum(begun) == 8 + status["second_executions"]
    assert status["second_executions"] <= 1
    assert begun[1] <= 5, "what was done is kept"
    made = sorted(p.name for p in (real.run(run).dir / "outputs/units").iterdir())
    assert made == [f"u{i:05}.dat" for i in range(1, 9)]
    until(lambda: not real.left(), what="nothing to be left", detail=real.left)


SMALL = [
    *("--gamma-showers", "600000", "--proton-showers", "1500000", "--electron-showers", "600000"),
    *("--blocks", "3", "--seed", "7", "--zenith", "20"),
]


@pytest.mark.science
def test_irf_is_the_same_there(real: OnSlurm) -> None:
    software = environments.build(ROOT / "workflows/irf/requirements.txt", CACHE) / "bin"
    config, path = real.root / "config.toml", real.extra["PATH"]
    before = config.read_text()
    config.write_text(before.replace("path = [", f'path = ["{software}", ', 1))
    try:
        done = run_there(real, "irf", *SMALL, "--slices", "2")
        real.extra["PATH"] = f"{software}:{path}"
        local = run_there(real, "irf", *SMALL, "--software", "installed", backend="local")
    finally:
        config.write_text(before)
        real.extra["PATH"] = path
    for name in ("irf.fits", "benchmarks.fits"):
        assert filecmp.cmp(outputs(done["dir"]) / name, outputs(local["dir"]) / name, shallow=False)
    assert real.left() == []
