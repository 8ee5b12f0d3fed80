"""What a place would be given for a planned run: the scripts of its pieces, by the code that sends them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from esap_wf import plugins
from esap_wf.backends import BackendBase, Piece
from esap_wf.catalogue.workflow import Workflow
from esap_wf.engines import EngineBase
from esap_wf.errors import EsapError
from esap_wf.models.place import Queue, StepNeeds
from esap_wf.models.plan import Allocation, Plan
from esap_wf.models.run import encode
from esap_wf.running import render, staging
from esap_wf.running.launching import engine_piece
from esap_wf.running.pieces import bundle, script
from esap_wf.runs.pieces import JOIN, WHOLE

#: Stands for the id of a run that isn't there yet.
RUN = "RUN"


def scripts(plan: Plan, workflow: Workflow, store: Path) -> dict[str, str]:
    """
    The script of each kind of piece: of the whole run, or of the first slice and of what joins them.

    Parameters
    ----------
    plan : Plan
    workflow : Workflow
        Of the plan.
    store : Path
        In which the run will be.

    Returns
    -------
    dict
        Slice → text. For a place that shares the store: ``command.sh``, and with what the jobs of its steps
        are submitted. Of a place that is given a script which starts that, further ones: ``1 as a job``.
    """
    engine: EngineBase = plugins.one("esap_wf.engines", plan.engine.name)
    whole = render.command_script(plan, render.rendered(plan, workflow))
    if not staging.is_elsewhere(plan):
        # its folder is called by the first letters of the run
        return {WHOLE: whole, **_beside(plan, engine, store / "runs" / RUN[:2] / RUN)}
    found, whole = {}, bundle.without_stage(plan, whole)
    for name in [WHOLE] if plan.slicing.slices < 2 else ["1", JOIN]:
        command = whole
        if name != WHOLE:
            job = render.job_of(plan, workflow.manifest, workflow)
            one = bundle.chosen(plan, workflow.manifest.implementations)
            rendered, cut = bundle.as_slice(plan, one, engine, job, name, {})
            command = bundle.without_stage(plan, render.command_script(cut, rendered))
        found[name], submitted = _piece(plan, engine, name, command)
        if submitted:
            found[f"{name} as a job"] = submitted
    return found


def _beside(plan: Plan, engine: EngineBase, run: Path) -> dict[str, str]:
    """What a place that shares the store is given beside the command, for a run in this folder."""
    if plan.profile is None:
        return {}
    found = {}
    kind: BackendBase = plugins.one("esap_wf.backends", plan.profile.kind)
    with tempfile.TemporaryDirectory(prefix="esap-wf-") as root, contextlib.suppress(EsapError):
        folder = Path(root, RUN)
        (folder / "engine").mkdir(parents=True)
        (folder / "plan.json").write_bytes(encode(plan))
        (folder / "run.json").touch()
        added = [
            a.replace(str(folder), str(run)) for a in engine.launch_additions(folder, 1, False).arguments
        ]
        piece = engine_piece(plan, engine, f"{RUN}.1", run, added, {})
        if submitted := kind.launcher(plan.profile, Path(root)).script(piece):
            found[f"{WHOLE} as a job"] = submitted
    if plan.queue is not None:
        found["jobs of its steps"] = "".join(
            f"{kind.submitted(plan.profile, job)}  # {step}\n" for step, job in _jobs(plan, plan.queue)
        )
    return found


def _jobs(plan: Plan, queue: Queue) -> Iterator[tuple[str, Allocation]]:
    """What the jobs of each step ask for, as far as the plan knows it, and what those of others do."""
    needs = {**plan.steps, "any other step": StepNeeds()}
    for step, need in needs.items():
        yield (
            step,
            msgspec.structs.replace(
                plan.allocation,
                cores=need.cores or queue.cores,
                memory_bytes=need.memory_bytes or queue.memory_bytes,
                wall_seconds=need.wall_seconds or queue.wall_seconds,
                gpus=need.gpus or 0,
            ),
        )


def _piece(plan: Plan, engine: EngineBase, slice_: str, command: str) -> tuple[str, str]:
    """What a piece is started with, and what is submitted for it."""
    assert plan.profile is not None
    with tempfile.TemporaryDirectory(prefix="esap-wf-") as root:
        folder = Path(root, "run")
        (folder / "engine").mkdir(parents=True)
        additions = engine.launch_additions(folder, 1, False)
        title, key = bundle.title(plan, RUN, slice_), f"{RUN}.1.{slice_}.1"
        text = script.text(command, title, key, plan.profile, additions, str(folder))
        piece = Piece(key, folder, ("bash", script.NAME), plan.allocation)
        submitted = ""
        with contextlib.suppress(EsapError):  # a place that can't be used yet
            launcher = plugins.one("esap_wf.backends", plan.profile.kind).launcher(plan.profile, Path(root))
            submitted = launcher.script(piece)
        return text, submitted
