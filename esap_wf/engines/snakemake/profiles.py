"""Profiles and options that name an executor or a storage for which a Snakemake has no plug-in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from esap_wf.engines import Job
from esap_wf.engines.snakemake import python
from esap_wf.errors import EsapError, Problem
from esap_wf.formats import documents
from esap_wf.models.plan import EngineChoice

#: What Snakemake itself brings.
_OWN = {"local", "dryrun", "touch"}
#: Option and key of a profile → the beginning of its plug-ins' names.
_KINDS = {"executor": "snakemake_executor_plugin", "default-storage-provider": "snakemake_storage_plugin"}
_SHORT = {"-e": "executor"}


def conflicts(job: Job, choice: EngineChoice, own: Path | None) -> list[Problem]:
    """
    What names a plug-in that is not there.

    Parameters
    ----------
    job : Job
    choice : EngineChoice
        Snakemake.
    own : Path, optional
        Folder of the pipeline's own profile, if it is taken.
    """
    has = _plugins_of(choice)
    given = dict(_options(job.options))
    found: list[Problem] = []
    profiles = [own] if own and "workflow-profile" not in given else []
    for option in ("profile", "workflow-profile"):
        if option in given and given[option] != "none":
            profile = None if choice.place else _profile(given[option])
            if choice.place:
                what = f"--{option} {given[option]}: a profile of this machine is not at {choice.place}"
                found.append(Problem("engine options", what, "leave it out, or name --executor and the like"))
            elif profile is None:
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
            found += _missing(*key, name, has, choice)
    for key_, name in given.items():
        if key_ in _KINDS:
            found += _missing(key_, "engine options", name, has, choice)
    return found


def _plugins_of(choice: EngineChoice) -> Callable[[str], bool]:
    """Whether a Snakemake has a package; it is taken to have all if that can't be told."""
    if choice.place:
        return lambda plugin: not choice.packages or plugin.replace("_", "-") in choice.packages
    folders = python.folders(Path(choice.path))
    return lambda plugin: not folders or any((folder / plugin).is_dir() for folder in folders)


def _missing(
    key: str, where: str, name: str, has: Callable[[str], bool], choice: EngineChoice
) -> Iterator[Problem]:
    plugin = f"{_KINDS[key]}_{name.replace('-', '_')}"
    if name in _OWN or not name or has(plugin):
        return
    package = plugin.replace("_", "-")
    pip = "python" if choice.place else Path(choice.path).resolve().parent / "python"
    here = choice.place or "this machine"
    hint = f"{pip} -m pip install {package}" + (f" at {here}" if choice.place else "")
    hint += f", or the steps on {here}: -- --executor local" if key == "executor" else ""
    yield Problem(
        where,
        f"asks for the {key} {name}, and the Snakemake at {choice.path} has no plug-in for it ({package})",
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
