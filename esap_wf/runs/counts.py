"""Units and jobs from the counts of steps, and what of them is true when a run has ended."""

from __future__ import annotations

import msgspec

from esap_wf.models.run import Progress, State, Step


def axis_of(steps: list[Step], unit_steps: list[str] | None) -> list[Step]:
    """
    Steps whose jobs are the units. A workflow inside of another prefixes its steps' names (``SUB:step``).
    """
    return (
        steps
        if unit_steps is None
        else [s for s in steps if s.name in unit_steps or s.name.rpartition(":")[2] in unit_steps]
    )


def progress_of(steps: list[Step], axis: list[Step], units: int, again: int = 0) -> Progress:
    """Sums over steps; how many units there are, and were executed again, is said by the caller."""
    return Progress(
        units_total=units,
        units_done=sum(s.done for s in axis),
        units_failed=sum(s.failed for s in axis),
        units_running=sum(s.running for s in axis),
        jobs_total=sum(s.total for s in steps),
        jobs_done=sum(s.done for s in steps),
        jobs_failed=sum(s.failed for s in steps),
        jobs_running=sum(s.running for s in steps),
        second_executions=again,
    )


def ended(state: State, completed: bool) -> State:
    """
    The counts of a run that has ended: nothing runs any more.

    Of a COMPLETED one all is known: what was expected, or announced by nobody, and not done was not needed;
    and if it has none of the steps that the workflow calls its units (`unnamed`), each job is one.
    """
    steps = [msgspec.structs.replace(s, running=0) for s in state.steps]
    if not completed:
        running = dict.fromkeys(("units_running", "jobs_running"), 0)
        return msgspec.structs.replace(
            state, steps=steps, progress=msgspec.structs.replace(state.progress, **running)
        )
    steps = [
        s if s.name in state.fold.planned else msgspec.structs.replace(s, total=s.done + s.failed)
        for s in steps
    ]
    steps = _with_unreported(state, steps)
    axis = axis_of(steps, state.fold.unit_steps) or steps
    return msgspec.structs.replace(
        state,
        steps=steps,
        progress=progress_of(steps, axis, sum(s.total for s in axis), state.progress.second_executions),
    )


def _with_unreported(state: State, steps: list[Step]) -> list[Step]:
    """
    With jobs that are done although nobody reported it.

    An engine that was killed between noting a job as done and reporting it has a successor that finds nothing
    to do of it.
    """
    if state.epoch < 2:
        return steps
    counted = []
    for step in steps:
        unreported = max(0, state.fold.announced.get(step.name, 0) - step.done - step.failed)
        counted.append(
            msgspec.structs.replace(
                step, done=step.done + unreported, total=max(step.total, step.done + unreported)
            )
            if unreported
            else step
        )
    return counted


def unnamed(state: State) -> list[str]:
    """The steps that a workflow calls its units, if the run had jobs, but none of these."""
    named = state.fold.unit_steps
    return named if named and state.steps and not axis_of(state.steps, named) else []
