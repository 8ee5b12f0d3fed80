"""Nextflow and containers: images that a pipeline names itself, and what is left when a run is cancelled or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.processes import of_run
from helpers.waiting import until
from services.containers import Runtimes, container_runtimes  # noqa: F401
from services.nextflow import nextflow_fixture  # noqa: F401

from esap_wf.software.containers import folder

IMAGES = Path(__file__).parents[2] / "containers"
NAMED = "example.org/lab/tool:1.2"
PIPELINE = f"""
params.seconds = 0
process where {{
    container '{NAMED}'
    publishDir 'results', mode: 'copy'
    input: val seconds
    output: path 'where.txt'
    script: \"\"\"
    echo "\\$HOME" > home.txt
    grep -h ^NAME= /etc/os-release > where.txt || echo none > where.txt
    id -u >> where.txt
    sleep $seconds
    \"\"\"
}}
workflow {{ where(params.seconds) }}
"""


def some(*now: str) -> list[object]:
    """All runtimes, of which some have their turn in each `make test`."""
    return [
        name if name in now else pytest.param(name, marks=pytest.mark.soak)
        for name in ("apptainer", "podman", "docker", "udocker")
    ]


@pytest.fixture
def at(runtime: str, place: Place, nextflow: Path, container_runtimes: Runtimes, monkeypatch: Any) -> Place:  # noqa: F811
    """A place with one runtime, in which an archive stands for the name of an image."""
    container_runtimes.need(runtime)
    for name, value in container_runtimes.environment.items():
        monkeypatch.setenv(name, value)
    archive = folder.build(folder.read_folder(IMAGES / "noop"), container_runtimes.cache)
    (place.root / "config.toml").write_text(
        f'[engines.nextflow]\npath = "{nextflow}"\n[containers]\nruntimes = ["{runtime}"]\n[containers.map]\n"{NAMED}" = "{archive}"\n'
    )
    place.extra |= {"ESAP_WF_CACHE": str(container_runtimes.cache)}
    (place.root / "lab").mkdir()
    (place.root / "lab" / "main.nf").write_text(PIPELINE)
    return place


@pytest.mark.parametrize("runtime", some("docker"))
def test_names_of_images_stand_for_archives(at: Place) -> None:
    done = at.inside("run", at.root / "lab", "--software", "container", "--json")
    logs = "".join(p.read_text() for p in at.store.glob("runs/*/*/logs/engine.log"))
    assert done.code == 0, done.err + logs
    run = Path(done.json["dir"])
    plan = json.loads((run / "plan.json").read_text())
    assert plan["software"]["images"][NAMED]["digest"].startswith("sha256:")
    name, user = (run / "results" / "where.txt").read_text().splitlines()
    host = [line for line in Path("/etc/os-release").read_text().splitlines() if line.startswith("NAME=")]
    assert name not in host  # the image has none, or another
    assert user == str(os.getuid())
    (home,) = run.glob("work/*/*/home.txt")
    assert Path(home.read_text().strip()).name == home.parent.name


@pytest.mark.parametrize("runtime", some("podman"))
def test_nothing_is_left_when_nextflow_is_killed(at: Place) -> None:
    run = Path(
        at.inside(
            "run", at.root / "lab", "--software", "container", "--param", "seconds=300", "--detach", "--json"
        ).json["dir"]
    )
    until(lambda: list(run.glob("work/*/*/where.txt")))
    assert of_run(run)
    engine = json.loads((run / "engine" / "1.json").read_text())
    os.kill(engine["engine"]["pid"], signal.SIGKILL)
    until(lambda: json.loads((run / "state.json").read_text())["phase"] == "ERROR")
    until(lambda: not of_run(run))  # its supervisor ends, too
    runtime = json.loads((run / "plan.json").read_text())["software"]["images"][NAMED]
    if runtime["runtime"] in ("docker", "podman"):
        argv = [runtime["program"], "ps", "-q", "--filter", f"label=esap-wf.run={run.name}"]
        env = {**os.environ, **runtime.get("environment", {})}
        assert subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout == ""
