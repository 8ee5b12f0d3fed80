"""The way through, end to end: plan → claim → render → launch → follow. The command line, Python and the
service call this.

It writes through the store only; the supervisor does the rest.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.catalogue import discovery
from esap_wf.catalogue.workflows import Workflow
from esap_wf.code import contents
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, RefusedError
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request
from esap_wf.models.run import Phase, Progress, RunRecord, State, now
from esap_wf.planning import joining, making, saved
from esap_wf.request import given
from esap_wf.request.assembly import Asked, assemble
from esap_wf.running import delivery, revisions
from esap_wf.running import render as rendering
from esap_wf.runs import claims, cpu, crashpoints, lease, processes, snapshots, states
from esap_wf.runs.layout import Layout
from esap_wf.runs.run import StopRequest
from esap_wf.runs.store import Run, Store, delete_tree

REUSE, ASK, RERUN = "reuse", "ask", "rerun"
#: Seconds between two looks of a follower.
LOOK = 0.1
#: What it grows to while a run goes on.
LATEST = 0.5
#: Supervisors that `resume` starts at most, one after the other, while the last owner of an ended run goes.
RETRIES = 5

Decide = Callable[[Run, State], str]


@dataclass(frozen=True)
class Started:
    """
    What became of a start: a new run, one that was there (`reused`), or one that others run now (`attached`);
    `notes` to be told.

    `results` is where the request wants them.
    """

    run: Run
    reused: bool = False
    attached: bool = False
    resumed: bool = False
    notes: tuple[str, ...] = ()
    results: str | None = None


def user() -> str:
    """Login name of the caller."""
    return processes.user()


def start(plan: Plan, config: Config, decide: Decide, rerun_of: str | None = None) -> Started:
    """
    Start what was planned, unless it is there already.

    Parameters
    ----------
    plan : Plan
    config : Config
    decide : callable
        Asked when an identical run is COMPLETED: answers `REUSE` or `RERUN`.
    rerun_of : str, optional
        The run that is run again; recorded.

    Raises
    ------
    RefusedError
        The store can't be written, or the workflow changed since the plan.
    """
    store = Store.open(config.store, create=True)
    with _for_all(store):
        started = _start(plan, config, store, decide, rerun_of)
        if started.reused or started.attached:
            started = replace(
                started,
                notes=(
                    *started.notes,
                    *joining.join(plan, config, started.run, started.reused, started.resumed),
                ),
            )
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


def _start(plan: Plan, config: Config, store: Store, decide: Decide, rerun_of: str | None) -> Started:
    run_id = store.new_id()
    notes: tuple[str, ...] = ()
    if not plan.digest.deterministic:
        return Started(_create(plan, config, store, run_id, None, rerun_of))
    claim = claims.claim(store, plan.digest.identity, run_id)
    while not claim.mine:
        run = Run(store, claim.run_id)
        if not claim.published:
            raise RefusedError(
                "an identical run is being created at this moment",
                [Problem(claim.run_id, f"by {claim.holder}", "try again in a moment")],
            )
        state = _taken(run)
        if state.phase is Phase.COMPLETED:
            if problems := delivery.altered(run):
                rerun_of = rerun_of or run.id
                notes = (f"{run.id} is identical, but can't be used ({problems[0]}); it is run again",)
            elif decide(run, state) == REUSE:
                return Started(run, reused=True)
        elif decide is always_rerun and state.phase not in states.ACTIVE:
            pass
        elif state.phase in states.ACTIVE:
            return Started(run, attached=True)
        elif state.phase in states.FINAL and (against := revisions.obstacle(run, plan)):
            rerun_of = rerun_of or run.id
            notes = (
                (
                    f"{run.id} is identical and did not succeed, but it can't be continued: {against}; a new "
                    "run is made"
                ),
            )
        else:
            try:
                _, told = resume_by(run, plan, config)
            except RefusedError:
                if run.observe().phase in states.RESUMABLE:
                    raise
                continue  # another one was quicker
            return Started(run, attached=True, resumed=True, notes=told)
        claim = claims.claim(store, plan.digest.identity, run_id, renew_from=claim.generation)
    try:
        return Started(_create(plan, config, store, run_id, claim, rerun_of), notes=notes)
    except BaseException:
        if not store.run_exists(run_id):
            store.abandon(claim)
        raise


def resume_by(
    run: Run, plan: Plan, config: Config, waiting: Callable[[str], None] | None = None
) -> tuple[bool, tuple[str, ...]]:
    """
    Resume a run by a plan of the same identity, where that would run otherwise than its own.

    Returns
    -------
    own : bool
        As of `resume`.
    notes : tuple of str
        What became of the plan.
    """
    with _for_all(run.store):
        staged, told = joining.revised(run, plan, config)
    if staged is None:
        return resume(run, waiting), ()
    before = run.state().rev
    try:
        own = resume(run, waiting, staged)
    except BaseException:
        delete_tree(staged)
        raise
    if not staged.exists() or run.state().rev == before:  # a supervisor that is slow to start takes it yet
        return own, (f"it continues with a new plan: {told}",)
    delete_tree(staged)
    why = (
        "its engine is still running, or has finished"
        if own
        else "another command is resuming it at this moment"
    )
    return own, (f"it continues as it was planned, not with {told}: {why}",)


def _taken(run: Run) -> State:
    """
    The state of a run; one whose creator is gone before a supervisor came gets one in a moment, or is
    UNKNOWN.
    """
    while (state := run.observe()).phase is Phase.PENDING and lease.alive(run) is False:
        time.sleep(LOOK)
    return state


def always_reuse(run: Run, state: State) -> str:
    """Decide for `REUSE`."""
    return REUSE


def always_rerun(run: Run, state: State) -> str:
    """Decide for `RERUN`; a failed identical run is then not resumed either."""
    return RERUN


def _create(
    plan: Plan,
    config: Config,
    store: Store,
    run_id: str,
    claim: claims.Claim | None,
    rerun_of: str | None = None,
) -> Run:
    workflow = discovery.again(config, plan)
    staged = store.staging(run_id)
    try:
        try:
            rendering.render(plan, workflow, staged, partial(_snapshot, plan, workflow, store))
        except snapshots.OtherContentError:
            raise RefusedError(
                "the workflow changed while it was started",
                [Problem(plan.source, "its code is not what was planned", "start again")],
            ) from None
        crashpoints.reached("rendered")
        record = RunRecord(
            id=run_id,
            workflow=plan.workflow,
            version=plan.version,
            created=now(),
            owner=user(),
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
        run = store.publish(
            staged, record, State(phase=Phase.PENDING, progress=Progress(units_total=plan.units)), claim=claim
        )
    except OSError as error:
        raise files.explain(error, staged) from error
    finally:
        if staged.exists():
            delete_tree(staged)
    spawn(run)
    return run


def _snapshot(plan: Plan, workflow: Workflow, store: Store, target: Path) -> None:
    snapshots.give(
        store,
        plan.code,
        target,
        write=partial(contents.write, workflow.code_files()),
        intact=lambda folder: workflow.code_digest(folder) == plan.code,
    )


def spawn(run: Run, revision: Path | None = None) -> subprocess.Popen[bytes]:
    """
    Start the run's supervisor, detached: it outlives this process and its terminal. `revision` is what it
    shall go on by (`resume`).

    Raises
    ------
    RefusedError
        Its log can't be written.
    """
    path = run.dir / "logs" / "supervisor.log"
    try:
        log = path.open("ab")
    except OSError as error:
        raise files.explain(error, path) from error
    with log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "esap_wf.running.supervisor",
                str(run.store.root),
                run.id,
                *filter(None, [run.judged()]),
                *(["--revision", str(revision)] if revision else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=run.dir,
            start_new_session=True,
            env={**os.environ, processes.RUN_VARIABLE: run.id},
        )


def resume(run: Run, waiting: Callable[[str], None] | None = None, revision: Path | None = None) -> bool:
    """
    Go on with a run that failed, was stopped, or lost its supervisor.

    Parameters
    ----------
    run : Run
    waiting : callable, optional
        Told that an owner which can't be asked from here is watched, see `Run.judge`. Without it such a run
        is refused at once.
    revision : Path, optional
        A new plan for it, from `esap_wf.running.revisions.stage`: the supervisor that becomes its owner takes
        it over, or leaves it where it is.

    Returns
    -------
    bool
        False if another command resumes it at the same moment, and was quicker.

    Raises
    ------
    RefusedError
        It is at work, or COMPLETED.
    """
    state = run.judge(waiting) if waiting else run.observe()
    if state.phase is Phase.COMPLETED:
        raise RefusedError(
            f"run {run.id} is COMPLETED",
            [Problem(run.id, "there is nothing to resume", f"esap-wf rerun {run.id}")],
        )
    if state.phase in states.ACTIVE:
        raise RefusedError(
            f"run {run.id} is {state.phase}",
            [Problem(run.id, "it is still under way", f"esap-wf status {run.id}")],
        )
    run.clear_stop()
    before, epoch = run.state().rev, lease.latest_epoch(run)
    # the supervisor watches such an owner itself
    until = time.monotonic() + 30 + (lease.TTL if lease.alive(run) is None else 0)
    for _ in range(RETRIES):
        process = spawn(run, revision) if revision else spawn(run)
        while time.monotonic() < until:
            if run.state().rev > before or (process.poll() is not None and lease.alive(run) is not True):
                break
            time.sleep(0.02)
        # refused, but nobody else has taken it: the last owner had written the final state and was about to
        # go
        if process.poll() != 0 or lease.latest_epoch(run) > epoch or run.state().phase not in states.FINAL:
            break
    owner = run.owner_lease()
    return owner is None or owner.holder.pid == process.pid


def cancel(run: Run, drain: bool = False, waiting: Callable[[str], None] | None = None) -> State:
    """
    Stop a run: at once, or after its running jobs have ended.

    Parameters
    ----------
    run : Run
    drain : bool
    waiting : callable, optional
        Told that an owner which can't be asked from here is watched, see `Run.judge`. Without it only the
        request is left.

    Raises
    ------
    RefusedError
        It has already ended.
    """
    state = run.observe()
    if state.phase in states.FINAL:
        raise RefusedError(f"run {run.id} is {state.phase}", [Problem(run.id, "it has already ended")])
    run.request_stop(StopRequest(at=now(), by=user(), drain=drain))
    if waiting:
        state = run.judge(waiting)  # after the request: an owner that lives is stopping meanwhile
    if state.phase in {Phase.UNKNOWN, Phase.HELD, Phase.SUSPENDED} or (
        state.phase is Phase.PENDING and lease.alive(run) is False
    ):
        spawn(run)  # a supervisor that finds the request ends the survivors and writes the last state
    return state


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


def rerun(
    run: Run,
    config: Config,
    flags: Mapping[str, str],
    values: Callable[[Workflow], dict[str, Any]] = lambda workflow: {},
    warn: Callable[[str], None] = lambda warning: None,
) -> Started:
    """
    A new run of the same request with some parameters set anew; the code is the workflow's present one.

    Parameters
    ----------
    run : Run
    config : Config
    flags : mapping
        Parameters as texts of the command line.
    values : callable, optional
        Gives parameters that are no texts, when the workflow is known.
    warn : callable, optional
        Told what its author may not have meant.
    """
    old = saved.read(run.dir / "plan.json")
    notes: tuple[str, ...] = ()
    try:  # not by its name: that may mean another workflow by now
        workflow = discovery.again(config, old)
    except NotFoundError:
        workflow = discovery.find(config, old.request.workflow)
        notes = (f"{old.source} is gone: the workflow is taken from {workflow.document.source}",)
    asked = Asked(
        request=Request(workflow=old.request.workflow, parameters=values(workflow)),
        earlier=_earlier(old, workflow),
        flags={name: (text,) for name, text in flags.items()},
    )
    assembled = assemble(asked, workflow, config)
    for warning in assembled.warnings:
        warn(warning)
    assembled.confirm_valid()
    request = assembled.request
    if request.results:
        delivery.confirm_writable(Path(request.results))
    started = start(making.make(request, config, assembled.valid), config, always_rerun, rerun_of=run.id)
    return replace(started, notes=(*notes, *started.notes))


def _earlier(plan: Plan, workflow: Workflow) -> Request:
    """The request of a plan, to be asked for once more."""
    # what was read then: a relative path may lead elsewhere from here
    refs = {name: [ref.path or ref.uri for ref in plan.inputs.get(name, [])] for name in plan.request.inputs}
    request = msgspec.structs.replace(plan.request, inputs=refs)
    random = workflow.manifest.random
    return given.without(request, {random.seed}) if random and not plan.digest.deterministic else request
