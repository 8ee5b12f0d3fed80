"""What a CWL engine is given in a run directory: the job order, and what both engines take.

Imported by cwl, toil.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from esap_wf.engines import Job, JobInput, settings
from esap_wf.models.plan import ContainerChoice
from esap_wf.models.request import DataRef
from esap_wf.runs.processes import RUN_VARIABLE

ORDER = "job.json"
#: What a tool's environment holds beside what CWL says: the key by which the run's processes are found.
PRESERVED = (RUN_VARIABLE,)


def order(job: Job) -> bytes:
    """
    The job order: parameters that have a value, files and folders, selected columns, each by the name that the document has.

    What the house adds for other engines (`inputs`, `selected`, `workflow`) has no place in CWL: a process knows its own inputs only.
    """
    values: dict[str, Any] = {name: value for name, value in job.parameters.items() if value is not None}
    values |= {name: value for name, value in job.selected.items() if value is not None}
    for name, given in job.inputs.items():
        found = [_file(ref, given) for ref in given.refs]
        if given.many and (found or not job.plain):  # of a pipeline's own, nothing given is no empty list: its default counts
            values[name] = found
        elif found:
            values[name] = found[0]
    return settings.as_json(values)


def _file(ref: DataRef, given: JobInput) -> dict[str, Any]:
    """A File or Directory. Its location is a URL, so that no character of a name is taken for one of a URL's own."""
    assert ref.path is not None
    path = Path(ref.path)
    location = f"file://{quote(str(path))}" if path.is_absolute() else quote(str(path))
    kind = "Directory" if ref.folder or path.is_dir() else "File"
    return {"class": kind, "location": location, **({"format": given.format} if given.format and kind == "File" else {})}


def document(job: Job) -> str:
    """The file, or a part of it."""
    return f"{job.entry}#{job.item}" if job.item else job.entry


# --- containers

#: Folder of the run directory that goes before PATH: container programs under the names that cwltool calls them by.
PROGRAMS = "engine/bin"
#: What an image is called that has no name of its own, in the place of which the plan's stands.
UNNAMED = "image.of/this-workflow:1"
#: What udocker calls a container that is a folder.
_FOLDER = "folder"
_CALLED = {"apptainer": "singularity"}
_SELECTED = {"apptainer": ["--singularity"], "podman": ["--podman"], "docker": []}


@dataclass(frozen=True)
class Contained:
    """How an engine starts containers: its arguments, scripts for PATH, environment."""

    arguments: list[str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    bin_dirs: tuple[str, ...] = ()


def contained(job: Job) -> Contained:
    """
    Containers as the plan says; without any, tools run on this machine even where they name an image.

    cwltool finds a runtime's program by its name, and images by theirs: scripts stand for both.
    """
    own = job.software.container
    found = [*([own] if own else []), *job.software.images.values()]
    if not found:
        return Contained(["--no-container"])
    runtime = found[0].runtime
    name = own.reference if own and own.form == "name" else UNNAMED
    called = _CALLED.get(runtime, runtime)
    arguments = [*_SELECTED.get(runtime, ["--user-space-docker-cmd", called]), *(["--default-container", name] if own else [])]
    names = {**({name: own} if own else {}), **job.software.images}
    return Contained(
        arguments,
        {f"{PROGRAMS}/{called}": _program(found[0], names)},
        {"CWL_SINGULARITY_CACHE": "work/images"} if runtime == "apptainer" else {},
        (PROGRAMS,),
    )


def _program(first: ContainerChoice, names: Mapping[str, ContainerChoice]) -> bytes:
    """Script that stands for a runtime's program: adds what it needs here, puts what an image stands for in the place of its name."""
    lines = ["#!/usr/bin/env bash", f"# {first.runtime}, as it works here; images are those of the plan."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(first.environment.items())]
    added = list(first.options) if first.runtime != "udocker" else []
    before = first.options if first.runtime == "udocker" else []
    dropped = []
    if first.runtime == "apptainer":
        lines += _pulls(first.program, names)
    elif first.runtime == "podman" and os.getuid() == 0:
        dropped.append("--userns=keep-id")  # of rootless Podman only
    elif first.runtime == "udocker":
        dropped.append("--quiet")  # it is told by -q already, and a second one is an error
    if any(option.startswith("--user=") for option in added):
        dropped.append("--user=*")
    if first.runtime != "udocker" and not all(c.network for c in names.values()):
        added += ["--net", "--network", "none"] if first.runtime == "apptainer" else ["--net=none"]
    # what stands behind the image is the tool's, whatever it looks like
    lines += ["words=() started= image=", 'for word in "$@"; do', '    if [ -z "$image" ]; then', '    case "$word" in']
    for name, choice in names.items():
        folder = first.runtime == "udocker" and choice.form == "rootfs"
        place = f"words+=({shlex.quote('--location=' + choice.reference)}) " if folder else ""
        lines.append(f"    {shlex.quote(name)}) {place}word={_FOLDER if folder else shlex.quote(choice.reference)} image=1 ;;")
    lines += [f"    {pattern}) continue ;;" for pattern in dropped]
    lines += [f'    run | exec) [ -n "$started" ] || {{ started=1; words+=("$word" {shlex.join(added)}); continue; }} ;;'] if added else []
    lines += ["    *) ;;", "    esac", "    fi", '    words+=("$word")', "done"]
    lines += [f'exec {shlex.join([first.program, *before])} "${{words[@]}}"']
    return ("\n".join(lines) + "\n").encode()


def _pulls(program: str, names: Mapping[str, ContainerChoice]) -> list[str]:
    """What is 'pulled' is the file that stands for a name; another name comes from its registry."""
    lines = ['for word in "$@"; do', '    [ "$word" != pull ] || pull=1', "done", 'if [ -n "${pull:-}" ]; then', "    last=${!#} target="]
    lines += ['    while [ $# -gt 0 ]; do [ "$1" = --name ] && target=$2; shift; done', '    mkdir -p -- "$(dirname -- "$target")"']
    lines += ['    case "${last#docker://}" in']
    files = {name: choice.reference for name, choice in names.items() if choice.form != "name"}
    lines += [f'    {shlex.quote(name)}) ln -sfn -- {shlex.quote(place)} "$target"; exit ;;' for name, place in files.items()]
    return [*lines, f'    *) exec {shlex.quote(program)} pull --force --name "$target" "$last" ;;', "    esac", "fi"]
