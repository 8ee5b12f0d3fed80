"""``nextflow.config`` of a run: where it tells what, how much it may use, and how containers are started.

A pipeline's own directives keep their meaning: only what it leaves open is set.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from esap_wf.engines import Job
from esap_wf.engines.nextflow.trace import FIELDS
from esap_wf.models.plan import ContainerChoice
from esap_wf.runs.processes import RUN_VARIABLE
from esap_wf.software.containers.runtime import SHELL_LABELS

#: Folder of the run directory that goes before PATH: container programs under the names that Nextflow calls
#: them by.
PROGRAMS = "engine/bin"
#: What a configuration may enable. Nextflow refuses two at once, and one that the plan doesn't name would
#: pull what it didn't announce.
RUNTIMES = ("apptainer", "charliecloud", "docker", "podman", "sarus", "shifter", "singularity", "udocker")


def quoted(text: str) -> str:
    """A Groovy string in which nothing is evaluated."""
    escaped = (
        text.replace("\\", "\\\\")
        .replace("'", "\\'")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
    )
    return (
        "'"
        + "".join(c if c.isprintable() else "".join(f"\\u{ord(u):04x}" for u in _units(c)) for c in escaped)
        + "'"
    )


def _units(character: str) -> list[str]:
    """UTF-16 units: Groovy escapes these, not characters."""
    data = character.encode("utf-16-be", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "big")) for i in range(0, len(data), 2)]


def text(job: Job, submits: Iterable[str] = ()) -> str:
    """
    The file.

    Parameters
    ----------
    job : Job
    submits : iterable of str
        Lines of the file by which tasks are submitted to a workload manager; without them they work here.
    """
    lines = [
        (
            "// What this run may use and where it tells what it does; the pipeline's own settings are in "
            "its nextflow.config."
        ),
        *(list(submits) or _here(job)),
        "trace {",
        "    enabled = true",
        "    raw = true",
        "    overwrite = true",
        "    file = 'logs/trace.tsv'",
        f"    fields = {quoted(','.join(FIELDS))}",
        "}",
        *_reporting("report", "logs/nextflow-report.html"),
        *_reporting("timeline", "logs/nextflow-timeline.html"),
        *_reporting("dag", "logs/dag.mmd"),
        *_containers(job),
    ]
    return "\n".join(lines) + "\n"


def _here(job: Job) -> list[str]:
    return [
        "process.executor = 'local'",
        "executor {",
        f"    cpus = {job.allocation.cores}",
        f"    memory = '{job.allocation.memory_bytes} B'",
        "}",
    ]


def _reporting(name: str, file: str) -> list[str]:
    return [f"{name} {{", "    enabled = true", "    overwrite = true", f"    file = {quoted(file)}", "}"]


# --- containers


def choices(job: Job) -> list[ContainerChoice]:
    """Every image of a job; all of one runtime."""
    return job.software.containers


def _containers(job: Job) -> list[str]:
    """How the steps' containers are started; without any, what the pipeline itself enables is turned off."""
    found = choices(job)
    if not found:
        # the user's own choice of a profile counts
        return (
            _disabled()
            if job.plain and not any(o.startswith(("-profile", "-with-")) for o in job.options)
            else []
        )
    runtime, network = found[0].runtime, all(c.network for c in found)
    lines = [f"process.container = {quoted(_name(job.software.container))}"] if job.software.container else []
    lines += [
        f"{runtime} {{",
        "    enabled = true",
        f"    runOptions = {quoted(' '.join(_options(found[0], network, bool(job.shard_size))))}",
    ]
    if runtime in ("docker", "podman"):
        lines += ["    writableInputMounts = false"]
    elif runtime == "apptainer":
        lines += ["    autoMounts = true", f"    envWhitelist = {quoted(RUN_VARIABLE)}"]
    return [*lines, "}", *_disabled(but=runtime)]


def _disabled(but: str = "") -> list[str]:
    return [f"{name}.enabled = false" for name in RUNTIMES if name != but]


