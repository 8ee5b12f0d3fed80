"""An engine alone in a fresh copy of a folder, as its own users start it; what it made is remembered.

Remembered is by content: of the folder, the words, the engine and its version. ``ESAP_WF_RENEW_BARE=1`` runs everything anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from foreign import trees
from foreign.trees import Tree
from helpers.paths import CACHE
from helpers.repositories import commit
from services import engines

from esap_wf import files

#: A number that is raised when the same words begin to mean something else.
FORMAT = 1
REMEMBERED = CACHE / "bare"
RENEW = "ESAP_WF_RENEW_BARE"
#: What an engine keeps for itself in the folder where it is started.
INTERNAL: dict[str, tuple[str, ...]] = {
    "snakemake": (".snakemake", ".snakemake_timestamp"),
    "nextflow": (".nextflow", ".nextflow.log*", "work"),
    "notebook": (".ipynb_checkpoints",),
}
#: Variables by which an engine's behaviour would depend on who runs the tests.
FOREIGN = ("SNAKEMAKE_", "NXF_", "TOIL_", "CWL_", "ESAP_", "PYTEST_", "COVERAGE_", "COV_CORE_", "GIT_")
#: CWL engines print what they made as an object.
OBJECT = ("cwl", "toil")
TIMEOUT = 600


class Made(msgspec.Struct, kw_only=True):
    """How an engine ended, what appeared (names relative to the folder that was copied), and the values that it gave back."""

    code: int
    printed: str = msgspec.field(name="said")  # as it is kept in the cache
    tree: Tree
    values: dict[str, Any] | None = None


def run(engine: str, folder: Path, words: list[str], at: str = ".", repository: bool = False) -> Made:
    """
    What the engine alone makes of a folder.

    Parameters
    ----------
    engine : str
        Of `command`; ``shell`` runs the words themselves.
    folder : Path
        Copied; it is never written.
    words : list of str
        Behind the engine's own, ``{case}`` is the copy.
    at : str, optional
        Where in the copy the engine is started.
    repository : bool, optional
        The copy is a git repository.
    """
    program = None if engine == "shell" else engines.program(engine)
    asked = [
        FORMAT,
        trees.digest(trees.tree(folder)),
        engine,
        program and version(program),
        words,
        at,
        repository,
    ]
    kept = REMEMBERED / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]}.json"
    if not os.environ.get(RENEW):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(kept.read_bytes(), type=Made)
    with tempfile.TemporaryDirectory(prefix="bare-") as scratch:
        made = _run(engine, program, copied(folder, Path(scratch, "case"), repository), words, at)
    kept.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(kept, msgspec.json.encode(made), sync=False)
    return made


def copied(folder: Path, place: Path, repository: bool) -> Path:
    """A fresh copy, a repository of its own if asked for."""
    shutil.copytree(folder, place, symlinks=True)
    if repository:
        commit(place)
    return place


def of(engine: str) -> str:
    """Who does alone what an engine of esap-wf does: commands are run by the shell."""
    return "shell" if engine == "command" else engine


@lru_cache
def version(program: Path) -> str:
    """Name and version of what a program belongs to; of one that is no Python's, the folder that carries its version."""
    found = sorted(
        program.parent.parent.glob(
            f"lib/python*/site-packages/{_PACKAGES.get(program.name, '-')}-*.dist-info"
        )
    )
    if found:
        return found[-1].name
    size = program.resolve().stat().st_size
    return f"{program.resolve().parent.name}/{program.name} {size}"


_PACKAGES = {
    "snakemake": "snakemake",
    "cwltool": "cwltool",
    "toil-cwl-runner": "toil",
    "papermill": "papermill",
}


def command(engine: str, program: Path | None, words: list[str], outdir: Path) -> list[str]:
    """As people type it."""
    if program is None:
        return words
    name = str(program)
    return {
        "snakemake": [name, "--cores", "2", *words],
        "nextflow": [name, "run", *words, "-ansi-log", "false"],
        "cwl": [name, "--outdir", str(outdir), *words],
        "toil": [name, "--outdir", str(outdir), *words],
        "notebook": [name, *words],
    }[engine]


def environment(program: Path | None, home: Path) -> dict[str, str]:
    """The user's own, in which the engine's folder is on PATH."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    path = kept["PATH"] + (f":{program.parent}" if program else "")
    return {
        **kept,
        "PATH": path,
        "HOME": str(home),
        "NXF_OFFLINE": "true",
        "NXF_DISABLE_CHECK_LATEST": "true",
        "TOIL_HISTORY": "0",
    }


def _run(engine: str, program: Path | None, case: Path, words: list[str], at: str) -> Made:
    outdir, home = case.parent / "made", case.parent / "home"
    home.mkdir()
    left_out = INTERNAL.get(engine, ())
    before = trees.tree(case, left_out)
    line = command(engine, program, [word.replace("{case}", str(case)) for word in words], outdir)
    done = subprocess.run(
        line,
        cwd=case / at,
        env=environment(program, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        check=False,
    )
    made = trees.appeared(before, trees.tree(case, left_out))
    values = None
    if engine in OBJECT:
        made |= trees.tree(outdir) if outdir.is_dir() else {}
        with contextlib.suppress(ValueError):
            values = json.loads(done.stdout)
    return Made(code=done.returncode, printed=(done.stdout + done.stderr)[-4000:], tree=made, values=values)
