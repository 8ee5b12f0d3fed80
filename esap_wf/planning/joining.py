"""
What a request brings along to a run that is there: another plan, names, tags, a folder for the results.
Imported by flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.catalogue import workflows
from esap_wf.config import Config
from esap_wf.errors import EsapError, Problem, RefusedError, UsageError
from esap_wf.models.plan import Plan
from esap_wf.models.run import now
from esap_wf.planning import making, saved
from esap_wf.request.validation import validate
from esap_wf.running import revisions
from esap_wf.runs import processes, requests
from esap_wf.runs.store import Run, Store


def revised(run: Run, plan: Plan, config: Config) -> tuple[Path | None, str]:
    """
    What an identical run is to go on by, if a new request's plan differs from the one in force in what is
    only recorded.

    Returns
    -------
    staged : Path or None
        From `esap_wf.running.revisions.stage`; None if nothing differs.
    differences : str
        In what.
    """
    try:
        old = saved.read_plan(run.dir / revisions.PLAN)
    except EsapError:  # broken: the new one mends it
        old = None
    if old is not None and not saved.differs(old, plan):
        return None, ""
    differences = "; ".join(saved.differences(old, plan)) if old else "its own can't be read"
    if old is not None and old.request.results:  # who asked first wants them there still
        request = msgspec.structs.replace(plan.request, results=old.request.results)
        plan = making.sealed(msgspec.structs.replace(plan, request=request))
    return revisions.stage(run, plan, workflows.of_plan(config, plan)), differences or "another command"


def replanned(run: Run, config: Config, changes: Mapping[str, Any]) -> Plan:
    """
    The plan of a run's own request with other resources or another route, for the same run.

    Parameters
    ----------
    run : Run
    config : Config
    changes : mapping
        Of the request: ``software``, and of its resources ``cores``, ``memory``, ``wall``.

    Raises
    ------
    RefusedError
        It would be another run: what decides its bytes has changed.
    UsageError, UnavailableError
        As for a new request.
    """
    old = saved.read_intact_plan(run.dir / revisions.PLAN)
    workflow = workflows.of_plan(config, old)
    resources = msgspec.structs.replace(
        old.request.resources, **{k: v for k, v in changes.items() if k != "software"}
    )
    request = msgspec.structs.replace(
        old.request, resources=resources, software=changes.get("software", old.request.software)
    )
    valid, problems = validate(request, config, workflow=workflow)
    if problems:
        raise UsageError("the request is not valid", problems)
    plan = saved.as_drawn(old, making.make(request, config, valid), workflow)
    if plan.digest.identity != old.digest.identity:
        what = "; ".join(p.where for p in saved.changes(old, plan)) or "its identity"
        hint = f"esap-wf resume {run.id} continues it as planned; esap-wf rerun {run.id} makes a new run"
        raise RefusedError(
            f"run {run.id} can't continue with another plan",
            [Problem(run.id, f"it would now be a different run: {what}", hint)],
        )
    return plan


def join(plan: Plan, config: Config, run: Run, reused: bool, resumed: bool) -> list[str]:
    """Record what a request wants of a run that answers it; what to tell."""
    request, record = plan.request, run.record()
    try:
        further = requests.read_further(run.dir)
        known = {record.name, *(f.name for f in further)}
        name = (
            request.name
            if request.name and (request.name not in known or not _is_newest(run, request.name, config))
            else None
        )
        tags = [tag for tag in request.tags if tag not in requests.tags(record, further)]
        results = (
            None
            if reused or request.results in {_planned_place(run), *(f.results for f in further)}
            else request.results
        )
        if name or tags or results:
            run.also_asked(
                requests.Further(at=now(), by=processes.user(), name=name, tags=tags, results=results)
            )
    except EsapError as error:
        return [f"its further name and tags could not be recorded: {error.message}"]
    called = [
        *([f"the name {name}"] if name and name not in known else []),
        *([f"tags {', '.join(tags)}"] if tags else []),
    ]
    notes = [f"it now also has {' and '.join(called)}"] if called else []
    notes += [f"its results will be copied to {results} when it ends"] if results else []
    return notes if resumed else notes + _otherwise(plan, run, reused)


def _is_newest(run: Run, name: str, config: Config) -> bool:
    """Whether a name means this run: another one may have been given it since."""
    from esap_wf.runs.lookup import index_of  # SQLite: not for starting and following

    index = index_of(Store.open(run.store.root), config)
    try:
        return [row.id for row in index.by_name(name, limit=1)] == [run.id]
    finally:
        index.close()


def _planned_place(run: Run) -> str | None:
    return saved.read_plan(run.dir / revisions.PLAN).request.results


def _otherwise(plan: Plan, run: Run, reused: bool) -> list[str]:
    """
    In what a run that is there was planned otherwise: of results only what they were made with is of
    interest.
    """
    try:
        old = saved.read_plan(run.dir / revisions.PLAN)
    except EsapError:
        return []
    different = saved.made_otherwise(old, plan) if reused else saved.differences(old, plan)
    what = (
        "it was made with other software than would be used now"
        if reused
        else "it runs as it was planned, not as it was asked for now"
    )
    return [f"{what}: {'; '.join(different)}"] if different else []