def _options(choice: ContainerChoice, network: bool, shards: bool = False) -> list[str]:
    """
    Options of each start. Nextflow pastes them into a shell's text, which knows the task's folder and the
    run's key.

    What is written belongs to whoever runs it, the home is the task's own, and what is left of a run is found
    by its key.
    """
    given = [shlex.quote(o) for o in choice.options]
    if shards:  # what shards make stays outside of the task's folder, which is three levels below the run's
        option = "--bind" if choice.runtime == "apptainer" else "--volume"
        given.append(f'{option} "${{NXF_TASK_WORKDIR%/*/*/*}}:${{NXF_TASK_WORKDIR%/*/*/*}}"')
    if choice.runtime in ("docker", "podman"):
        user = (
            []
            if any(o.startswith(("--user=", "--userns=")) for o in choice.options)
            else [f"--user={os.getuid()}:{os.getgid()}"]
        )
        key = [f"--env={RUN_VARIABLE}", *SHELL_LABELS]
        pull = [] if choice.form == "rootfs" else ["--pull=never"]
        return [
            *given,
            *user,
            *key,
            *pull,
            '--env=HOME="$NXF_TASK_WORKDIR"',
            *([] if network else ["--network=none"]),
        ]
    if choice.runtime == "apptainer":
        return [
            *given,
            "--no-eval",
            "--no-mount home",
            '--home "$NXF_TASK_WORKDIR"',
            *([] if network else ["--net --network none"]),
        ]
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
    if first.runtime == "udocker":
        return {f"{PROGRAMS}/udocker.py": _udocker(first, _standing(job))}
    lines = [*_head(first), "words=()", 'for word in "$@"; do', '    case "$word" in']
    for name, choice in _standing(job).items():
        lines += [f"    {shlex.quote(name)}) words+=({shlex.join(_image(choice))}) ;;"]
    lines += ['    *) words+=("$word") ;;', "    esac", "done"]
    if first.runtime == "apptainer":
        # Nextflow starts it with an environment of its own, and processes of a run are found by its key
        lines += [f"export {RUN_VARIABLE}=${{APPTAINERENV_{RUN_VARIABLE}:-}}", *_pulls(job)]
    lines += [f'exec {shlex.quote(first.program)} "${{words[@]}}"']
    return {f"{PROGRAMS}/{first.runtime}": _script(lines)}


def _head(choice: ContainerChoice) -> list[str]:
    title = f"# {choice.runtime}, as it works here; images are those of the plan."
    return [
        "#!/usr/bin/env bash",
        title,
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(choice.environment.items())),
    ]


def _script(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _standing(job: Job) -> dict[str, ContainerChoice]:
    """What stands for which name."""
    own = job.software.container
    return {**job.software.images, **({_name(own): own} if own else {})}


def _udocker(first: ContainerChoice, standing: Mapping[str, ContainerChoice]) -> bytes:
    """
    Nextflow calls an old udocker: it lists images, makes a container of one, and runs that.

    Here folders are run as they are. Its options to remove the container and to mount the home are left out.
    """
    names = {spelled: choice for name, choice in standing.items() for spelled in (name, f"{name}:latest")}
    user = ["--hostauth", f"--user={os.getuid()}"] if os.getuid() else []
    lines = [
        *_head(first),
        'case "${1:-}" in',
        f"images) printf '%s \\n' {shlex.join(names)}; exit ;;",
        "pull) exit 1 ;;",
    ]
    lines += ['create) printf "%s\\n" "$2"; exit ;;', "esac", "words=() location="]
    lines += ['for word in "${@:2}"; do', '    case "$location$word" in', "    --rm | --bindhome) ;;"]
    for name, choice in names.items():
        variables = Path(choice.reference).with_suffix(".env")
        lines += [
            (f"    {shlex.quote(name)}) location=1"),
            f"        variables={shlex.quote(str(variables))}",
        ]
        lines += [
            (
                '        if [ -f "$variables" ]; then while IFS= read -r line; do words=("--env=$line" '
                '"${words[@]}"); done < "$variables"; fi'
            )
        ]
        lines += [f"        words+=({shlex.join([*user, f'--location={choice.reference}', 'esap-wf'])}) ;;"]
    lines += ['    *) words+=("$word") ;;', "    esac", "done"]
    return _script([*lines, f'exec {shlex.join([first.program, *first.options])} run "${{words[@]}}"'])


def _image(choice: ContainerChoice) -> list[str]:
    """The words that stand for an image; Podman writes into an overlay of a folder."""
    return (
        ["--rootfs", f"{choice.reference}:O"]
        if choice.runtime == "podman" and choice.form == "rootfs"
        else [choice.reference]
    )


def _pulls(job: Job) -> list[str]:
    """A name that the pipeline uses is 'pulled' from the file that stands for it."""
    lines = [
        'if [ "${words[0]:-}" = pull ]; then',
        "    last=${words[-1]} target=",
        "    for ((i = 1; i < ${#words[@]}; i++)); do",
    ]
    lines += [
        '        [ "${words[i]}" = --name ] && target=${words[i + 1]}',
        "    done",
        '    case "$last" in',
    ]
    for name, choice in job.software.images.items():
        lines += [
            (
                f"    {shlex.quote('docker://' + name)}) ln -sfn {shlex.quote(choice.reference)} "
                '"$target"; '
                "exit ;;"
            )
        ]
    return [*lines, "    *) ;;", "    esac", "fi"]
