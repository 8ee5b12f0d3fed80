"""Whether the Python of a Snakemake has what a Snakefile imports, looked up in its folders without starting
it.

A Snakefile is executed by that Python: what it imports must be there, not on the steps' PATH.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from esap_wf.engines.snakemake.declarations import Declarations
from esap_wf.errors import Problem

_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
#: Entries of a pipeline's folder that are looked at for modules of its own.
MAX_ENTRIES = 20_000


def objections(
    declared: Declarations, root: Path, program: Path, installable: Collection[str] = ()
) -> list[Problem]:
    """
    Imports at the top of a Snakefile that can't succeed.

    Parameters
    ----------
    declared : Declarations
        The Snakefile, with all that it includes.
    root : Path
        The pipeline's folder: modules in it are its own.
    program : Path
        Snakemake.
    installable : collection of str
        What the Snakemake of `engines install` has beside itself, if that one would be taken.

    Returns
    -------
    list of Problem
        None if the layout of Python's folders is unknown, or the Snakefile changes ``sys.path``.
    """
    wanted = {
        n: where
        for n, where in declared.imports.items()
        if n not in sys.stdlib_module_names and n != "snakemake"
    }
    if not wanted or declared.moves_path:
        return []
    importable = folders(program)
    if not importable:
        return []
    missing = {n: where for n, where in wanted.items() if not any(_holds(folder, n) for folder in importable)}
    if not missing:
        return []
    own = _names(root)
    beside = program.resolve().parent / "python"
    return [
        Problem(
            where,
            f"imports {name}, which the Python of Snakemake at {program} does not have",
            ("esap-wf engines install snakemake gives one that has it; or " if name in installable else "")
            + f"{beside} -m pip install {name}, or another Snakemake by [engines.snakemake] path",
        )
        for name, where in missing.items()
        if own is not None and name not in own
    ]


def folders(program: Path) -> list[Path]:
    """Every folder from which that Python imports; empty if they can't be told."""
    prefix = next((p for p in (program.parent.parent, program.resolve().parent.parent) if _sites(p)), None)
    if prefix is None:
        return []
    virtual = prefix / "pyvenv.cfg"
    if virtual.is_file():
        text = virtual.read_text("utf-8", "replace").lower()
        if any(line.replace(" ", "") == "include-system-site-packages=true" for line in text.splitlines()):
            return []
    elif not (prefix / "conda-meta").is_dir():  # a system's Python has more folders than one can know
        return []
    user = [] if virtual.is_file() else list(Path("~/.local/lib").expanduser().glob("python3*/site-packages"))
    given = [Path(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    sites = [*_sites(prefix), *user]
    return [*sites, *(folder for site in sites for folder in _linked(site)), *given]


def _sites(prefix: Path) -> list[Path]:
    """``site-packages`` below a prefix, if Snakemake is in one of them."""
    sites = list(prefix.glob("lib/python3*/site-packages"))
    return sites if any((site / "snakemake").is_dir() for site in sites) else []


def _linked(site: Path) -> Iterator[Path]:
    """Folders that ``.pth`` files add."""
    for file in site.glob("*.pth"):
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text("utf-8", "replace").splitlines():
                if (
                    line.strip()
                    and not line.startswith(("#", "import ", "import\t"))
                    and (site / line.strip()).is_dir()
                ):
                    yield site / line.strip()


def _holds(folder: Path, name: str) -> bool:
    """
    Whether a module can be imported from a folder; that of an editable installation may be named by a finder
    only.
    """
    try:
        if (folder / name).is_dir() or any(p.name.endswith(_SUFFIXES) for p in folder.glob(f"{name}.*")):
            return True
        return any(
            f"'{name}'" in p.read_text("utf-8", "replace") for p in folder.glob("__editable__*finder.py")
        )
    except (OSError, ValueError):
        return True


def _names(root: Path) -> set[str] | None:
    """
    Names of all folders and files of the pipeline, without their endings; None if they are too many to look
    at.
    """
    found: set[str] = set()
    seen = 0
    for _, folders, files in os.walk(root):
        folders[:] = [n for n in folders if not n.startswith(".")]
        seen += len(folders) + len(files)
        if seen > MAX_ENTRIES:
            return None
        found |= {*folders, *_modules(files)}
    return found


def _modules(files: Iterable[str]) -> Iterator[str]:
    return (name.split(".")[0] for name in files if name.endswith(_SUFFIXES))
