"""Steer runs that are there: stop them, go on with one, run one again.

Each waits for what comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from esap_wf import flow
from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, RefusedError
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request
from esap_wf.models.run import Phase
from esap_wf.planning import joining, making, saved
from esap_wf.request import given
from esap_wf.request.assembly import Asked, assemble
from esap_wf.running import control, leftovers
from esap_wf.runs import states
from esap_wf.runs.store import Run

Say = Callable[[str], None]


def end_jobs(run: Run, config: Config, say: Say) -> None:
    """
    End what a run that is to be removed has left at a batch system; see `esap_wf.running.leftovers.end`.

    Raises
    ------
    RefusedError
    """
    leftovers.end(run, config.cache, say)


def cancel(runs: Iterable[Run], drain: bool, wait: float, say: Say) -> list[tuple[Run, Phase]]:
    """
    Stop runs, and wait until they have stopped.

    Parameters
    ----------
    runs : iterable of Run
    drain : bool
        Running jobs end first.
    wait : float
        Seconds to wait at most, for all of them.
    say : callable
        Told of an owner that is watched, see `Run.observe`.

    Returns
    -------
    list of (Run, Phase)
        The phase that each has come to.

    Raises
    ------
    RefusedError
        Some have already ended; the others were stopped all the same.
    """
    problems, stopping = [], []
    for run in runs:
        try:
            control.cancel(run, drain, say)
            stopping.append(run)
        except RefusedError as error:
            problems += [Problem(run.id, error.message)]
    until = time.monotonic() + wait
    ended = [(run, _settled(run, until)) for run in stopping]
    if problems:
        raise RefusedError("some runs were not cancelled", problems)
    return ended


def _settled(run: Run, until: float) -> Phase:
    """
    The phase a cancelled run comes to: a lost one gets a supervisor that ends it, so UNKNOWN is waited for
    too.
    """
    while True:
        state = flow.follow(run, until=until)
        if state.phase not in {Phase.UNKNOWN, Phase.HELD, Phase.SUSPENDED} or time.monotonic() >= until:
            return state.phase
        time.sleep(flow.LOOK)


def resume(run: Run, config: Config, changes: Mapping[str, Any], say: Say) -> bool:
    """
    Go on with a run.

    Parameters
    ----------
    run : Run
    config : Config
    changes : mapping
        What it shall have from now on: cores, memory, wall, software.
    say : callable
        Told what became of the changes, and of an owner that is watched.

    Returns
    -------
    bool
        False if another command resumes it at this moment.

    Raises
    ------
    RefusedError
        It is at work, or COMPLETED.
    """
    if changes and run.observe().phase in states.RESUMABLE:
        own, notes = flow.resume_by(run, joining.replanned(run, config, changes), config, say)
        for note in notes:
            say(note)
        return own
    return control.resume(run, say)


def rerun(
    run: Run,
    config: Config,
    flags: Mapping[str, str],
    values: Callable[[Workflow], dict[str, Any]] = lambda workflow: {},
    warn: Say = lambda warning: None,
) -> flow.Started:
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
    old = saved.read_intact_plan(run.dir / "plan.json")
    notes: tuple[str, ...] = ()
    try:  # not by its name: that may mean another workflow by now
        workflow = workflows.of_plan(config, old)
    except NotFoundError:
        workflow = workflows.find(config, old.request.workflow)
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
    plan = making.make(assembled.request, config, assembled.valid)
    started = flow.start(plan, config, flow.IfExists.RERUN, rerun_of=run.id)
    return replace(started, notes=(*notes, *started.notes))


def _earlier(plan: Plan, workflow: Workflow) -> Request:
    """The request of a plan, to be asked for once more."""
    # what was read then: a relative path may lead elsewhere from here
    refs = {name: [ref.given for ref in plan.inputs.get(name, [])] for name in plan.request.inputs}
    request = msgspec.structs.replace(plan.request, inputs=refs)
    random = workflow.manifest.random
    return given.without(request, {random.seed}) if random and not plan.digest.deterministic else request
