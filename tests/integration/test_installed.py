"""The wheel, installed where there is no checkout, and used by somebody who may write nothing but a home of their own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.paths import CACHE, ROOT

NOBODY = 65534
TRACKED = (
    "esap_wf",
    "workflows",
    "rules",
    "profiles",
    "containers",
    "executors/snakemake-logger-plugin-esap/src",
)
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


def unprivileged() -> list[str]:
    """What goes before a command so that it runs without root's rights; nothing where the tests run without them anyway."""
    return AS_NOBODY if os.geteuid() == 0 and shutil.which("setpriv") else []


def python() -> str:
    """An interpreter that can make environments and that an unprivileged user can start; the tests' own one may lie in root's home."""
    for candidate in (
        "/usr/bin/python3",
        "/usr/local/bin/python3",
        getattr(sys, "_base_executable", sys.executable),
    ):
        asks = [
            *unprivileged(),
            candidate,
            "-c",
            "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))",
        ]
        if Path(candidate).exists() and subprocess.run(asks, capture_output=True, cwd="/").returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 with venv that an unprivileged user can start")


@dataclass(frozen=True)
class Home:
    """A folder in which nothing of the checkout and nothing of this process's user can be seen."""

    root: Path
    program: Path
    before: Sequence[str]

    def __call__(
        self, command: str | Sequence[str], cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-e", "-c", command] if isinstance(command, str) else [str(self.program), *command]
        kept = {
            k: v
            for k, v in os.environ.items()
            if k.startswith(("PIP_", "SSL_", "REQUESTS_")) or k.lower().endswith("_proxy")
        }
        return subprocess.run(
            [*self.before, *words],
            cwd=cwd or self.root,
            env={**kept, "HOME": str(self.root), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )


@pytest.fixture
def empty() -> Iterator[Path]:
    """A folder that everybody can reach: those of pytest are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="esap-wf-installed-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` makes, from a copy: nothing is written into the checkout."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in TRACKED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "tests" / "containers",
        source / "tests" / "containers",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*pip, "--wheel-dir", str(made), str(source)], check=True, stdin=subprocess.DEVNULL, timeout=300
    )
    shutil.copy(ROOT / "constraints.txt", made)
    return made


def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def environment(dist: Path, target: Path) -> Path:
    """
    The wheel in an environment of its own with all that it needs, as README.md installs it. What comes from the package index is kept by
    content and linked; the rest is small and made for the place.
    """
    with zipfile.ZipFile(wheel(dist)) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        wanted = [
            line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist:")
        ]
    interpreter = python()
    key = hashlib.sha256(
        "\n".join([interpreter, *wanted, (dist / "constraints.txt").read_text()]).encode()
    ).hexdigest()[:20]
    kept = CACHE / "installed" / key
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / ".ready").exists():
            shutil.rmtree(kept, ignore_errors=True)
            subprocess.run([interpreter, "-m", "venv", str(kept)], check=True, timeout=300)
            install = [
                "install",
                "--quiet",
                "--constraint",
                str(dist / "constraints.txt"),
                f"{wheel(dist)}[snakemake]",
            ]
            subprocess.run(
                [str(kept / "bin" / "python"), "-m", "pip", *install],
                check=True,
                stdin=subprocess.DEVNULL,
                timeout=1800,
            )
            (kept / ".ready").touch()
    shutil.copytree(
        kept, target, symlinks=True, copy_function=os.link, ignore=shutil.ignore_patterns("esap_wf*", "bin")
    )
    shutil.copytree(kept / "bin", target / "bin", symlinks=True, ignore=shutil.ignore_patterns("esap-wf"))
    for script in (p for p in (target / "bin").iterdir() if p.is_file() and not p.is_symlink()):
        script.write_bytes(script.read_bytes().replace(os.fsencode(kept), os.fsencode(target)))
    pip = [
        str(target / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel(dist)),
    ]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL, timeout=300)
    return target


def at_home(root: Path, program: Path) -> Home:
    home = root / "home"
    home.mkdir()
    if unprivileged():
        os.chown(home, NOBODY, NOBODY)
    return Home(home, program, unprivileged())


def readme() -> str:
    """The commands of README.md's pip route."""
    found = re.search(
        r"<!-- tested: pip -->\n```\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert found
    return found[1]


def test_the_wheel_holds_all_that_is_tracked_and_nothing_else(dist: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z", *TRACKED], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no git checkout")
    inside = {"workflows", "rules", "profiles", "containers"}
    wanted = {
        f"esap_wf/bundled/{name}" if name.split("/")[0] in inside else name.removeprefix(f"{TRACKED[-1]}/")
        for name in tracked.stdout.split("\0")
        if name and (ROOT / name).is_file()
    }
    with zipfile.ZipFile(wheel(dist)) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    new = {name for name in held - wanted if name.startswith("esap_wf/")}  # not yet added to git
    assert held - new == wanted
    assert {name.split("/")[0] for name in held} == {"esap_wf", "snakemake_logger_plugin_esap"}


def test_an_installed_wheel_runs_what_comes_with_it(dist: Path, empty: Path) -> None:
    venv = environment(dist, empty / "esap")
    assert '[snakemake]"' in readme() and "--constraint dist/constraints.txt" in readme()
    cli = at_home(empty, venv / "bin" / "esap-wf")
    doctor = cli(["doctor", "--json"])
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    checks = {c["name"]: c for c in json.loads(doctor.stdout)["checks"]}
    assert checks["engine snakemake"]["ok"]
    assert str(venv) in checks["engine snakemake"]["detail"]
    assert {
        "workflow hello",
        "workflow noop",
        "workflow irf",
        "workflow km3net",
        "workflow fair",
        "backend local",
    } <= set(checks)
    run = cli(["run", "noop", "--units", "2", "--json"])
    assert run.returncode == 0, run.stdout + run.stderr
    status = json.loads(cli(["status", json.loads(run.stdout)["run"], "--json"]).stdout)
    assert (status["phase"], status["progress"]["units_done"]) == ("COMPLETED", 2)
    assert (
        Path(status["dir"], "engine", "plugins", "snakemake_logger_plugin_esap")
        .resolve()
        .is_relative_to(venv)
    )
    plan = cli(["plan", "irf", "--json"])
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert json.loads(plan.stdout)["engine"]["path"] == str(venv / "bin" / "snakemake")
    assert not [p for p in venv.rglob("*") if unprivileged() and p.lstat().st_uid == NOBODY], (
        "something was written beside the program"
    )


@pytest.mark.soak
def test_the_pip_route_of_the_readme_word_by_word_and_irf_in_an_empty_folder(dist: Path, empty: Path) -> None:
    cli = at_home(empty, empty / "home" / "esap" / "bin" / "esap-wf")
    shutil.copytree(dist, cli.root / "dist").chmod(0o755)
    done = cli(readme())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "greeting.txt" in done.stdout
    nothing = cli.root / "nothing"
    nothing.mkdir()
    if unprivileged():
        os.chown(nothing, NOBODY, NOBODY)
    irf = cli(["run", "irf", "--json"], cwd=nothing)
    assert irf.returncode == 0, irf.stdout + irf.stderr
    results = json.loads(cli(["results", json.loads(irf.stdout)["run"], "--json"]).stdout)
    assert {"irf", "report"} <= {output["name"] for output in results["outputs"]}
    assert not list(nothing.iterdir())
