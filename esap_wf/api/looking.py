"""The verbs that only look: list, status, logs, results."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from esap_wf.api.result import RunLike, config_of, found, warn
from esap_wf.api.tables import Log, Rows, Runs, RunSummary
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.run import OutputFile, Phase, State
from esap_wf.runs.logs import Logs
from esap_wf.runs.lookup import listed, moment_of, opened

#: Runs of a page at most.
LONGEST = 10_000

Folder = str | os.PathLike[str]


def list_(
    *,
    phase: str | None = None,
    workflow: str | None = None,
    tag: str | None = None,
    name: str | None = None,
    owner: str | None = None,
    since: str | date | None = None,
    limit: int = 50,
    cursor: str | None = None,
    store: Folder | None = None,
) -> Runs:
    """
    Runs, newest first, as ``esap-wf list`` shows them.

    Parameters
    ----------
    phase : str, optional
        Only runs in this phase: EXECUTING, COMPLETED, ERROR, UNKNOWN, …
    workflow : str, optional
        Only runs of this workflow.
    tag : str, optional
        Only runs with this tag.
    name : str, optional
        Only runs one of whose names contains this text, in upper or lower case.
    owner : str, optional
        Only runs of this user.
    since : str, date or datetime, optional
        Only runs created then or later; without a time zone it is UTC.
    limit : int
        Runs per page, 1 to 10000.
    cursor : str, optional
        `next` of the previous page.
    store : path, optional
        Run store.

    Returns
    -------
    Runs
        A list of `RunSummary` that is shown as a table; its `next` is the cursor of the following page.

    Raises
    ------
    UsageError
        A filter is not valid, or the folder is not a run store.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LONGEST:
        raise UsageError(
            "the request is not valid", [Problem("limit", f"{limit!r} is not a number from 1 to {LONGEST}")]
        )
    config = config_of(store)
    begin = moment_of(since.isoformat() if isinstance(since, date) else since, "since")
    there = opened(config)
    if there is None:
        return Runs([])
    rows, following = listed(
        there,
        config,
        phase=phase,
        workflow=workflow,
        tag=tag,
        name=name,
        owner=owner,
        since=begin,
        limit=limit,
        cursor=cursor,
    )
    return Runs(
        (
            RunSummary(
                r.id,
                r.name,
                r.workflow,
                Phase(r.phase),
                r.created,
                r.started,
                r.ended,
                r.counts(),
                r.owner,
                there.run(r.id).dir,
            )
            for r in rows
        ),
        following,
    )


def status(run: RunLike, *, store: Folder | None = None) -> State:
    """
    Phase, progress and failures of a run, as ``esap-wf status`` shows them.

    Parameters
    ----------
    run : str, Result or RunSummary
        Id, beginning of an id, name, or what another function gave.
    store : path, optional
        Run store.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    return found(run, config_of(store, run)).observe()


def logs(
    run: RunLike, *, step: str | None = None, unit: str | None = None, store: Folder | None = None
) -> Rows[Log]:
    """
    Logs of a run, as ``esap-wf logs`` finds them: of each unit that of the latest attempt.

    Parameters
    ----------
    run : str, Result or RunSummary
        As in `status`.
    step, unit : str, optional
        Only those; engine, software and supervisor are the run's own.
    store : path, optional
        Run store.

    Returns
    -------
    list of Log
        Each has a `path`, and `tail` gives its end.

    Raises
    ------
    NotFoundError
        There is no such run, or no such log.
    """
    meant = found(run, config_of(store, run))
    meant.record()  # of a later version: refused, not half understood
    known = Logs(meant)
    known.read()
    entries = known.of(step, unit)
    if not entries and (step or unit):
        raise known.none(step, unit)
    members = [Log(e["step"], e["unit"], e["attempt"], Path(e["path"])) for e in entries]
    return Rows(
        members, ("step", "unit", "attempt", "path"), lambda log: (log.step, log.unit, log.attempt, log.path)
    )


def results(run: RunLike, *, copy_to: Folder | None = None, store: Folder | None = None) -> Rows[OutputFile]:
    """
    Accepted outputs of a run, as ``esap-wf results`` shows them; empty before it is COMPLETED.

    A warning tells of results that were changed since.

    Parameters
    ----------
    run : str, Result or RunSummary
        As in `status`.
    copy_to : path, optional
        Copy them into this folder.
    store : path, optional
        Run store.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    from esap_wf.running import delivery

    meant = found(run, config_of(store, run))
    outputs = meant.outputs()
    if outputs and copy_to is not None:
        delivery.copy_outputs(meant, Path(copy_to))
    elif outputs:
        for problem in delivery.altered(meant):
            warn(str(problem))
    members = outputs.outputs if outputs else []
    return Rows(
        members,
        ("name", "path", "size", "sha256"),
        lambda o: (o.name, o.path, human_bytes(o.bytes), o.sha256[:12]),
    )
