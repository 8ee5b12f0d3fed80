"""How Nextflow is got: its parts from Maven Central, below the cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from esap_wf.config import Config
from esap_wf.engines import programs
from esap_wf.errors import Problem, UnavailableError

PROGRAM = "nextflow"
#: All its parts are on Maven Central, which holds for few releases.
VERSION = "24.10.0"
POM = programs.REQUIREMENTS / "nextflow.xml"
LAUNCHER = programs.REQUIREMENTS / "nextflow.sh"
#: What Java loads at each start, ready for use (JEP 350); a quarter of the start. Java leaves alone what
#: isn't its own.
CLASSES = "classes.jsa"
_EXAMPLE = "process a { output: stdout; script: 'true' }\nworkflow { a() | view }\n"
HOW = (
    "esap-wf engines install nextflow (it needs Maven, and Java 17); or put `nextflow` on PATH; "
    "without internet, copy its folder from elsewhere and name the program in it: [engines.nextflow] path"
)


def location(cache: Path) -> Path:
    """Where `install` puts it, installed or not: by what it is made of."""
    key = hashlib.sha256(POM.read_bytes() + LAUNCHER.read_bytes()).hexdigest()[:12]
    return cache / "engines" / f"nextflow-{VERSION}-{key}"


def install(config: Config) -> Path:
    """
    Get Nextflow's parts from Maven Central (or what a Maven here is set to use) and put a launcher beside
    them.

    Raises
    ------
    UnavailableError
        No Maven, or it failed: its own last words are shown.
    """
    target = location(config.cache)
    if (target / PROGRAM).is_file():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError("Nextflow can't be installed", [Problem("mvn", "Maven is not on PATH", HOW)])
    log = target.with_suffix(".log")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (target / PROGRAM).is_file():  # another one was faster
                return target
            _build(maven, target, log)
    except OSError as error:
        raise UnavailableError(
            "Nextflow can't be installed",
            [Problem(error.filename or str(target), error.strerror or str(error))],
        ) from None
    return target


def _build(maven: str, target: Path, log: Path) -> None:
    staging = target.with_suffix(".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        shutil.copyfile(POM, staging / "pom.xml")
        shutil.copyfile(LAUNCHER, staging / PROGRAM)
        (staging / PROGRAM).chmod(0o755)
        argv = [
            maven,
            "-q",
            "-B",
            "-f",
            "pom.xml",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=lib",
        ]
        with log.open("wb") as out:
            code = subprocess.run(
                argv, cwd=staging, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
            ).returncode
        if code or not (staging / "lib" / f"nextflow-{VERSION}.jar").is_file():
            lines = [
                line for line in log.read_text("utf-8", "replace").splitlines() if line.startswith("[ERROR]")
            ]
            reason = (
                lines[0].removeprefix("[ERROR] ")[:500] if lines else f"Maven ended with exit code {code}"
            )
            raise UnavailableError(
                "Nextflow can't be installed",
                [Problem(str(log), reason, f"is Maven Central reachable? {HOW}")],
            )
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _prepare_classes(target)


def _prepare_classes(target: Path) -> None:
    """
    Run a process of nothing once, and keep the classes it needed; without them Nextflow only starts more
    slowly.
    """
    with tempfile.TemporaryDirectory() as work, contextlib.suppress(OSError, subprocess.TimeoutExpired):
        (Path(work) / "main.nf").write_text(_EXAMPLE)
        made = target / f".{CLASSES}"
        environment = {**os.environ, "NXF_HOME": work, "NXF_OPTS": f"-XX:ArchiveClassesAtExit={made}"}
        argv = [str(target / PROGRAM), "run", "main.nf", "-ansi-log", "false"]
        subprocess.run(
            argv,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        if made.is_file():
            with made.open("rb") as written:  # Java would crash on half a file
                os.fsync(written.fileno())
            made.rename(target / CLASSES)
