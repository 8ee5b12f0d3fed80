"""A new plan in an old run: who asks for the same as a run that failed may give it other resources, another
engine's place, another route.

What is rendered anew is put together outside of the run, and handed to the supervisor that is started for it.
Only the owner of a run takes it over: one rename makes it the run's, then file by file goes to its place, the
plan last. An owner that dies in between is succeeded by one that goes on there. The plan before is kept as
``plan.<n>.json``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import EsapError, NotFoundError, UsageError
from esap_wf.formats import reading
from esap_wf.models.plan import Plan
from esap_wf.running import render
from esap_wf.runs import crashpoints
from esap_wf.runs.store import Run, delete_tree

#: The folder of a run in which what replaces its plan waits, once it is the run's.
PENDING = "revision"
PLAN = "plan.json"


def obstacle(run: Run, plan: Plan) -> str:
    """Why a run can't go on by a plan that is identical to its own; empty if it can."""
    missing = [name for name in plan.files if name.startswith("code/") and not (run.dir / name).is_file()]
    if missing:
        return f"its snapshot of the code lacks {missing[0]}" + (
            f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        )
    return ""


def stage(run: Run, plan: Plan, workflow: Workflow) -> Path:
    """Put together what a run gets by a new plan; who staged it deletes it when nobody took it."""
    staged = run.store.staging(run.id)
    try:
        render.engine_side(plan, workflow, staged, run.store.root)
    except BaseException:
        delete_tree(staged)
        raise
    return staged


def begin(run: Run, staged: Path) -> None:
    """Make what was staged the run's. For its owner only, who has called `finish` before."""
    try:
        (staged / ".staged.json").unlink(missing_ok=True)
        staged.rename(run.dir / PENDING)
    except FileNotFoundError:
        return  # its command gave up waiting: the run goes on as it was planned
    except OSError as error:
        raise files.explain(error, run.dir / PENDING) from error
    files.sync_folder(run.dir)
    crashpoints.reached("revision-begun")


def finish(run: Run) -> str | None:
    """
    Bring what waits to its place. For the run's owner only, before an engine is started.

    Returns
    -------
    str or None
        Name of the file that keeps the plan before; None if nothing waits.
    """
    pending = run.dir / PENDING
    if not pending.is_dir():
        return None
    try:
        kept = _keep(run) if (pending / PLAN).is_file() else ""
        crashpoints.reached("plan-kept")
        for path in sorted(p for p in pending.rglob("*") if p.is_symlink() or not p.is_dir()):
            if path != pending / PLAN:
                _replace(path, run.dir / path.relative_to(pending))
        if named := _named(pending / PLAN):
            _remove(run, _named(run.dir / PLAN) - named)
        crashpoints.reached("revision-rendered")
        if (pending / PLAN).is_file():
            _replace(pending / PLAN, run.dir / PLAN)
            files.sync_folder(run.dir)
        crashpoints.reached("plan-replaced")
        delete_tree(pending)
    except OSError as error:
        raise files.explain(error, Path(error.filename or pending)) from error
    return kept or None


def _keep(run: Run) -> str:
    """Keep the plan in force beside its successor; done again after a crash it is kept once."""
    try:
        old = reading.read_bytes(run.dir / PLAN)
    except NotFoundError:
        return ""
    number = 1
    while (kept := run.dir / f"plan.{number}.json").exists():
        if reading.read_bytes(kept) == old:
            return kept.name
        number += 1
    files.write_atomic(kept, old, mode=run.store.file_mode)
    return kept.name


class _Files(msgspec.Struct):
    files: list[str] = []


def _named(plan: Path) -> set[str]:
    """What of a run directory a plan names, but the code and the copy of it in which a pipeline works."""
    try:
        return {
            name
            for name in files.read_json(plan, _Files).files
            if not name.startswith("code/") and not name.endswith("/")
        }
    except EsapError:
        return set()


def _remove(run: Run, names: Iterable[str]) -> None:
    """What was rendered by the plan before only: it would be taken for something that the steps have made."""
    for name in names:
        path = run.dir / name
        with contextlib.suppress(UsageError):  # it leads out of the run
            if files.inside(run.dir, path.parent).is_dir() and (path.is_symlink() or path.is_file()):
                path.unlink()


def _replace(source: Path, target: Path) -> None:
    """Move a file to its place; what is the same already stays, with its time: engines look at it."""
    if (
        target.is_file()
        and not target.is_symlink()
        and not source.is_symlink()
        and target.read_bytes() == source.read_bytes()
    ):
        source.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
