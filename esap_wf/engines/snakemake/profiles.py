"""Profiles and options that name an executor or a storage for which a Snakemake has no plug-in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from esap_wf.engines import Job
from esap_wf.engines.snakemake import python
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import documents

#: What Snakemake itself brings.
_OWN = {"local", "dryrun", "touch"}
#: Option and key of a profile → the beginning of its plug-ins' names.
_KINDS = {"executor": "snakemake_executor_plugin", "default-storage-provider": "snakemake_storage_plugin"}
_SHORT = {"-e": "executor"}


def conflicts(job: Job, program: Path, own: Path | None) -> list[Problem]:
    """
    What names a plug-in that is not there.

    Parameters
    ----------
    job : Job
    program : Path
        Snakemake.
    own : Path, optional
        Folder of the pipeline's own profile, if it is taken.
    """
    folders = python.folders(program)
    given = dict(_options(job.options))
    found: list[Problem] = []
    profiles = [own] if own and "workflow-profile" not in given else []
    for option in ("profile", "workflow-profile"):
        if option in given and given[option] != "none":
            profile = _profile(given[option])
            if profile is None:
                what = f"--{option} {given[option]}: there is no such profile"
                found.append(
                    Problem(
                        "engine options",
                        what,
                        "name its folder by an absolute path: a run has a folder of its own",
                    )
                )
            else:
                profiles.append(profile)
    for key, name in _named(profiles):
        # what a command line says counts before every profile
        if key[0] not in given:
            found += _missing(*key, name, folders, program)
    for key_, name in given.items():
        if key_ in _KINDS:
            found += _missing(key_, "engine options", name, folders, program)
    return found


def _missing(key: str, where: str, name: str, folders: list[Path], program: Path) -> Iterator[Problem]:
    plugin = f"{_KINDS[key]}_{name.replace('-', '_')}"
    if name in _OWN or not name or not folders or any((folder / plugin).is_dir() for folder in folders):
        return
    package = plugin.replace("_", "-")
    hint = f"{program.resolve().parent / 'python'} -m pip install {package}"
    hint += ", or the steps on this machine: -- --executor local" if key == "executor" else ""
    yield Problem(
        where,
        f"asks for the {key} {name}, and the Snakemake at {program} has no plug-in for it ({package})",
        hint,
    )


def _options(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Options that matter, with their values."""
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        name = _SHORT.get(option, option.removeprefix("--"))
        if name in {*_KINDS, "profile", "workflow-profile"} and option.startswith("-"):
            yield name, value if equals else (words[i + 1] if i + 1 < len(words) else "")


def _profile(name: str) -> Path | None:
    """Where Snakemake finds a profile; a relative path would be the run directory's."""
    tops = [Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"), Path("/etc/xdg")]
    folders = [Path(name)] if Path(name).is_absolute() else [top / "snakemake" / name for top in tops]
    return next((folder for folder in folders if _files(folder)), None)


def _files(folder: Path) -> list[Path]:
    """Its configuration: of several the one for the newest version, which comes last by name."""
    return sorted(p for p in folder.glob("config*.y*ml")) if folder.is_dir() else []


def _named(profiles: list[Path]) -> Iterator[tuple[tuple[str, str], str]]:
    """(key, ``file:line``) and the name."""
    for profile in profiles:
        for file in _files(profile)[-1:]:
            try:
                document = documents.load(file)
            except EsapError:
                continue
            for key in _KINDS:
                name = document.data.get(key) if isinstance(document.data, dict) else None
                if isinstance(name, str):
                    yield (key, document.line([key])), name
