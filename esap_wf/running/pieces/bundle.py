"""
What is sent to a place for one piece: a folder with relative paths only. The code, the inputs and what other
slices have made are links in it; who sends it follows them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from esap_wf.backends import Piece
from esap_wf.engines import EngineBase, Job, Rendered
from esap_wf.engines.stages import stage_job
from esap_wf.errors import EsapError
from esap_wf.models.manifest import Implementation
from esap_wf.models.plan import Plan
from esap_wf.models.request import INPUTS
from esap_wf.models.run import encode
from esap_wf.running import products, render, staging
from esap_wf.running.ownership import Ownership
from esap_wf.running.pieces import script
from esap_wf.runs.folders import delete_tree
from esap_wf.runs.pieces import JOIN, WHOLE, Attempt, Pieces

#: Of the run directory, what a place has no use for, or gets as a link.
_ASIDE = frozenset(
    {"request.json", "plan.json", render.MANIFEST, render.COMMAND, "code", INPUTS, "outputs", "logs"}
    | {staging.PROGRAM, staging.LISTING}
)
#: Below an attempt's folder. Its name is that of `Pieces.pulled`: engines make names of it.
SENT = Path("sent", "run")


def make(
    owner: Ownership,
    pieces: Pieces,
    attempt: Attempt,
    given: Mapping[str, Mapping[str, Path]],
    carried: Mapping[str, Path],
) -> Piece:
    """
    Put together what is sent for an attempt; made again, it is the same.

    Parameters
    ----------
    owner : Ownership
    pieces : Pieces
    attempt : Attempt
    given : mapping
        For the `join` slice: name of what is given → path relative to the run directory → where it is now.
    carried : mapping
        What earlier attempts at the slice had finished: path relative to the run directory → where it is now.
    """
    folder = pieces.path(attempt.slice, attempt.attempt) / SENT
    if folder.exists():
        delete_tree(folder)
    folder.mkdir(parents=True)
    plan = owner.plan
    if attempt.slice == WHOLE:
        command = _of_run(owner.run.dir, plan, folder)
    else:
        job = replace(render.job_of(plan, owner.manifest), source=owner.run.dir / plan.entry)
        names = {name: list(paths) for name, paths in given.items()}
        rendered, plan = as_slice(plan, implementation(owner), owner.engine, job, attempt.slice, names)
        command = without_stage(plan, render.command_script(plan, rendered))
        render.put(rendered, folder)
    for name in ("code", INPUTS):
        if (owner.run.dir / name).is_dir():
            (folder / name).symlink_to(owner.run.dir / name)
    for paths in (*given.values(), carried):
        for name, source in paths.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(source)
    (folder / "engine").mkdir(exist_ok=True)
    additions = owner.engine.launch_additions(folder, 1, False)
    assert owner.plan.profile is not None
    text = script.text(
        command,
        title(plan, owner.run.id, attempt.slice),
        attempt.key,
        owner.plan.profile,
        additions,
        str(folder),
    )
    (folder / script.NAME).write_text(text, "utf-8")
    (folder / script.NAME).chmod(0o755)
    # for who reads its record: the plan of this piece, beside what is pulled; it is not sent
    pulled = pieces.pulled(attempt)
    pulled.mkdir(parents=True, exist_ok=True)
    (pulled / "plan.json").write_bytes(encode(plan))
    if not (pulled / "code").is_symlink():
        (pulled / "code").symlink_to(owner.run.dir / "code")
    return Piece(
        key=attempt.key,
        folder=folder,
        command=("bash", script.NAME),
        needs=owner.plan.allocation,
        environment={script.VARIABLE: attempt.key},
        secrets=tuple(owner.plan.profile.secrets),
    )


def title(plan: Plan, run: str, slice_: str) -> str:
    """What a piece is, for people."""
    what = f"{plan.title}, run {run}"
    if slice_ == WHOLE:
        return what
    if slice_ == JOIN:
        return f"{what}: what joins the slices"
    return f"{what}: slice {slice_} of {plan.slicing.slices}"


def _of_run(run: Path, plan: Plan, folder: Path) -> str:
    """All of a run in one piece: what was rendered for it."""
    for source in sorted(run.iterdir()):
        name = source.name
        if name in _ASIDE or name.startswith(".") or products.is_of_store(name):
            continue
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / name, symlinks=True)
        else:
            shutil.copy2(source, folder / name, follow_symlinks=False)
    # beside what the owner writes there, engines have files of their own: a kernel, programs of containers
    for name in plan.files:
        if name.startswith("engine/") and (run / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(run / name, folder / name)
    return without_stage(plan, (run / render.COMMAND).read_text("utf-8"))


def without_stage(plan: Plan, command: str) -> str:
    """A command that is sent: inputs that lie elsewhere have been brought, and come with it."""
    return command.replace(staging.by_hand(plan), "", 1)


def implementation(owner: Ownership) -> Implementation:
    """
    The implementation that the plan has chosen.

    Raises
    ------
    EsapError
        Its manifest has none like that.
    """
    return chosen(owner.plan, owner.manifest.implementations)


def chosen(plan: Plan, implementations: Sequence[Implementation]) -> Implementation:
    """The one of a plan among a manifest's implementations."""
    file = Path(plan.entry).relative_to(render.home_of(plan)).as_posix()
    for one in implementations:
        if (one.engine, one.file, one.item) == (plan.engine.name, file, plan.item):
            return one
    raise EsapError(f"the manifest of {plan.workflow} has no implementation for {plan.engine.name}: {file}")


def as_slice(
    plan: Plan,
    one: Implementation,
    engine: EngineBase,
    job: Job,
    slice_: str,
    given: Mapping[str, Sequence[str]],
) -> tuple[Rendered, Plan]:
    """
    A slice as its engine is asked for it, and the plan as it reads for that slice alone.

    Parameters
    ----------
    plan : Plan
    one : Implementation
        The one of the plan.
    engine : EngineBase
    job : Job
        Of the whole run.
    slice_ : str
    given : mapping
        For the `join` slice: name of what is given → paths relative to the run directory.
    """
    stage = one.join if slice_ == JOIN else one.map
    assert stage is not None
    job = stage_job(job, stage, None if slice_ == JOIN else int(slice_), plan.slicing.slices, given)
    rendered = render.by_engine(engine, plan, job)
    return rendered, msgspec.structs.replace(
        plan, entry=job.entry, item=job.item, command=rendered.command, parameters=dict(job.parameters)
    )
