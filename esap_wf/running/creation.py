"""A run of a plan: rendered beside the store, published at once, and given its supervisor."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from esap_wf import files
from esap_wf.catalogue.workflow import Workflow
from esap_wf.code import contents
from esap_wf.errors import Problem, RefusedError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase, Progress, RunRecord, State, now
from esap_wf.running import control
from esap_wf.running import render as rendering
from esap_wf.runs import claims, cpu, crashpoints, processes, snapshots
from esap_wf.runs.store import Run, Store, delete_tree


def create(
    plan: Plan,
    workflow: Workflow,
    store: Store,
    run_id: str,
    claim: claims.Claim | None,
    rerun_of: str | None = None,
) -> Run:
    """
    Make a run and start its supervisor.

    Parameters
    ----------
    plan : Plan
    workflow : Workflow
        Of the plan, as it is now.
    store : Store
    run_id : str
    claim : Claim, optional
        Of the plan's identity, if the run may answer for it.
    rerun_of : str, optional
        The run that is run again; recorded.

    Raises
    ------
    RefusedError
        The store can't be written, or the workflow changed since the plan.
    """
    staged = store.staging(run_id)
    try:
        _render(plan, workflow, store, staged)
        crashpoints.reached("rendered")
        state = State(phase=Phase.PENDING, progress=Progress(units_total=plan.units))
        with _interrupt_waits() as heard:
            run = store.publish(staged, _record(plan, run_id, rerun_of), state, claim=claim)
            control.spawn(run)
    except OSError as error:
        raise files.explain(error, staged) from error
    finally:
        if staged.exists():
            delete_tree(staged)
    if heard:
        control.ask_to_stop(run, drain=True)
        raise KeyboardInterrupt
    return run


@contextlib.contextmanager
def _interrupt_waits() -> Iterator[list[int]]:
    """
    Ctrl-C is heard, and heeded afterwards: it must not leave a run that works on although whoever wanted it
    has stopped it.
    """
    heard: list[int] = []
    here = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if here else None
    if before in (None, signal.SIG_IGN):
        yield heard
        return
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


def _render(plan: Plan, workflow: Workflow, store: Store, staged: Path) -> None:
    try:
        rendering.render(plan, workflow, staged, partial(_snapshot, plan, workflow, store), store.root)
    except snapshots.OtherContentError:
        raise RefusedError(
            "the workflow changed while it was started",
            [Problem(plan.source, "its code is not what was planned", "start again")],
        ) from None


def _snapshot(plan: Plan, workflow: Workflow, store: Store, target: Path) -> None:
    snapshots.give(
        store,
        plan.code,
        target,
        write=partial(contents.write, workflow.code_files()),
        intact=lambda folder: workflow.code_digest(folder) == plan.code,
    )


def _record(plan: Plan, run_id: str, rerun_of: str | None) -> RunRecord:
    return RunRecord(
        id=run_id,
        workflow=plan.workflow,
        version=plan.version,
        created=now(),
        owner=processes.user(),
        host=socket.gethostname(),
        name=plan.request.name,
        tags=plan.request.tags,
        identity=plan.digest.identity,
        science=plan.digest.science,
        engine=plan.engine.name,
        backend=plan.backend,
        deterministic=plan.digest.deterministic,
        rerun_of=rerun_of,
        cpu=cpu.features(),
    )
