"""Each engine at a real Slurm, in each of the three ways: what it makes there is what it makes here, and no job is left."""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers import kept
from helpers.command_line import Done, Place
from helpers.paths import CACHE, ROOT
from services import containers, engines, slurm
from services.containers import Runtimes
from services.slurm import Cluster

from esap_wf.backends.queue import job_key
from esap_wf.software import environments
from esap_wf.software.containers import archive
from esap_wf.software.containers import folder as images
from esap_wf.testing import answers

ENGINES = ("snakemake", "nextflow", "cwl", "toil")
WAYS = ("native", "head", "pieces")
#: Without these, a minute and more of waiting for jobs that each start an engine: `make soak` and `make features`.
OFTEN = {
    ("snakemake", "native", "noop in a container"),
    ("nextflow", "native", "noop"),
    ("nextflow", "head", "hello"),
    ("nextflow", "pieces", "noop"),
    ("cwl", "native", "noop"),
}
SCIENCE = {"snakemake": "irf", "nextflow": "km3net", "cwl": "fair", "toil": "fair"}
#: What is run: a few units, seconds of work.
TASKS: dict[str, list[object]] = {
    "hello": ["hello", "--who", "Slurm"],
    "noop": ["noop", "--units", "3"],
    "noop in a container": ["noop", "--units", "2", "--software", "container"],
    "irf": [
        *("irf", "--gamma-showers", "600000", "--proton-showers", "1500000", "--electron-showers", "600000"),
        *("--blocks", "2", "--seed", "7", "--zenith", "20"),
    ],
    "km3net": [
        *("km3net", "--simulated-files", "2", "--events-per-file", "25", "--layout", "orca"),
        *("--strings", "7", "--energy-min", "200", "--energy-max", "3000", "--noise-fraction", "0.1"),
    ],
    "fair": ["fair", "--params", "fair.json"],
}
#: Results in which each run says when, or by whom, it was made.
OWN = {"report.html", "provenance.json"}


def _cell(engine: str, way: str, task: str) -> Any:
    marks = [] if (engine, way, task) in OFTEN else [pytest.mark.soak]
    return pytest.param(engine, way, task, marks=marks, id=f"{engine}-{way}-{task.replace(' ', '-')}")


CELLS = [
    _cell(engine, way, task)
    for engine in ENGINES
    for way in WAYS
    for task in ("hello", "noop", "noop in a container", SCIENCE[engine])
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """With accounting."""
    with slurm.running() as made:
        yield made


@pytest.fixture(scope="module")
def farm(cluster: Cluster, container_runtimes: Runtimes, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A store that the nodes see, and the cluster in three ways."""
    root = tmp_path_factory.mktemp("farm")
    for name in ("home", "pieces"):
        (root / name).mkdir()
    (root / "fair.json").write_text((ROOT / "workflows/fair/test/job.json").read_text())
    given = engines.configuration(*ENGINES, slurm=True)
    lines = [f'cache = "{container_runtimes.cache}"', given]
    programs = root / "programs"
    programs.mkdir()
    if real := shutil.which("apptainer", path=containers.path()):
        # root of a virtual machine may lack capabilities that it asks for; engines here are told so by a trial
        (programs / "apptainer").write_text(f'#!/bin/sh\nAPPTAINER_NO_PRIVS=1 exec "{real}" "$@"\n')
        (programs / "apptainer").chmod(0o755)
    pieces = {"way": "there", "folder": str(root / "pieces")}
    for name, keys in {
        "native": {"way": "native"},
        "head": {"way": "native", "head": "job", "head_memory": "1 GB"},
        **{_there(task): pieces for task in TASKS},
    }.items():
        lines += [f"[backends.{name}]", 'kind = "slurm"', "poll = 1", "latency = 2"]
        lines += [f'conf = "{cluster.environment["SLURM_CONF"]}"', 'account = "science"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        lines += [f"[backends.{name}.containers]", 'runtimes = ["apptainer"]']
        if keys is pieces:
            lines += [f'map = {{ "esap-wf/hello:1" = "{image()}" }}']
            software = python_of(name.removeprefix("pieces-")).parent
            lines += [f"[backends.{name}.software]", f'path = ["{programs}", "{software}"]']
            for engine in ENGINES:
                lines += [f"[backends.{name}.engines.{engine}]", f'path = "{engines.program(engine)}"']
    (root / "config.toml").write_text("\n".join(lines) + "\n")
    variables = {"ESAP_WF_CACHE": str(container_runtimes.cache), "PATH": containers.path()}
    return Place(root, {**container_runtimes.environment, **variables})


def _there(task: str) -> str:
    """The place of pieces with the software of a workflow on its PATH."""
    return f"pieces-{TASKS[task][0]}"


def python_of(workflow: str) -> Path:
    """Python with the packages of a workflow; ours if it has none."""
    requirements = ROOT / "workflows" / workflow / "requirements.txt"
    return (
        environments.build(requirements, CACHE) / "bin/python"
        if requirements.exists()
        else Path(sys.executable)
    )


def image() -> Path:
    """The image of `noop` as a root file system, kept between sessions."""
    archived = images.build(images.read_folder(ROOT / "containers" / "hello"), CACHE)
    made = kept.made("hello-image", [archived.name], lambda made: archive.unpack(archived, made / "root"))
    return made / "root"


@pytest.fixture(scope="module")
def here(farm: Place) -> Callable[[str, str], Path]:
    """Outputs of the same on this machine, made once."""

    @cache
    def made(engine: str, task: str) -> Path:
        plain = TASKS[task.removesuffix(" in a container")]
        done = farm.inside("run", *plain, *units(task), "--engine", engine, "--backend", "local", "--json")
        return ended(done, farm)

    return made


def units(task: str) -> list[str]:
    """Those of the task in a container are those of the one without."""
    return ["--units", "2"] if task.startswith("noop in") else []


def ended(done: Done, farm: Place) -> Path:
    """Outputs of a run that ended well."""
    logs = farm.store.glob(f"runs/*/{done.json.get('run', '-')}/logs/*.log")
    assert done.code == 0, done.err + done.out + "".join(p.read_text()[-4000:] for p in logs)
    return Path(done.json["dir"]) / "outputs"


def files(outputs: Path) -> list[str]:
    """What two runs have in common, if they have made the same."""
    return sorted(
        p.relative_to(outputs).as_posix() for p in outputs.rglob("*") if p.is_file() and p.name not in OWN
    )


@pytest.mark.parametrize(("engine", "way", "task"), CELLS)
@answers("Slurm, {way}: {task}")
def test_it_makes_there_what_it_makes_here(
    farm: Place,
    cluster: Cluster,
    container_runtimes: Runtimes,
    here: Callable[[str, str], Path],
    engine: str,
    way: str,
    task: str,
    record_property: Callable[[str, object], None],
) -> None:
    if task == "noop in a container":
        container_runtimes.need("apptainer")
    place = _there(task) if way == "pieces" else way
    given = ["run", *TASKS[task], "--engine", engine, "--backend", place, "--if-exists", "rerun", "--json"]
    done = farm.inside(*given)
    if engine == "cwl" and way != "pieces":
        assert done.code == 3, done.out
        assert "submits no jobs" in done.problems, done.problems
        record_property("value", "–")
        return
    made, ours = ended(done, farm), here(engine, task)
    assert files(made) == files(ours)
    same, other, wrong = filecmp.cmpfiles(made, ours, files(ours), shallow=False)
    assert (other, wrong) == ([], []), other
    assert same
    left = cluster.ask("squeue", "-h", "-o", "%j|%k")
    assert job_key(made.parent.name) not in left
    assert made.parent.name not in left
