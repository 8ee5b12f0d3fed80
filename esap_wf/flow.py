"""The way through, end to end: plan → claim → render → launch → follow → deliver.

It writes through the store only; the supervisor does the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from esap_wf.catalogue import workflows
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase, State
from esap_wf.planning import identity, joining
from esap_wf.running import control, creation, delivery, revisions
from esap_wf.runs import claims, lease, states
from esap_wf.runs.layout import Layout
from esap_wf.runs.store import Run, Store, delete_tree

#: Seconds between two looks of a follower.
LOOK = 0.1
#: What it grows to while a run goes on.
LATEST = 0.5


class IfExists(StrEnum):
    """What becomes of a request whose identical run is COMPLETED."""

    REUSE = "reuse"
    ASK = "ask"
    RERUN = "rerun"


Ask = Callable[[Run], IfExists]


@dataclass(frozen=True)
class Started:
    """
    What became of a start: a new run, one that was there (`reused`), or one that others run now (`attached`).

    `notes` are for whoever started it; `results` is where the request wants them.
    """

    run: Run
    reused: bool = False
    attached: bool = False
    resumed: bool = False
    notes: tuple[str, ...] = ()
    results: str | None = None


def start(
    plan: Plan,
    config: Config,
    if_exists: IfExists = IfExists.REUSE,
    ask: Ask | None = None,
    rerun_of: str | None = None,
) -> Started:
    """
    Start what was planned, unless it is there already.

    Parameters
    ----------
    plan : Plan
    config : Config
    if_exists : IfExists
        With `RERUN`, a failed identical run is not resumed either.
    ask : callable, optional
        Asked with the identical run, for `ASK`.
    rerun_of : str, optional
        The run that is run again; recorded.

    Raises
    ------
    RefusedError
        The store or the folder for the results can't be written, or the workflow changed since the plan.
    """
    if plan.request.results:
        delivery.confirm_writable(Path(plan.request.results))
    store = Store.open(config.store, create=True)
    with _for_all(store):
        started = _start(plan, config, store, partial(_answer, plan, config, if_exists, ask), rerun_of)
        if started.reused or started.attached:
            joined = joining.join(plan, config, started.run, started.reused, started.resumed)
            started = replace(started, notes=(*started.notes, *joined))
        return replace(started, results=plan.request.results)


@contextmanager
def _for_all(store: Layout) -> Iterator[None]:
    """What is rendered into a shared store is the group's."""
    before = os.umask(0o007) if store.shared else None
    try:
        yield
    finally:
        if before is not None:  # the process may be a notebook's
            os.umask(before)


@dataclass(frozen=True)
class _Replaced:
    """An identical run is of no use, and why; nothing is said if that was asked for."""

    why: str = ""


def _start(
    plan: Plan,
    config: Config,
    store: Store,
    answer: Callable[[Run], Started | _Replaced],
    rerun_of: str | None,
) -> Started:
    """Claim the plan's identity and make a run; or leave it to the run that has the claim."""
    run_id = store.new_id()
    if not plan.digest.deterministic:
        return Started(creation.create(plan, workflows.of_plan(config, plan), store, run_id, None, rerun_of))
    notes: tuple[str, ...] = ()
    if (former := _before(plan, store)) and isinstance(found := answer(former), Started):
        return found
    claim = claims.claim(store, plan.digest.identity, run_id)
    while not claim.mine:
        if not claim.published:
            raise RefusedError(
                "an identical run is being created at this moment",
                [Problem(claim.run_id, f"by {claim.holder}", "try again in a moment")],
            )
        found = answer(Run(store, claim.run_id))
        if isinstance(found, Started):
            return found
        if found.why:
            notes, rerun_of = (found.why,), rerun_of or claim.run_id
        claim = claims.claim(store, plan.digest.identity, run_id, renew_from=claim.generation)
    try:
        run = creation.create(plan, workflows.of_plan(config, plan), store, run_id, claim, rerun_of)
        return Started(run, notes=notes)
    except BaseException:
        if not store.run_exists(run_id):
            store.abandon(claim)
        raise


def _before(plan: Plan, store: Store) -> Run | None:
    """The run of an identical plan of the time when the content of its inputs was not known yet."""
    if (digest := identity.before(plan)) is None:
        return None
    found = claims.latest(store, digest)
    if found is None or not store.run_exists(found.run) or claims.latest(store, plan.digest.identity):
        return None
    run = Run(store, found.run)
    return run if run.observe().phase in (Phase.COMPLETED, *states.ACTIVE) else None


