"""What a CWL engine is given in a run directory: the job order, and what both engines take."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from esap_wf.engines import Job, JobInput
from esap_wf.engines.cwl import demands
from esap_wf.errors import Problem
from esap_wf.formats import literals
from esap_wf.models.plan import ContainerChoice
from esap_wf.models.request import DataRef, is_file_object
from esap_wf.runs.processes import RUN_VARIABLE
from esap_wf.software.containers.runtime import SHELL_LABELS

ORDER = "job.json"
#: What the process gave back: its outputs by name, as CWL's objects.
ANSWER = "engine/answer.json"
#: Where the shard runner keeps its journals, if a tool can see that folder (rules/shard).
SHARDS = "SHARD_JOURNAL"
#: What a tool's environment holds beside what CWL says: the key by which the run's processes are found.
PRESERVED = (RUN_VARIABLE, SHARDS)


def order(job: Job) -> bytes:
    """
    The job order: parameters that have a value, files and folders, selected columns, each by the name that
    the document has. What stands in a user's job order stands here, too, as it does there.

    What the house adds for other engines (`inputs`, `selected`, `workflow`) has no place in CWL: a process
    knows its own inputs only.
    """
    values: dict[str, Any] = {
        name: _placed(value) for name, value in job.parameters.items() if value is not None
    }
    values |= {name: value for name, value in job.selected.items() if value is not None}
    if job.shard_size:
        values["shard_size"] = job.shard_size
    for name, given in job.inputs.items():
        found = [_file(ref, given) for ref in given.refs]
        # of a pipeline's own, nothing given is no empty list: its default counts
        if given.many and (found or not job.plain):
            values[name] = found
        elif found:
            values[name] = found[0]
    return literals.put_back(values, job.literals)


def _placed(value: Any) -> Any:
    """A value of a user's job order as it stands; a file's path as the URL that it means."""
    if isinstance(value, list):
        return [_placed(v) for v in value]
    if not isinstance(value, dict):
        return value
    moved = {k: _placed(v) for k, v in value.items()}
    if is_file_object(value) and isinstance(value.get("path"), str) and "location" not in value:
        moved = {
            ("location" if k == "path" else k): (_url(v) if k == "path" else v) for k, v in moved.items()
        }
    return moved


def _url(text: str) -> str:
    return quote(text) if not Path(text).is_absolute() else f"file://{quote(text)}"


def _file(ref: DataRef, given: JobInput) -> dict[str, Any]:
    """
    A File or Directory. Its location is a URL, so that no character of a name is taken for one of a URL's
    own.
    """
    assert ref.path is not None
    kind = "Directory" if ref.folder or (Path(ref.path).is_absolute() and Path(ref.path).is_dir()) else "File"
    return {
        "class": kind,
        "location": _url(ref.path),
        **({"format": given.format} if given.format and kind == "File" else {}),
    }


def document(job: Job) -> str:
    """The file, or a part of it."""
    return f"{job.entry}#{job.item}" if job.item else job.entry


# --- containers

#: Folder of the run directory that goes before PATH: container programs under the names that cwltool calls
#: them by.
PROGRAMS = "engine/bin"
#: What an image is called that has no name of its own, in the place of which the plan's stands.
UNNAMED = "image.of/this-workflow:1"
#: Where cwltool puts what it pulls for Apptainer; relative to the run.
_PULLED = "work/images"
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
    found = job.software.containers
    if not found:
        return Contained(["--no-container"])
    runtime = found[0].runtime
    name = own.reference if own and own.form == "name" else UNNAMED
    called = _CALLED.get(runtime, runtime)
    arguments = [
        *_SELECTED.get(runtime, ["--user-space-docker-cmd", called]),
        *(["--default-container", name] if own else []),
    ]
    names = {**({name: own} if own else {}), **job.software.images}
    return Contained(
        arguments,
        {f"{PROGRAMS}/{called}": _program(found[0], names)},
        {"CWL_SINGULARITY_CACHE": _PULLED} if runtime == "apptainer" else {},
        (PROGRAMS,),
    )


def insisting(job: Job, title: str) -> list[Problem]:
    """Tools that are run in a container only, where the plan has none."""
    if job.software.containers or job.source is None:
        return []
    found = []
    for who, image, where in demands.images(job.source, job.item):
        why = [reason.removeprefix(f"{image}: ") for reason in job.software.refused if image in reason]
        what = (
            f"{who} is run in the image {image} only: DockerRequirement is under requirements, and "
            f"{title} refuses to run it without"
        )
        hint = (
            "a runtime that works here (esap-wf doctor, docs/containers.md), or the image as an archive or "
            "a SIF ([containers.map] in the configuration); under hints in place of requirements it is run "
            "with what is on PATH"
        )
        found.append(
            Problem(
                where,
                f"{what} ({'; '.join(why) or 'no container was asked for: leave out --software'})",
                hint,
            )
        )
    return found


def _program(first: ContainerChoice, names: Mapping[str, ContainerChoice]) -> bytes:
    """
    Script that stands for a runtime's program: adds what it needs here, puts what an image stands for in the
    place of its name.
    """
    lines = ["#!/usr/bin/env bash", (f"# {first.runtime}, as it works here; images are those of the plan.")]
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
    lines += _shards(first.runtime)
    # what stands behind the image is the tool's, whatever it looks like
    lines += [
        "words=() started= place=0 image=",
        'for word in "$@"; do',
        '    if [ -z "$image" ]; then',
        '    case "$word" in',
    ]
    for name, choice in names.items():
        folder = first.runtime == "udocker" and choice.form == "rootfs"
        location = f"words+=({shlex.quote('--location=' + choice.reference)}) " if folder else ""
        lines.append(
            f"    {shlex.quote(name)}) {location}word={_FOLDER if folder else shlex.quote(choice.reference)} "
            "image=1 ;;"
        )
    if first.runtime == "apptainer":
        # `run` hands the command to the image's script, which a plain folder doesn't have
        script = '[ ! -d "$word" ] || [ -e "$word/.singularity.d/runscript" ] || words[place]=exec'
        lines.append(f"    /*/{_PULLED}/*.sif) {script}; image=1 ;;")
    lines += [f"    {pattern}) continue ;;" for pattern in dropped]
    marks = [f"--env={RUN_VARIABLE}", *SHELL_LABELS] if first.runtime in ("docker", "podman") else []
    options = " ".join(["", *map(shlex.quote, added), *marks, '"${shards[@]}"'])
    lines.append(
        '    run | exec) [ -n "$started" ] || { started=1 place=${#words[@]}; '
        f'words+=("$word"{options}); continue; }} ;;'
    )
    lines += ["    *) ;;", "    esac", "    fi", '    words+=("$word")', "done"]
    lines += [f'exec {shlex.join([first.program, *before])} "${{words[@]}}"']
    return ("\n".join(lines) + "\n").encode()


def _shards(runtime: str) -> list[str]:
    """The folder of journals is the same in a container, which may be the end of it before its time."""
    by_mount = f'\'--mount=type=bind,"source=\'"${SHARDS}"\'","target=\'"${SHARDS}"\'"\''
    by_pair = f'"--volume=${SHARDS}:${SHARDS}"'
    mount = {"apptainer": by_pair.replace("volume", "bind"), "udocker": by_pair}.get(runtime, by_mount)
    return [
        "shards=()",
        f'if [ -n "${{{SHARDS}:-}}" ]; then',
        f'    mkdir -p -- "${SHARDS}"',
        f'    shards=({mount} "--env={SHARDS}=${SHARDS}")',
        "fi",
    ]


def _pulls(program: str, names: Mapping[str, ContainerChoice]) -> list[str]:
    """What is 'pulled' is the file that stands for a name; another name comes from its registry."""
    lines = [
        'for word in "$@"; do',
        '    case "$word" in pull) pull=1; break ;; run | exec) break ;; esac',
        "done",
        'if [ -n "${pull:-}" ]; then',
        "    last=${!#} target=",
    ]
    lines += [
        '    while [ $# -gt 0 ]; do [ "$1" = --name ] && target=$2; shift; done',
        '    mkdir -p -- "$(dirname -- "$target")"',
    ]
    lines += ['    case "${last#docker://}" in']
    files = {name: choice.reference for name, choice in names.items() if choice.form != "name"}
    lines += [
        f'    {shlex.quote(name)}) ln -sfn -- {shlex.quote(path)} "$target"; exit ;;'
        for name, path in files.items()
    ]
    return [
        *lines,
        f'    *) exec {shlex.quote(program)} pull --force --name "$target" "$last" ;;',
        "    esac",
        "fi",
    ]
