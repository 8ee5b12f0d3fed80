"""An engine at the toy place that comes from an image: the same bytes as here, its exit code, and its end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from faults.conftest import end
from helpers import tutorial
from helpers.paths import ROOT
from helpers.waiting import until
from services.containers import Runtimes, container_runtimes  # noqa: F401

from esap_wf.models.run import Phase

from .elsewhere import Elsewhere

pytestmark = pytest.mark.integration

IMAGE = f"example.org/miniflow@sha256:{'5a' * 32}"


@dataclass
class Imaged(Elsewhere):
    """A cluster that has its engine in a root file system."""

    rootfs: Path = Path()

    def there(self) -> list[str]:
        return [
            "[backends.toy.software]",
            f"path = {json.dumps(list(self.software))}",
            f"[backends.toy.containers.map]\n'{IMAGE}' = '{self.rootfs}'",
            f"[backends.toy.engines.miniflow]\nimage = '{IMAGE}'\nversion = '1.0'",
        ]


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BusyBox, bash, Python, and the engine of docs/engine-tutorial.md."""
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    for name in ("noop", "hello"):
        subprocess.run(["bash", ROOT / "containers" / name / "build.sh", root], check=True, timeout=300)
    shutil.copytree(tutorial.write(folder / "engine") / "miniflow", root / "opt/miniflow")
    program = root / "usr/bin/miniflow"
    program.write_text(
        "#!/usr/bin/python3 -B\nimport sys\nsys.path.insert(0, '/opt')\n"
        "from miniflow.program import main\nmain()\n"
    )
    program.chmod(0o755)
    return root


@pytest.fixture(params=["apptainer", "podman"])
def there(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    toy_environment: dict[str, str],
    rootfs: Path,
    container_runtimes: Runtimes,  # noqa: F811
) -> Iterator[Imaged]:
    container_runtimes.need(request.param)
    made = Imaged(
        tmp_path,
        dict(toy_environment),
        software=[str(runtime(request.param, tmp_path / "bin", container_runtimes))],
        rootfs=rootfs,
    )
    yield made
    end(made)
    made.cluster.end()


def runtime(name: str, folder: Path, runtimes: Runtimes) -> Path:
    """A folder with the runtime as the operator of a cluster would set it up: it works as it is called."""
    folder.mkdir()
    found = shutil.which(name, path=runtimes.environment["PATH"])
    assert found
    settings = {k: v for k, v in runtimes.environment.items() if k.startswith("CONTAINERS_")}
    if not os.getuid():  # root of a virtual machine may lack what Apptainer keeps for root
        settings["APPTAINER_NO_PRIVS"] = "1"
    lines = [f"export {k}={shlex.quote(v)}\n" for k, v in settings.items()]
    program = folder / name
    program.write_text(f'#!/bin/sh\n{"".join(lines)}exec {shlex.quote(found)} "$@"\n')
    program.chmod(0o755)
    return folder


def containers(there: Imaged) -> str:
    """What Podman knows of."""
    podman = Path(there.software[0], "podman")
    if not podman.exists():
        return ""
    done = subprocess.run([podman, "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("slices", [1, 3])
def test_the_same_bytes_as_here(slices: int, there: Imaged) -> None:
    here = there.ok("run", there.cut, "--backend", "local")["run"]
    run = there.begin("--if-exists", "rerun", slices=slices)
    there.completed(run)
    assert there.results(run) == there.results(here)
    plan = json.loads((there.run(run).dir / "plan.json").read_text())
    assert plan["engine"]["found"] == f"image {IMAGE} of toy's profile"
    assert set(there.executed(run).values()) == {1}
    assert not containers(there)


def test_an_engine_that_fails_gives_its_own_exit_code(there: Imaged) -> None:
    flow = Path(there.cut, "main.flow")
    flow.write_text("import sys\nsys.exit(23)\n")
    run = there.begin(slices=1)
    state = there.ended(run)
    assert (state.phase, state.exit_code) == (Phase.ERROR, 23), there.explain(run)
    until(lambda: not there.cluster.jobs() and not containers(there), what="nothing to be left")


@pytest.mark.parametrize("drain", [False, True])
def test_a_cancel_reaches_it_and_nothing_is_left(drain: bool, there: Imaged) -> None:
    seconds = "3.0625" if drain else str(10**6 + os.getpid())  # no other test waits for so long
    run = there.begin("--seconds", seconds, slices=1)
    state = there.wait(run, lambda s: s.progress.units_running > 0)
    assert state.phase is Phase.EXECUTING, there.explain(run)
    done = there("cancel", run, "--json", *(["--drain"] if drain else []))
    assert (done.code, done.json["phase"]) == (0, "ABORTED"), done
    told = [event["kind"] for event in there.told(run)]
    assert ("done" in told) is drain, told
    until(lambda: not there.cluster.jobs() and not containers(there), what="nothing to be left")
    assert there.cluster.processes() == []
    assert sleeping(seconds) == []


def sleeping(seconds: str) -> list[str]:
    """What the units of a test are made of, in a container or outside, whatever has become of its environment."""
    found = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [words for words in found if words == f"sleep {seconds}"]
