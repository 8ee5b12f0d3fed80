"""The ways in which a run ends: completed, failed, stopped. Each writes a final phase."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf.engines import queued
from esap_wf.errors import EsapError
from esap_wf.formats.quantities import human_count
from esap_wf.models.run import Failure, Phase, Reason, now
from esap_wf.running import delivery, productions
from esap_wf.running.failures import explained, headline
from esap_wf.running.ownership import Ownership
from esap_wf.runs import counts, measurements, requests
from esap_wf.runs.measurements import Measurement, RaisedBefore

#: Failures that a pipeline ignores, named one by one among the warnings of its run.
IGNORED = 5


def aborted(owner: Ownership, code: int | None) -> None:
    """The end: stopped by a person or the system."""
    owner.stop = owner.stop or owner.run.stop_requested()
    by, drain = (owner.stop.by, owner.stop.drain) if owner.stop else ("somebody", False)
    how = "after its running jobs had ended" if drain else "at once"
    owner.write(Phase.ABORTED, reason=f"stopped by {by}, {how}", ended=now(), exit_code=code)


def failed(owner: Ownership, failures: list[Failure], reason: str | None, code: int | None = None) -> None:
    """
    The end: something failed.

    Parameters
    ----------
    owner : Ownership
    failures : list of Failure
        The cause first.
    reason : str or None
        The line that says what; by default it is made from the first failure.
    code : int or None
        Exit code of the engine.
    """
    shown = [
        # of this epoch: a later one must not take it for its own
        msgspec.structs.replace(f, epoch=owner.epoch) if f.epoch is None else f
        for f in explained(failures, owner.run.dir)
    ]
    # jobs can't even write into their logs why they fail
    if owner.is_disk_full() and not any(f.reason == Reason.NO_SPACE for f in shown):
        reason = None
        what = f"the disk of {owner.run.dir} is full"
        full = Failure(step="engine", reason=Reason.NO_SPACE, log="logs/engine.log", detail=what)
        shown.insert(0, full)
    reason = reason or headline(shown[0])
    owner.write(Phase.ERROR, reason=reason, ended=now(), exit_code=code, failures=shown[:20])


def completed(owner: Ownership) -> None:
    """The end: results are accepted."""
    outputs = owner.run.accepted()
    assert outputs is not None
    owner.run.accept(outputs, owner.lease)  # writes outputs.json if a lost supervisor could not
    productions.enter(owner.run, owner.plan, outputs)
    _measure(owner)
    _keep_raised(owner)
    delivered: set[str] = set()
    nothing = "without a result" if not outputs.outputs and not outputs.values else ""
    warnings = [*outputs.warnings, *_ignored(owner), *_uncounted(owner), *_deliver(owner, delivered)]
    owner.write(Phase.COMPLETED, reason=nothing, ended=now(), exit_code=0, warnings=warnings)
    # who asked until now saw a run at work, and relies on it
    if late := _deliver(owner, delivered):
        owner.write(Phase.COMPLETED, warnings=[*warnings, *late])


def _ignored(owner: Ownership) -> list[str]:
    """
    Jobs that have failed for good in a run that its engine calls a success: the pipeline says that it goes
    on without them.
    """
    state = owner.events.state
    shown = explained(state.failures[:IGNORED], owner.run.dir)
    more = len(state.failures) - len(shown) + state.failures_more
    further = f"and despite {human_count(more, 'more failure')}: esap-wf status {owner.run.id}"
    ignored = [f"the pipeline continued despite a failure: {headline(f)}" for f in shown]
    return [*ignored, further] if more else ignored


def _uncounted(owner: Ownership) -> list[str]:
    """Units of which nothing was heard."""
    if not (named := counts.unnamed(owner.events.state)):
        return []
    there = ", ".join(s.name for s in owner.events.state.steps)
    names = ", ".join(named)
    return [f"units: the manifest names {names}, but the run had {there}: each job counts as a unit"]


def _measure(owner: Ownership) -> None:
    """
    For the estimate of the next plan: only of a run that one engine did from its beginning to its end.
    """
    used = owner.usage
    if used.cpu_seconds is None or owner.epoch != 1 or owner.events.state.started is None:
        return
    # containers of a daemon are no children of the engine
    reported = sum(s.cpu_seconds or 0.0 for s in owner.events.state.steps)
    largest = max([used.max_rss_bytes or 0, *(s.memory_bytes or 0 for s in owner.events.state.steps)])
    wall = (datetime.now(UTC) - datetime.fromisoformat(owner.events.state.started)).total_seconds()
    plan = owner.plan
    measured = Measurement(
        run=owner.run.id,
        version=plan.version,
        engine=plan.engine.name,
        units=plan.units,
        input_bytes=sum(r.bytes or 0 for refs in plan.inputs.values() for r in refs),
        cpu_seconds=max(reported, used.cpu_seconds),
        memory_bytes=largest,
        wall_seconds=round(wall, 3),
        core_seconds=plan.estimate.model_core_hours * 3600,
        place=plan.backend if plan.profile else measurements.LOCAL,
        unit_seconds=_unit_seconds(owner),
    )
    with contextlib.suppress(EsapError):
        measurements.append(owner.store.root / "records", plan.workflow, measured, mode=owner.store.file_mode)


def _unit_seconds(owner: Ownership) -> float:
    """How long a unit of a shard took on average; 0 if there are none."""
    step = next((s for s in owner.events.state.steps if s.name == owner.plan.sharding.step), None)
    if step is None or not step.seconds or not step.done:
        return 0.0
    return round(step.seconds / step.done, 6)


def _keep_raised(owner: Ownership) -> None:
    """For the next plan: what its jobs had to be given, and were then done with."""
    plan, steps = owner.plan, queued.raised(owner.run.dir)
    if not steps or plan.queue is None or plan.profile is None:
        return
    told = RaisedBefore(
        version=plan.version,
        engine=plan.engine.name,
        size=plan.request.size or owner.manifest.resources.default,
        place=plan.backend,
        steps=steps,
    )
    with contextlib.suppress(EsapError):
        measurements.keep_raised(
            owner.store.root / "records", plan.workflow, told, mode=owner.store.file_mode
        )


def _deliver(owner: Ownership, delivered: set[str]) -> list[str]:
    """Copy the results to where they are wanted and have not been `delivered`: they are accepted anyway."""
    further = requests.read_further(owner.run.dir)
    wanted = [owner.plan.request.results, *(request.results for request in further)]
    problems = []
    for folder in dict.fromkeys(f for f in wanted if f and f not in delivered):
        delivered.add(folder)
        try:
            delivery.copy_outputs(owner.run, Path(folder))
        except EsapError as error:
            hint = f"esap-wf results {owner.run.id} --copy-to DIR"
            problems.append(f"the results were not copied to {folder}: {error.message}; {hint}")
    return problems
