"""
Workload managers at which engines of a run may have left jobs: that of its plan, and those of the plans that
it had before (`esap_wf.running.revisions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from esap_wf import files, plugins
from esap_wf.backends import NeedsPersonError, OutageError
from esap_wf.backends.launcher import Launcher, Served
from esap_wf.errors import EsapError, Problem, RefusedError, UnavailableError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase
from esap_wf.runs.run import Run

#: Seconds that jobs have to end.
GRACE = 15.0


def plans(folder: Path) -> Iterator[Plan]:
    """
    The plans of a run by which jobs were submitted, the present one first; of each place one. What can't be
    read is left out.
    """
    there: list[object] = []
    for path in (folder / "plan.json", *sorted(folder.glob("plan.*.json"), reverse=True)):
        try:
            plan = files.read_json(path, Plan)
        except EsapError:
            continue
        if plan.queue is not None and plan.profile is not None and plan.profile not in there:
            there.append(plan.profile)
            yield plan


def launcher(plan: Plan, run: Run, cache: Path) -> Launcher:
    """What finds the jobs of a run at the place of a plan."""
    assert plan.profile
    found: Launcher = plugins.one("esap_wf.backends", plan.profile.kind).launcher(plan.profile, cache)
    found.serve(Served(run.id, run.dir, run.store.file_mode, plan.software.containers))
    return found


def end(run: Run, cache: Path, told: Callable[[str], None]) -> None:
    """
    See to it that no job of a run which has ended is left. For its owner only.

    Parameters
    ----------
    run : Run
    cache : Path
    told : callable
        Told of what is ended.

    Raises
    ------
    RefusedError
        Nobody can say whether there are any, or they don't end.
    """
    if run.state().phase is Phase.COMPLETED:  # which asked for it itself
        return
    for plan in plans(run.dir):
        try:
            launcher(plan, run, cache).clear(run.id, GRACE, told)
        except (OutageError, NeedsPersonError, UnavailableError) as error:
            what = f"whether jobs of it still work at {plan.backend} is not known: {error.message}"
            hint = "do it again when it can be asked; esap-wf rm --unasked does without"
            raise RefusedError(f"run {run.id} can't be removed yet", [Problem(run.id, what, hint)]) from None
