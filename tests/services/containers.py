"""Container runtimes for the tests: found or installed, Docker's daemon on a socket of its own, Podman's storage in a folder of its own.

``python tests/services/containers.py install`` gets them; tests of several folders use the fixture `container_runtimes`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import CACHE

HOME = CACHE
FOLDER = HOME / "containers"
NAMES = ("apptainer", "podman", "docker", "udocker")
_PROGRAMS = [str(FOLDER / "apptainer" / "bin"), str(FOLDER / "udocker" / "bin")]

# Root of a virtual machine may lack the capability to raise limits (Podman 4.3 asks for the kernel's largest), and crun 1.8 refuses control
# groups of both versions at once. These values are good on other machines, too.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


@dataclass(frozen=True)
class Runtimes:
    """
    What a test's processes need to use the runtimes.

    Parameters
    ----------
    environment : dict
        To be added to a process's.
    cache : Path
        Kept between sessions: images by content.
    problems : dict
        Runtime → why it can't be used here.
    """

    environment: dict[str, str]
    cache: Path
    problems: dict[str, str]

    def need(self, name: str) -> None:
        """Skip the test by name if the runtime is not there."""
        if name in self.problems:
            pytest.skip(f"{name}: {self.problems[name]}")


def install() -> int:
    """Get what is missing; quick if nothing is."""
    return subprocess.run([Path(__file__).with_name("install_containers.sh"), FOLDER], check=False).returncode


def path() -> str:
    """PATH with the programs that `install` put into a folder of their own."""
    return os.pathsep.join([*_PROGRAMS, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def podman(folder: Path) -> dict[str, str]:
    """Variables for a Podman with storage in `folder`; the user's own settings otherwise."""
    if os.getuid():
        return {}
    (folder / "containers.conf").write_text(_CONTAINERS_CONF)
    storage = (
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/podman"\nrunroot = "{folder}/podman-run"\n'
    )
    (folder / "storage.conf").write_text(storage)
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


def docker(folder: Path) -> tuple[subprocess.Popen[bytes] | None, dict[str, str], str]:
    """Docker's daemon on a private socket: process, variables, and why there is none."""
    found = shutil.which("dockerd", path=path())
    if os.getuid() or not found:
        running = (
            subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
            if shutil.which("docker")
            else False
        )
        return None, {}, "" if running else "no dockerd to start here as this user, and none is running"
    socket, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    # a session that is killed must not leave a daemon behind
    bound = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            [
                *bound,
                found,
                "--data-root",
                folder / "docker",
                "--exec-root",
                folder / "docker-run",
                "-H",
                socket,
                "-p",
                folder / "docker.pid",
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "PATH": path()},
            start_new_session=True,
        )
    variables = {"DOCKER_HOST": socket}
    until = time.monotonic() + 180
    while time.monotonic() < until and daemon.poll() is None:
        asked = subprocess.run(
            ["docker", "version"],
            env={**os.environ, **variables, "PATH": path()},
            capture_output=True,
            check=False,
        )
        if asked.returncode == 0:
            return daemon, variables, ""
        time.sleep(0.1)
    end(daemon)
    return None, {}, f"dockerd did not start: {' / '.join(log.read_text(errors='replace').splitlines()[-2:])}"


def made(choice: Mapping[str, Any], label: str) -> list[str]:
    """
    Ids of the containers that Docker or Podman has made with a label, also those that are gone.

    Parameters
    ----------
    choice : mapping
        Of a plan's software: ``program``, ``environment``.
    label : str
        ``name=value``.
    """
    now = str(int(time.time()) + 1)
    argv = [
        choice["program"],
        "events",
        "--since",
        "24h",
        "--until",
        now,
        "--filter",
        "event=create",
        "--filter",
        f"label={label}",
    ]
    done = subprocess.run(
        argv, env={**os.environ, **choice["environment"]}, capture_output=True, text=True, check=True
    )
    return re.findall(r"\bcreate ([0-9a-f]{12,})", done.stdout)


def end(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon; it takes its containerd and containers with it."""
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def unmount(folder: Path) -> None:
    """Podman leaves its storage mounted; without this the folder can't be deleted."""
    mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mounted in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)


@pytest.fixture(scope="session")
def container_runtimes() -> Iterator[Runtimes]:
    """All runtimes that can be had here; nothing is left of them at the end."""
    if os.environ.get("CI"):
        install()
    # a short path: with a longer one Podman waits 20 s for each container (names of sockets have 108 characters)
    folder = Path(tempfile.mkdtemp(prefix="ewf-"))
    daemon, docker_variables, no_docker = docker(folder)
    variables = {"PATH": path(), **podman(folder), **docker_variables}
    problems = {n: "is not installed (make runtimes)" for n in NAMES if shutil.which(n, path=path()) is None}
    if no_docker:
        problems["docker"] = no_docker
    (HOME / "cache").mkdir(parents=True, exist_ok=True)
    yield Runtimes(variables, HOME / "cache", problems)
    if daemon:
        end(daemon)
    unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(install())
