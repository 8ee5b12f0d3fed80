"""From a plan to a run directory that the bare engine runs by hand. Writes below one folder only.

Imported by plan (names), flow, supervisor.
"""

from __future__ import annotations

import shlex
import shutil
import stat
from pathlib import Path

import msgspec

from esap_wf import plugins
from esap_wf.catalog import Workflow
from esap_wf.engines import Engine, Job, JobInput, Rendered
from esap_wf.errors import EsapError
from esap_wf.models.manifest import Input, Manifest
from esap_wf.models.plan import Plan
from esap_wf.models.request import DataRef
from esap_wf.models.run import encode

COMMAND = "command.sh"
#: The manifest as it was when the run was planned; that of a pipeline without one is derived.
MANIFEST = "workflow.json"

_COMMAND = """\
#!/usr/bin/env bash
# {title}, with the bare engine: `bash {command}`. esap-wf is not needed. Arguments are added to the engine's.
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"
{exports}exec {argv} "$@"
"""


def snapshot_place(code: str) -> str:
    """Where the snapshot of some code stands in a run directory."""
    return f"code/{code[:16]}"


def folder_of(plan: Plan) -> Path:
    """The workflow's folder in the snapshot, relative to the run directory."""
    return Path(snapshot_place(plan.code), plan.place or f"workflows/{Path(plan.source).parent.name}")


def files_of(workflow: Workflow, code: str) -> list[str]:
    """What `render` writes beside the engine's own files, relative to the run directory."""
    names = ["request.json", "plan.json", MANIFEST, COMMAND]
    for place, folder in workflow.code_folders().items():
        names += [f"{snapshot_place(code)}/{place}/{p.relative_to(folder).as_posix()}" for p in workflow.code_files(place)]
    return names


def home_of(plan: Plan) -> Path:
    """The folder of the engine's file in the snapshot, relative to the run directory: the workflow's, or that of code that it wraps."""
    return Path(*Path(plan.entry).parts[:4])


def job_of(plan: Plan, manifest: Manifest, workflow: Workflow | None = None) -> Job:
    """What the engine is asked for, as the plan says."""
    # a default that comes with the workflow is read from the snapshot: the workflow's own folder is not the run's to touch
    folder, inside = Path(plan.source).parent, folder_of(plan)
    snapshot = {str(folder / Path(name).relative_to(inside)): name for name in plan.files if Path(name).is_relative_to(inside)}

    def local(ref: DataRef) -> DataRef:
        if ref.path is None:
            raise EsapError(f"{ref.uri} has no path: an input must be staged before a run is rendered")
        return msgspec.structs.replace(ref, path=snapshot.get(ref.path, ref.path))

    inputs = {
        name: JobInput(tuple(local(ref) for ref in refs), spec.many, spec.format)
        for name, refs in plan.inputs.items()
        for spec in [manifest.inputs.get(name, Input(title=name))]
    }
    return Job(
        workflow=plan.workflow, entry=plan.entry, parameters=plan.parameters, inputs=inputs, selected=plan.selected,
        allocation=plan.allocation, software=plan.software, plain=plan.config == "plain", item=plan.item,
        options=tuple(plan.request.engine_options), source=_source(plan, workflow), folder=home_of(plan).as_posix(),
    )  # fmt: skip


def _source(plan: Plan, workflow: Workflow | None) -> Path | None:
    """The engine's file where it is now."""
    if workflow is None:
        return None
    home = home_of(plan)
    folder = workflow.upstream.get(home.relative_to(snapshot_place(plan.code)).as_posix(), workflow.folder)
    return folder / Path(plan.entry).relative_to(home)


def rendered(plan: Plan, workflow: Workflow) -> Rendered:
    """The engine's side of a plan."""
    engine: Engine = plugins.one("esap_wf.engines", plan.engine.name)
    return engine.render(plan.engine, job_of(plan, workflow.manifest, workflow))


def command_script(plan: Plan, told: Rendered | None = None) -> str:
    """``command.sh``: every word quoted, so that a path or an option can't become a command."""
    told = told or Rendered(plan.command)
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(told.environment.items()))
    if folders := [*plan.software.bin_dirs, *told.bin_dirs]:
        # a relative one is the run directory's: the script stands in it, its jobs do not
        places = (shlex.quote(d) if Path(d).is_absolute() else f'"$PWD"/{shlex.quote(d)}' for d in folders)
        exports += f'export PATH={":".join(places)}:"$PATH"\n'
    title = "".join(c if c.isprintable() else " " for c in plan.title)
    return _COMMAND.format(title=title, command=COMMAND, exports=exports, argv=shlex.join(plan.command))


def render(plan: Plan, workflow: Workflow, target: Path) -> None:
    """
    Write a run directory's engine side.

    Parameters
    ----------
    plan : Plan
    workflow : Workflow
        Whose code is snapshotted; it has the plan's digest.
    target : Path
        An empty staging folder.
    """
    (target / "request.json").write_bytes(encode(plan.request))
    (target / "plan.json").write_bytes(encode(plan))
    (target / MANIFEST).write_bytes(encode(workflow.manifest))
    told = rendered(plan, workflow)
    for name, content in told.files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
        if content.startswith(b"#!"):
            (target / name).chmod(0o755)
    script = target / COMMAND
    script.write_text(command_script(plan, told), "utf-8")
    script.chmod(0o755)
    root = target / snapshot_place(plan.code)
    for place, folder in workflow.code_folders().items():
        for source in workflow.code_files(place):
            copy = root / place / source.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o555 if source.stat().st_mode & 0o100 else 0o444)
            if told.working_copy and Path(snapshot_place(plan.code), place) == home_of(plan):
                working = target / told.working_copy / source.relative_to(folder)
                working.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, working)
                working.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    for name, place in told.links.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(place)
    for folder in sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True):
        # without the write bits only: a shared store's folders keep their group (setgid)
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o222)
    for name in ("outputs", "logs", "engine"):
        (target / name).mkdir(exist_ok=True)
