"""``nextflow.config`` of a run: where it tells what, how much it may use, and how containers are started.

Imported by esap_wf.engines.nextflow. A pipeline's own directives keep their meaning: only what it leaves open is set.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from esap_wf.engines import Job
from esap_wf.engines.nextflow_events import FIELDS
from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import RUN_VARIABLE

#: Folder of the run directory that goes before PATH: container programs under the names that Nextflow calls them by.
PROGRAMS = "engine/bin"


def quoted(text: str) -> str:
    """A Groovy string in which nothing is evaluated."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return "'" + "".join(c if c.isprintable() else "".join(f"\\u{ord(u):04x}" for u in _units(c)) for c in escaped) + "'"


def _units(character: str) -> list[str]:
    """UTF-16 units: Groovy escapes these, not characters."""
    data = character.encode("utf-16-be", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "big")) for i in range(0, len(data), 2)]


def text(job: Job) -> str:
    """The file."""
    allocation = job.allocation
    lines = [
        "// What this run may use and where it tells what it does; the pipeline's own settings are in its nextflow.config.",
        "process.executor = 'local'",
        "executor {",
        f"    cpus = {allocation.cores}",
        f"    memory = '{allocation.memory_bytes} B'",
        "}",
        "trace {",
        "    enabled = true",
        "    raw = true",
        "    overwrite = true",
        "    file = 'logs/trace.tsv'",
        f"    fields = {quoted(','.join(FIELDS))}",
        "}",
        *_told("report", "logs/nextflow-report.html"),
        *_told("timeline", "logs/nextflow-timeline.html"),
        *_told("dag", "logs/dag.mmd"),
        *_containers(job),
    ]
    return "\n".join(lines) + "\n"


def _told(name: str, file: str) -> list[str]:
    return [f"{name} {{", "    enabled = true", "    overwrite = true", f"    file = {quoted(file)}", "}"]


# --- containers


def choices(job: Job) -> list[ContainerChoice]:
    """Every image of a job; all of one runtime."""
    own = [job.software.container] if job.software.container else []
    return [*own, *job.software.images.values()]


def _containers(job: Job) -> list[str]:
    found = choices(job)
    if not found:
        return []
    runtime, network = found[0].runtime, all(c.network for c in found)
    lines = [f"process.container = {quoted(_name(job.software.container))}"] if job.software.container else []
    lines += [f"{runtime} {{", "    enabled = true"]
    if runtime in ("docker", "podman"):
        # HOME and the user: what is written belongs to whoever runs it. A rootless Podman's root is that user already.
        user = "--userns=keep-id" if runtime == "podman" and os.getuid() else f"-u {os.getuid()}:{os.getgid()}"
        options = [user, f"-e {RUN_VARIABLE}", '-e HOME="$NXF_TASK_WORKDIR"', *([] if network else ["--network none"])]
        lines += [f"    runOptions = {quoted(' '.join(options))}"]
    elif runtime == "apptainer":
        options = ["--no-home", '--home "$NXF_TASK_WORKDIR"', *([] if network else ["--net --network none"])]
        lines += [f"    envWhitelist = {quoted(RUN_VARIABLE)}", f"    runOptions = {quoted(' '.join(options))}", "    autoMounts = true"]
    return [*lines, "}"]


def _name(choice: ContainerChoice) -> str:
    """What `process.container` says; Nextflow takes a path for a file only with its scheme."""
    return f"file://{choice.reference}" if choice.runtime == "apptainer" else choice.reference


def programs(job: Job) -> Mapping[str, bytes]:
    """
    Scripts by which Nextflow finds the runtime's program: by name, on PATH.

    They add what the program needs here, and put what an image stands for in the place of its name.
    """
    found = choices(job)
    if not found:
        return {}
    first = found[0]
    lines = ["#!/usr/bin/env bash", f"# {first.runtime}, as it works here; images are those of the plan."]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(first.environment.items())]
    lines += ["words=()", 'for word in "$@"; do', '    case "$word" in']
    for name, choice in job.software.images.items():
        lines += [f"    {shlex.quote(name)}) word={shlex.quote(choice.reference)} ;;"]
    lines += ["    *) ;;", "    esac", '    words+=("$word")', "done"]
    if first.runtime == "apptainer":
        lines += _pulls(job)
        lines += [
            'if [ "${words[0]:-}" = exec ]; then',
            f'    words=(exec {shlex.join(first.options)} "${{words[@]:1}}")' if first.options else "    :",
            "fi",
        ]
        lines += [f'exec {shlex.quote(first.program)} "${{words[@]}}"']
    else:
        lines += [f'exec {shlex.join([first.program, *_before(first)])} "${{words[@]}}"']
    return {f"{PROGRAMS}/{first.runtime}": ("\n".join(lines) + "\n").encode()}


def _before(choice: ContainerChoice) -> list[str]:
    return choice.options if choice.runtime == "udocker" else []


def _pulls(job: Job) -> list[str]:
    """A name that the pipeline uses is 'pulled' from the file that stands for it."""
    lines = ['if [ "${words[0]:-}" = pull ]; then', "    last=${words[-1]} target=", "    for ((i = 1; i < ${#words[@]}; i++)); do"]
    lines += ['        [ "${words[i]}" = --name ] && target=${words[i + 1]}', "    done", '    case "$last" in']
    for name, choice in job.software.images.items():
        lines += [f'    {shlex.quote("docker://" + name)}) ln -sfn {shlex.quote(choice.reference)} "$target"; exit ;;']
    return [*lines, "    *) ;;", "    esac", "fi"]
