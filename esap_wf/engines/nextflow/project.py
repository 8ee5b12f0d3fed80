"""A Nextflow project on disk: its main script, and the folder that holds all that it uses."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from esap_wf.code import repositories, roots
from esap_wf.engines.nextflow import schema, scripts
from esap_wf.engines.nextflow.settings import Settings
from esap_wf.engines.nextflow.statements import read_config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading

CONFIG = "nextflow.config"
#: What a script may use without naming it.
_ALONGSIDE = ("bin", "lib", "templates", "modules", "subworkflows")


def main_script(path: Path) -> Path | None:
    """
    The script that is meant: ``manifest.mainScript``, ``main.nf``, or the only one that no other one
    includes; None if there is none.

    Raises
    ------
    UsageError
        Several may be meant, or the one that is named is missing.
    """
    if path.is_file():
        return path if path.suffix == ".nf" or _says_so(path) else None
    if not path.is_dir():
        return None
    named = Settings()
    if (path / CONFIG).is_file():
        read_config(named, (path / CONFIG).absolute(), path.absolute())
        if script := named.text("manifest.mainScript"):
            if (path / script).is_file():
                return path / script
            where = named.last("manifest.mainScript")
            raise UsageError(
                f"{path} has no main script",
                [Problem(where.origin if where else "", f"there is no {path / script}")],
            )
    if (path / "main.nf").is_file():
        return path / "main.nf"
    files = sorted(p for p in path.iterdir() if p.suffix == ".nf" and p.is_file())
    if len(files) < 2:
        if not files and (path / CONFIG).is_file() and (path / schema.FILE).is_file():
            raise UsageError(
                f"{path} has no main script", [Problem(str(path / "main.nf"), "there is no such file")]
            )
        return next(iter(files), None)
    used: set[Path] = set().union(*(scripts.included(f) for f in files))
    tops = [f for f in files if Path(os.path.normpath(f)) not in used]
    if len(tops) == 1:
        return tops[0]
    choices = [
        Problem(str(f), "is a script that no other one includes", f"give this file: {f}")
        for f in tops or files
    ]
    raise UsageError(f"there are several Nextflow scripts in {path}: say which", choices)


def _says_so(path: Path) -> bool:
    try:
        with reading.opened(path) as f:
            return re.match(rb"#!.*\bnextflow\b", f.readline(200)) is not None
    except OSError:
        return False


def launch_config(path: Path, main: Path) -> Path | None:
    """
    The configuration of the folder in which one would start a script that stands deeper: that of the project,
    or of the repository.

    Nextflow reads what lies beside the script and what lies where it is started.
    """
    top = path.absolute() if path.is_dir() else repositories.top_of(main)
    return top / CONFIG if top and top != main.parent and (top / CONFIG).is_file() else None


def root(main: Path, used: Collection[Path], whole: bool) -> tuple[Path, tuple[str, ...] | None, list[str]]:
    """
    The folder of the snapshot: the repository if anything in it may be used.

    Parameters
    ----------
    main : Path
    used : collection of Path
        Scripts and configuration files.
    whole : bool
        Whether anything in the folder may be used.

    Returns
    -------
    root : Path
    files : tuple of str, optional
        For a script alone: what it uses, relative to the folder.
    warnings : list of str
    """
    project = main.parent
    top = Path(os.path.commonpath([project, *(p.parent for p in used)]))
    repository = repositories.top_of(main)
    if (repository and not top.is_relative_to(repository)) or top == Path(top.anchor):
        far = [p for p in sorted(used) if not p.is_relative_to(repository or project)]
        raise UsageError(
            f"{main} includes files far from it", [Problem(str(p), "lies outside of its folder") for p in far]
        )
    if whole:
        found, warnings = roots.root_of(main, top)
        return found, None, warnings
    beside = {p for folder in _ALONGSIDE for p in (project / folder).rglob("*") if p.is_file()}
    return top, tuple(sorted(p.relative_to(top).as_posix() for p in {*used, *beside})), []
