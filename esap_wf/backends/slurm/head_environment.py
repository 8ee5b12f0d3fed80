"""
The environment of an engine that is a job: a file that only its user can read, and that the job removes when
it begins. Neither Slurm's records nor the script have any of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from esap_wf.backends.launcher import Piece
from esap_wf.backends.queue import JOB_VARIABLE, job_key
from esap_wf.runs.processes import ENGINE_VARIABLE, RUN_VARIABLE

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What bash does not let itself be given, and what is true of this machine or this process only.
_OWN = frozenset(
    {
        *("BASHOPTS", "SHELLOPTS", "BASH_VERSINFO", "EUID", "UID", "PPID", "_", "PWD", "OLDPWD", "SHLVL"),
        *("HOSTNAME", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY"),
        *(RUN_VARIABLE, ENGINE_VARIABLE),
    }
)
#: Of a job in which this process may work itself: an engine that submits jobs hands them on.
_OF_JOBS = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SALLOC_", "SPANK_", "PMI_", "PMIX_")


def write(piece: Piece, conf: str | None) -> None:
    """
    Write the file of an engine.

    Parameters
    ----------
    piece : Piece
    conf : str, optional
        Slurm's configuration.
    """
    run, _, epoch = piece.key.rpartition(".")
    kept = {
        name: value
        for name, value in piece.environment.items()
        if _NAME.fullmatch(name)
        and name not in _OWN
        and (name == "SLURM_CONF" or not name.startswith(_OF_JOBS))
    }
    kept |= {name: os.environ[name] for name in piece.secrets if name in os.environ}
    if conf:
        kept["SLURM_CONF"] = conf
    kept[JOB_VARIABLE] = job_key(run)
    if python := kept.get("PYTHONPATH"):
        kept["PYTHONPATH"] = _brought(python, piece.folder, int(epoch))
    path = _path(piece.folder, int(epoch))
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in kept.items()))
        file.flush()
        os.fsync(file.fileno())


def remove(folder: Path, epoch: int) -> None:
    """Nobody needs it any more."""
    with contextlib.suppress(OSError):
        _path(folder, epoch).unlink()


def _path(folder: Path, epoch: int) -> Path:
    return folder / "engine" / f"{epoch}.environment"


def _brought(python: str, folder: Path, epoch: int) -> str:
    """
    A PYTHONPATH in which what belongs to esap-wf, which may lie where no node sees it, is copied into the run
    directory. What is the user's stays what it is.
    """
    import esap_wf

    ours = Path(esap_wf.__file__).resolve().parent
    places = []
    for number, place in enumerate(python.split(os.pathsep)):
        path = Path(place)
        linked = path.is_relative_to(folder) and path.is_dir() and any(p.is_symlink() for p in path.iterdir())
        if place and (linked or path.resolve().is_relative_to(ours)):
            copy = folder / "engine" / f"{epoch}.python" / str(number)
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(copy)
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
            place = str(copy)
        places.append(place)
    return os.pathsep.join(places)
