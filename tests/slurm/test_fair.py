"""`fair` as FAIR runs it: batch jobs with software, and images, from a folder that only the nodes have mounted, as CVMFS is."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.waiting import until
from science.fair import TINY, Software, contents, image, runner, tiny_outputs
from services import containers, engines
from services.slurm import NODES, Cluster

from esap_wf import backends, plugins
from esap_wf import config as configuration
from esap_wf.checking import Check

pytestmark = [pytest.mark.integration, pytest.mark.science]
CVMFS = Path("/cvmfs")
SOFTWARE, IMAGE = CVMFS / "esap-wf/fair/1", CVMFS / "esap-wf/images/fair-1"


@pytest.fixture(scope="module")
def software() -> Software:
    return Software()


@pytest.fixture(scope="module")
def mounted(cluster: Cluster, software: Software) -> Iterator[None]:
    """The environment of the workflow and its image, on the nodes alone."""
    if CVMFS.exists() and any(CVMFS.iterdir()):
        pytest.skip(f"{CVMFS} is in use here")
    CVMFS.mkdir(exist_ok=True)
    tree = cluster.folder / "cvmfs"
    sources = {CVMFS: tree, SOFTWARE: software.python.parents[1], IMAGE: image()}
    for target in (SOFTWARE, IMAGE):
        (tree / target.relative_to(CVMFS)).mkdir(parents=True)
    for node in NODES:
        for target, source in sources.items():
            cluster.mount(node, source, target)
    yield
    for node in NODES:
        cluster.uncover(node, CVMFS)
    with contextlib.suppress(OSError):
        CVMFS.rmdir()


@pytest.fixture(scope="module")
def site(
    cluster: Cluster, mounted: None, software: Software, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """A store, and the cluster as a place."""
    root = tmp_path_factory.mktemp("site")
    for name in ("home", "pieces"):
        (root / name).mkdir()
    program = runner("cwl", "CWLTOOL")
    conf = cluster.environment["SLURM_CONF"]
    (root / "config.toml").write_text(
        engines.configuration("cwl", "toil")
        + _place("site", f'way = "there"\nfolder = "{root}/pieces"', conf, engine=program)
        + _place("farm", 'way = "native"', conf)
    )
    (root / "tiny.json").write_text(json.dumps(TINY))
    # the survey of the place looks for programs on this machine's PATH
    return Place(root, {"ESAP_WF_CACHE": str(root / "cache"), "PATH": containers.path()})


def _place(name: str, way: str, conf: str, engine: Path | None = None) -> str:
    """A profile."""
    there = f'[backends.{name}.engines.cwl]\npath = "{engine}"\n' if engine else ""
    return f"""
[backends.{name}]
kind = "slurm"
{way}
conf = "{conf}"
latency = 1
poll = 0.5
[backends.{name}.software]
mounts = ["{CVMFS}/esap-wf"]
[backends.{name}.containers]
runtimes = ["apptainer"]
map = {{ "esap-wf/fair:1" = "{IMAGE}" }}
{there}"""


def _ended_jobs(cluster: Cluster) -> set[str]:
    # with a state, sacct asks of no time before now unless it is told to
    given = ("-n", "-X", "-o", "JobID", "--allusers", "--state=COMPLETED", "--starttime=now-1days")
    return set(cluster.ask("sacct", *given).split())


def test_only_nodes_see_the_software_and_nobody_can_change_it(cluster: Cluster, mounted: None) -> None:
    assert list(CVMFS.iterdir()) == []
    job = cluster.submit(f"{SOFTWARE}/bin/python3 -c 'import uproot' && ! touch {CVMFS}/esap-wf/x")
    assert cluster.ends(job) == "COMPLETED"


def test_a_check_of_the_place_looks_for_it_on_a_node(site: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    config = configuration.load()
    rows = {row.task: row.ok for row in Check(config, "site", 60, print).mounted()}
    assert rows == {f"{CVMFS}/esap-wf": True, str(IMAGE): True}
    kind, profile = plugins.one("esap_wf.backends", "slurm"), backends.profiles(config)["site"]
    absent = f"{CVMFS}/esap-wf/it's not there"
    assert kind.lacking(profile, [str(SOFTWARE), absent]) == [absent]


@pytest.mark.parametrize("route", ["mounted", "container"])
def test_a_run_there_has_the_software_of_the_nodes_and_gives_the_same_bytes(
    site: Place, software: Software, route: str
) -> None:
    if route == "container" and shutil.which("apptainer", path=containers.path()) is None:
        pytest.skip("apptainer is not installed (make runtimes)")
    words = ("--backend", "site", "--engine", "cwl", "--software", route, "--params", "tiny.json")
    done = site.inside("run", "fair", *words, "--if-exists", "rerun", "--json")
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    plan = json.loads((run / "plan.json").read_text())["software"]
    assert str(SOFTWARE if route == "mounted" else IMAGE) in plan["detail"]
    assert contents(run / "outputs") == contents(tiny_outputs(software, runner("cwl", "CWLTOOL")))


@pytest.mark.soak  # several minutes: each job of Toil starts it anew
def test_toil_submits_each_step_and_each_has_a_container_of_its_own(
    site: Place, software: Software, cluster: Cluster
) -> None:
    if shutil.which("apptainer", path=containers.path()) is None:
        pytest.skip("apptainer is not installed (make runtimes)")
    before = _ended_jobs(cluster)
    words = ("--backend", "farm", "--engine", "toil", "--software", "container", "--params", "tiny.json")
    done = site.inside("run", "fair", *words, "--if-exists", "rerun", "--json")
    assert done.code == 0, done.err + done.out
    run = Path(done.json["dir"])
    assert json.loads((run / "plan.json").read_text())["software"]["container"]["reference"] == str(IMAGE)
    # all but the files themselves: plan, merge, fit, plot, validate, report, stage_out
    files = TINY["files"]
    assert until(lambda: len(_ended_jobs(cluster) - before) >= 7 + 2 * (files + 1))
    assert contents(run / "outputs") == contents(tiny_outputs(software, runner("cwl", "CWLTOOL")))
