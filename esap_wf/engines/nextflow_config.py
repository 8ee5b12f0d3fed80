"""``nextflow.config`` of a run: where it tells what, how much it may use, and how containers are started.

Imported by esap_wf.engines.nextflow. A pipeline's own directives keep their meaning: only what it leaves open is set.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from esap_wf.containers.runtime import LABEL
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
    lines += [f"{runtime} {{", "    enabled = true", f"    runOptions = {quoted(' '.join(_options(found[0], network)))}"]
    if runtime in ("docker", "podman"):
        lines += ["    writableInputMounts = false"]
    elif runtime == "apptainer":
        lines += ["    autoMounts = true", f"    envWhitelist = {quoted(RUN_VARIABLE)}"]
    return [*lines, "}"]


def _options(choice: ContainerChoice, network: bool) -> list[str]:
    """
    Options of each start. Nextflow pastes them into a shell's text, which knows the task's folder and the run's key.

    What is written belongs to whoever runs it, the home is the task's own, and what is left of a run is found by its key.
    """
    given = [shlex.quote(o) for o in choice.options]
    if choice.runtime in ("docker", "podman"):
        user = [] if any(o.startswith(("--user=", "--userns=")) for o in choice.options) else [f"--user={os.getuid()}:{os.getgid()}"]
        key = [f"--env={RUN_VARIABLE}", f"--label={LABEL}=${{{RUN_VARIABLE}:-none}}"]
        pull = [] if choice.form == "rootfs" else ["--pull=never"]
        return [*given, *user, *key, *pull, '--env=HOME="$NXF_TASK_WORKDIR"', *([] if network else ["--network=none"])]
    if choice.runtime == "apptainer":
        return [*given, "--no-eval", "--no-mount home", '--home "$NXF_TASK_WORKDIR"', *([] if network else ["--net --network none"])]
    return ['--env=HOME="$NXF_TASK_WORKDIR"', f'--env={RUN_VARIABLE}="${{{RUN_VARIABLE}:-}}"']


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
    for name, choice in {**job.software.images, **({_name(first): first} if job.software.container else {})}.items():
        lines += [f"    {shlex.quote(name)}) words+=({shlex.join(_image(choice))}) ;;"]
    lines += ['    *) words+=("$word") ;;', "    esac", "done"]
    if first.runtime == "apptainer":
        lines += _pulls(job)
    lines += [f'exec {shlex.quote(first.program)} "${{words[@]}}"']
    return {f"{PROGRAMS}/{first.runtime}": ("\n".join(lines) + "\n").encode()}


def _image(choice: ContainerChoice) -> list[str]:
    """The words that stand for an image; Podman writes into an overlay of a folder."""
    return ["--rootfs", f"{choice.reference}:O"] if choice.runtime == "podman" and choice.form == "rootfs" else [choice.reference]


def _pulls(job: Job) -> list[str]:
    """A name that the pipeline uses is 'pulled' from the file that stands for it."""
    lines = ['if [ "${words[0]:-}" = pull ]; then', "    last=${words[-1]} target=", "    for ((i = 1; i < ${#words[@]}; i++)); do"]
    lines += ['        [ "${words[i]}" = --name ] && target=${words[i + 1]}', "    done", '    case "$last" in']
    for name, choice in job.software.images.items():
        lines += [f'    {shlex.quote("docker://" + name)}) ln -sfn {shlex.quote(choice.reference)} "$target"; exit ;;']
    return [*lines, "    *) ;;", "    esac", "fi"]
