"""What the other user's host has: Snakemake and the software of `irf`, in environments that this user can't use by accident.

They lie in that user's home, because nobody else may read the caches here; by content, so they are made once a machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT
from services.sshd import USER

from esap_wf.engines import programs

SNAKEMAKE = programs.REQUIREMENTS / "snakemake.txt"
IRF = ROOT / "workflows/irf/requirements.txt"


def environment(requirements: Path) -> Path:
    """An environment of the other user's with what is pinned; the test is skipped by name if it can't be had."""
    python = _python()
    digest = hashlib.sha256(requirements.read_bytes() + str(python).encode()).hexdigest()[:20]
    folder = Path(pwd.getpwnam(USER).pw_dir) / "environments" / digest
    folder.parent.mkdir(exist_ok=True)
    folder.parent.chmod(0o755)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _build(python, requirements, folder)
            (folder / ".ready").touch()
    return folder


def _python() -> Path:
    """An interpreter that the other user may run."""
    for name in ("/usr/bin/python3", "/usr/local/bin/python3", os.path.realpath(sys.executable)):
        if not os.access(name, os.X_OK):
            continue
        asked = ["runuser", "-u", USER, "--", name, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(asked, capture_output=True, cwd="/", check=False).returncode == 0:
            return Path(name)
    pytest.skip(f"sshd: there is no python3 ≥ 3.11 that {USER} may run")


def _build(python: Path, requirements: Path, folder: Path) -> None:
    uv = Path(sys.prefix) / "bin" / "uv"
    made = [
        [str(uv), "venv", "--quiet", "--python", str(python), str(folder)],
        [
            str(uv),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(folder / "bin/python"),
            "-r",
            str(requirements),
        ],
    ]
    # uv reads none of pip's configuration: where it finds no index, pip does it
    by_pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "-r"]
    for argv in made:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode and "pip" in argv:
            done = subprocess.run([*by_pip, str(requirements)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"sshd: the software of the host can't be installed: {done.stderr.strip()[-300:]}")