def _answer(
    plan: Plan, config: Config, if_exists: IfExists, ask: Ask | None, run: Run
) -> Started | _Replaced:
    """What an identical run is to a request: its answer, or replaced by a new one."""
    state = _settled(run)
    if state.phase is Phase.COMPLETED:
        if problems := delivery.altered(run):
            return _Replaced(f"{run.id} is identical, but can't be used ({problems[0]}); it is run again")
        wanted = ask(run) if ask and if_exists is IfExists.ASK else if_exists
        return _Replaced() if wanted is IfExists.RERUN else Started(run, reused=True)
    if state.phase in states.ACTIVE:
        return Started(run, attached=True)
    if if_exists is IfExists.RERUN:
        return _Replaced()
    if state.phase in states.FINAL and (against := revisions.obstacle(run, plan)):
        return _Replaced(
            f"{run.id} is identical and did not succeed, but it can't be continued: {against}; "
            "a new run is made"
        )
    try:
        _, notes = resume_by(run, plan, config)
    except RefusedError:
        if run.observe().phase in states.RESUMABLE:
            raise
        return _answer(plan, config, if_exists, ask, run)  # another command was quicker
    return Started(run, attached=True, resumed=True, notes=notes)


def _settled(run: Run) -> State:
    """
    The state of a run; one whose creator is gone before a supervisor came gets one in a moment, or is
    UNKNOWN.
    """
    while (state := run.observe()).phase is Phase.PENDING and lease.alive(run) is False:
        time.sleep(LOOK)
    return state


def resume_by(
    run: Run, plan: Plan, config: Config, waiting: Callable[[str], None] | None = None
) -> tuple[bool, tuple[str, ...]]:
    """
    Resume a run by a plan of the same identity, where that would run otherwise than its own.

    Returns
    -------
    own : bool
        As of `esap_wf.running.control.resume`.
    notes : tuple of str
        What became of the plan.
    """
    with _for_all(run.store):
        staged, differences = joining.revised(run, plan, config)
    if staged is None:
        return control.resume(run, waiting), ()
    before = run.state().rev
    try:
        own = control.resume(run, waiting, staged)
    except BaseException:
        delete_tree(staged)
        raise
    if not staged.exists() or run.state().rev == before:  # a supervisor that is slow to start takes it yet
        return own, (f"it continues with a new plan: {differences}",)
    delete_tree(staged)
    why = (
        "its engine is still running, or has finished"
        if own
        else "another command is resuming it at this moment"
    )
    return own, (f"it continues as it was planned, not with {differences}: {why}",)


def follow(
    run: Run,
    seen: Callable[[State], None] | None = None,
    until: float | None = None,
    looked: Callable[[State], None] | None = None,
) -> State:
    """
    Wait until a run has ended or nobody works on it: with an owner on another host that shows no sign of
    life, it ends with UNKNOWN.

    Parameters
    ----------
    run : Run
    seen : callable, optional
        Called with every state that differs from the last one.
    until : float, optional
        Monotonic time at which to stop waiting.
    looked : callable, optional
        Called at every look, whether something has changed or not.
    """
    last: State | None = None
    began = time.monotonic()
    while True:
        state = run.observe()
        if seen and state != last:
            seen(state)
        if looked:
            looked(state)
        last = state
        if state.phase not in states.ACTIVE or (until is not None and time.monotonic() >= until):
            return state
        time.sleep(min(LATEST, LOOK + 0.02 * (time.monotonic() - began)))


def conclude(started: Started, detach: bool, wait: Callable[[Run], State]) -> State:
    """
    Follow what was started, and see that its results are where they are wanted.

    Parameters
    ----------
    started : Started
    detach : bool
        Don't wait.
    wait : callable
        Follows the run in the way of the surface; see `follow`.

    Returns
    -------
    State
        The last one seen.

    Raises
    ------
    RefusedError
        Results can't be copied.
    """
    run = started.run
    state = run.observe() if detach or started.reused else wait(run)
    if started.results and state.phase is Phase.COMPLETED:
        # what the supervisor has copied is there; a run that was there may know another folder, or none
        delivery.copy_outputs(run, Path(started.results))
    return state
