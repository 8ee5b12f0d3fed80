"""Python environments from pinned requirements: built once, cached by content, Python ABI and platform.

Two builders are safe: one builds, the other waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from esap_wf.errors import Problem, StoppedError, UnavailableError, UsageError
from esap_wf.formats import reading

READY = ".ready"
#: Seconds between two looks at an installer, or at another one's lock.
LOOK = 0.2


def abi() -> str:
    """What a compiled package depends on: Python's ABI and the platform."""
    return f"{sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag}-{sysconfig.get_platform()}"


def location(requirements: Path, cache: Path) -> Path:
    """Folder of the environment of a requirements file, built or not."""
    stripped = (line.split(" #")[0].strip() for line in reading.read_text(requirements).splitlines())
    lines = sorted(line for line in stripped if line and not line.startswith("#"))
    if options := [line for line in lines if line.startswith("-")]:
        hint = (
            "only lines such as name==version can be used, because the cache does not look into other "
            "files or places"
        )
        raise UsageError(
            "a requirements file is not usable",
            [Problem(str(requirements), f"contains the option {options[0]!r}", hint)],
        )
    content = "\n".join(lines)
    return cache / "environments" / hashlib.sha256(f"{content}\n{abi()}".encode()).hexdigest()[:20]


def is_ready(environment: Path) -> bool:
    """Whether an environment was built to its end."""
    return (environment / READY).is_file() and (environment / "bin" / "python").exists()


@contextlib.contextmanager
def locked(path: Path, stopped: Callable[[], bool]) -> Iterator[int]:
    """
    Hold a lock file: one builds, the others wait until it is there or `stopped` says so. Gives the
    descriptor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _pause(stopped)
        yield handle.fileno()


def _pause(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise StoppedError("nobody is waiting for this environment any more")
    time.sleep(LOOK)


def build(
    requirements: Path, cache: Path, log: Path | None = None, stopped: Callable[[], bool] = lambda: False
) -> Path:
    """
    The environment of a requirements file; built if it isn't there.

    Parameters
    ----------
    requirements : Path
    cache : Path
    log : Path, optional
        File to which the installer's output is appended.
    stopped : callable, optional
        Asked a few times a second while this waits or builds; True ends it.

    Returns
    -------
    Path
        The environment's folder.

    Raises
    ------
    UnavailableError
        It can't be built; the last lines of the installer are shown.
    StoppedError
        `stopped` said so.
    """
    environment = location(requirements, cache)
    if is_ready(environment):
        return environment
    try:
        with locked(environment.with_suffix(".lock"), stopped) as lock:
            if is_ready(environment):
                return environment
            shutil.rmtree(environment, ignore_errors=True)
            try:
                _install(requirements, environment, log or environment.with_suffix(".log"), stopped, lock)
            except BaseException:
                shutil.rmtree(environment, ignore_errors=True)
                raise
            (environment / READY).write_text(abi() + "\n")
    except OSError as error:
        raise UnavailableError(
            "the environment can't be built", [Problem(str(environment), error.strerror or str(error))]
        ) from None
    return environment


def _install(
    requirements: Path, environment: Path, log: Path, stopped: Callable[[], bool], lock: int
) -> None:
    # nothing of the user's shell or folder may stand in for the installer's own modules
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    python = str(environment / "bin" / "python")
    for argv in (
        [getattr(sys, "_base_executable", sys.executable), "-I", "-m", "venv", str(environment)],
        [
            python,
            "-I",
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "-r",
            str(requirements.absolute()),
        ],
    ):
        # the installer inherits the lock: if this process is killed, a successor waits until the orphan has
        # ended
        with (
            log.open("ab") as out,
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=environment.parent,
                env=clean,
                pass_fds=(lock,),
            ) as installer,
        ):
            try:
                while installer.poll() is None:
                    _pause(stopped)
            except BaseException:
                installer.terminate()
                raise
        if installer.returncode:
            tail = [line for line in reading.tail(log, 20_000).splitlines() if line.strip()][-5:]
            raise UnavailableError(
                "the environment can't be built",
                [
                    Problem(
                        str(requirements),
                        " / ".join(tail),
                        "is the package index reachable? esap-wf doctor says more",
                    )
                ],
            )


def distributions(python: Path) -> dict[str, str]:
    """Name → version of what is installed for an interpreter, read from its folders without starting it."""
    found = {}
    for metadata in python.parent.parent.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = metadata.name.removesuffix(".dist-info").partition("-")
        found[canonical(name)] = version
    return found


def canonical(name: str) -> str:
    """A distribution's name, normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(requirements: Path) -> dict[str, str]:
    """Name → version of the lines ``name==version``."""
    matches = (
        re.match(r"\s*([A-Za-z0-9._-]+)\s*==\s*([^\s;#]+)", line)
        for line in reading.read_text(requirements).splitlines()
    )
    return {canonical(m[1]): m[2] for m in matches if m}
