"""From a plan to a run directory that the bare engine runs by hand. Writes below one folder only."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from esap_wf import config, plugins
from esap_wf.catalogue.workflow import Workflow
from esap_wf.code import contents as codes
from esap_wf.engines import EngineBase, Job, JobInput, Rendered
from esap_wf.errors import EsapError
from esap_wf.models.manifest import Input, Manifest
from esap_wf.models.plan import Plan
from esap_wf.models.request import DataRef
from esap_wf.models.run import encode
from esap_wf.running import staging

COMMAND = "command.sh"
#: Programs of the run itself, before all others.
PROGRAMS = "engine/bin"
#: The manifest as it was when the run was planned; that of a pipeline without one is derived.
MANIFEST = "workflow.json"

_COMMAND = """\
#!/usr/bin/env bash
# {title}, with the bare engine: `bash {command}`. esap-wf is not needed. Arguments are added to the engine's.
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"
{stage}{exports}{cd}exec {argv} "$@"
"""


def snapshot_place(code: str) -> str:
    """Where the snapshot of some code stands in a run directory."""
    return f"code/{code[:16]}"


def folder_of(plan: Plan) -> Path:
    """The workflow's folder in the snapshot, relative to the run directory."""
    return Path(snapshot_place(plan.code), plan.place or f"workflows/{Path(plan.source).parent.name}")


def files_of(workflow: Workflow, code: str) -> list[str]:
    """What `render` writes beside the engine's own files, relative to the run directory."""
    return [
        "request.json",
        "plan.json",
        MANIFEST,
        COMMAND,
        *(f"{snapshot_place(code)}/{f.name}" for f in workflow.code_files()),
    ]


def home_of(plan: Plan) -> Path:
    """
    The folder of the engine's file in the snapshot, relative to the run directory: the workflow's, or that of
    code that it wraps.
    """
    return Path(*Path(plan.entry).parts[:4])


def job_of(plan: Plan, manifest: Manifest, workflow: Workflow | None = None) -> Job:
    """What the engine is asked for, as the plan says."""
    # a default that comes with the workflow is read from the snapshot: the workflow's own folder is not the
    # run's to touch
    folder, inside = Path(plan.source).parent, folder_of(plan)
    snapshot = {
        str(folder / Path(name).relative_to(inside)): name
        for name in plan.files
        if Path(name).is_relative_to(inside)
    }

    def local(ref: DataRef) -> DataRef:
        if ref.path is None:
            raise EsapError(f"{ref.uri} has no path: an input must be staged before a run is rendered")
        here = snapshot.get(ref.path)
        return msgspec.structs.replace(ref, path=here) if here else ref

    inputs = {
        name: JobInput(
            tuple(staging.placed(plan, name, i, local(ref)) for i, ref in enumerate(refs)),
            spec.many,
            spec.format,
        )
        for name, refs in plan.inputs.items()
        for spec in [manifest.inputs.get(name, Input(title=name))]
    }
    return Job(
        workflow=plan.workflow,
        entry=_entry(plan, manifest),
        parameters=plan.parameters,
        inputs=inputs,
        selected=plan.selected,
        allocation=plan.allocation,
        software=plan.software,
        plain=plan.config == "plain",
        item=plan.item,
        options=tuple(plan.request.engine_options),
        source=_source(plan, manifest, workflow),
        folder=home_of(plan).as_posix(),
        literals=plan.request.literals,
        workdir=workdir_of(plan, manifest),
        beside=workflow.beside if workflow else {},
        queue=plan.queue,
        steps=plan.steps,
        shard_size=plan.sharding.size,
    )


def _entry(plan: Plan, manifest: Manifest) -> str:
    """The engine's file: another one of the same folder, if that is the one that has shards."""
    if not plan.sharding.size:
        return plan.entry
    shards = next((i.shards for i in manifest.implementations if _is_run(plan, i.engine, i.file)), None)
    return (home_of(plan) / shards.file).as_posix() if shards and shards.file else plan.entry


def _is_run(plan: Plan, engine: str, file: str) -> bool:
    return (engine, file) == (plan.engine.name, Path(plan.entry).relative_to(home_of(plan)).as_posix())


def workdir_of(plan: Plan, manifest: Manifest) -> str:
    """The pipeline's working directory in its folder, as the implementation that was chosen says."""
    return next((i.workdir or "" for i in manifest.implementations if _is_run(plan, i.engine, i.file)), "")


def _source(plan: Plan, manifest: Manifest, workflow: Workflow | None) -> Path | None:
    """The engine's file where it is now."""
    if workflow is None:
        return None
    home = home_of(plan)
    folder = workflow.upstream.get(home.relative_to(snapshot_place(plan.code)).as_posix(), workflow.folder)
    return folder / Path(_entry(plan, manifest)).relative_to(home)


def rendered(plan: Plan, workflow: Workflow) -> Rendered:
    """The engine's side of a plan."""
    engine: EngineBase = plugins.one("esap_wf.engines", plan.engine.name)
    return by_engine(engine, plan, job_of(plan, workflow.manifest, workflow))


def by_engine(engine: EngineBase, plan: Plan, job: Job) -> Rendered:
    """What an engine makes of a job, and the program by which it is started if it is in an image."""
    rendered = engine.render(plan.engine, job)
    if plan.engine.container is None:
        return rendered
    from esap_wf.engines import imaged

    return imaged.started(rendered, plan.engine, plan.profile.shared if plan.profile else ())


def command_script(plan: Plan, engine: Rendered | None = None) -> str:
    """``command.sh``: every word quoted, so that a path or an option can't become a command."""
    engine = engine or Rendered(plan.command)
    queue = plan.queue
    variables = {**engine.environment, **(queue.environment if queue else {})}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    folders = [*plan.software.bin_dirs, *engine.bin_dirs]
    if queue:
        # first, where a wrapper of its submitting command may stand
        folders = [PROGRAMS, *folders, *([queue.commands] if queue.commands else [])]
    if folders:
        # a relative one is the run directory's: the script stands in it, its jobs do not
        quoted = (shlex.quote(d) if Path(d).is_absolute() else f'"$PWD"/{shlex.quote(d)}' for d in folders)
        exports += f'export PATH={":".join(quoted)}:"$PATH"\n'
    title = "".join(c if c.isprintable() else " " for c in plan.title)
    cd = f"cd -- {shlex.quote(engine.folder)}\n" if engine.folder else ""
    argv = shlex.join(plan.command)
    return _COMMAND.format(
        title=title, command=COMMAND, stage=staging.by_hand(plan), exports=exports, cd=cd, argv=argv
    )


def engine_side(plan: Plan, workflow: Workflow, target: Path, store: Path | None = None) -> Rendered:
    """
    Write what a plan decides of a run directory, into an empty folder: all but the snapshot. `store` is the
    one of which inputs that lie elsewhere may be results; without, the user's.
    """
    (target / "request.json").write_bytes(encode(plan.request))
    (target / "plan.json").write_bytes(encode(plan))
    (target / MANIFEST).write_bytes(encode(workflow.manifest))
    engine = rendered(plan, workflow)
    put(engine, target)
    for name, source in staging.staged(plan).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(source)
    if staging.brought_by_hand(plan):
        from esap_wf.running.by_hand import listing  # for these runs alone

        listing.put(plan, target, config.load(str(store) if store else None))
    script = target / COMMAND
    script.write_text(command_script(plan, engine), "utf-8")
    script.chmod(0o755)
    return engine


def put(engine: Rendered, target: Path) -> None:
    """An engine's files and links."""
    for name, content in engine.files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
        if content.startswith(b"#!"):
            (target / name).chmod(0o755)
    for name, link in engine.links.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(link)


def _complete(engine: Rendered, target: Path, home: str) -> None:
    """What is copied from the snapshot, and folders that are always there."""
    if engine.working_copy:
        codes.copy_tree(target / home, target / engine.working_copy)
    for name, original in engine.copies.items():
        codes.copy_content(target / original, target / name)
    for name in ("outputs", "logs", "engine"):
        (target / name).mkdir(exist_ok=True)


def write(engine: Rendered, target: Path, home: str) -> None:
    """
    The engine's side of something that is no run, in a folder that has a snapshot.

    Parameters
    ----------
    engine : Rendered
    target : Path
    home : str
        The folder of the engine's file in the snapshot, relative to `target`.
    """
    put(engine, target)
    _complete(engine, target, home)


def render(
    plan: Plan,
    workflow: Workflow,
    target: Path,
    snapshot: Callable[[Path], None] | None = None,
    store: Path | None = None,
) -> None:
    """
    Write a run directory: the engine's side, and the snapshot.

    Parameters
    ----------
    plan : Plan
    workflow : Workflow
        Whose code is snapshotted; it has the plan's digest.
    target : Path
        An empty staging folder.
    snapshot : callable, optional
        Puts the code into a folder that is not there yet; else it is written there.
    store : Path, optional
        Of which inputs that lie elsewhere may be results.
    """
    engine = engine_side(plan, workflow, target, store)
    root = target / snapshot_place(plan.code)
    if snapshot:
        root.parent.mkdir(exist_ok=True)
        snapshot(root)
    else:
        codes.write(workflow.code_files(), root)
        codes.close(root)
    _complete(engine, target, home_of(plan).as_posix())
