"""The verbs that plan and start: plan, run, resume, rerun."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import config as configuration
from esap_wf import flow, steering
from esap_wf.api import values
from esap_wf.api.result import Result, RunLike, config_of, found, warn
from esap_wf.api.waiting import interrupted, wait
from esap_wf.catalogue import workflows
from esap_wf.errors import Problem, RunFailedError, UsageError
from esap_wf.flow import IfExists
from esap_wf.formats import documents, reading, schemas
from esap_wf.models.basket import Basket
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request
from esap_wf.models.run import Phase
from esap_wf.planning import duplicates, making, saved
from esap_wf.request.assembly import Asked, assemble

AnyPath = str | os.PathLike[str]
Parameters = Mapping[str, Any] | None
Inputs = Mapping[str, AnyPath | Sequence[AnyPath]] | None
Items = AnyPath | Mapping[str, Any] | Sequence[Any] | None


def _request(workflow: AnyPath, inputs: Inputs, options: Mapping[str, Any]) -> Request:
    refs = {}
    for name, named in (inputs or {}).items():
        refs[name] = [str(named)] if isinstance(named, (str, os.PathLike)) else [str(n) for n in named]
    data = values.as_data({"inputs": refs, **options})
    try:
        data["workflow"] = os.fspath(workflow)
        return schemas.convert(documents.Document(data, "request"), Request, "request")
    except (TypeError, ValueError, RecursionError) as error:  # no data, no text
        raise UsageError("the request is not valid", [Problem("request", str(error))]) from None


def plan(
    workflow: AnyPath,
    parameters: Parameters = None,
    inputs: Inputs = None,
    *,
    basket: Items = None,
    store: AnyPath | None = None,
    **options: Any,
) -> Plan:
    """
    Plan a run, as ``esap-wf plan`` does.

    Parameters
    ----------
    workflow : str or path
        Name, path of a workflow or pipeline, or URL.
    parameters : mapping, optional
        Values: numbers in the unit of the schema, texts such as ``"20 deg"``, quantities of astropy, numbers
        and arrays of NumPy.
    inputs : mapping, optional
        Name → path, ``rucio://LAKE/scope/name``, URL, ``run:RUN/OUTPUT``, or a list of them.
    basket : path, mapping or sequence, optional
        A shopping basket: a file, or what such a file holds. Inputs that are not given come from it.
    store : path, optional
        Run store.
    **options
        Other fields of the request: backend, engine, size, software, results, name, tags, resources
        (a mapping with cores, nodes, gpus, slices, memory, wall), …

    Returns
    -------
    Plan
        Shown as one line; `run` takes it.

    Raises
    ------
    UsageError
        Every problem of the request.
    """
    config = config_of(store)
    made = _made(workflow, parameters, inputs, basket, options, config)
    return msgspec.structs.replace(made, duplicates=duplicates.find(made, config))


def _made(
    workflow: AnyPath,
    parameters: Parameters,
    inputs: Inputs,
    basket: Items,
    options: Mapping[str, Any],
    config: configuration.Config,
) -> Plan:
    request = _request(workflow, inputs, options)
    found = workflows.find(config, request.workflow)
    named = values.of_parameters(parameters, found.properties)
    items = None if basket is None else _items(basket)
    asked = Asked(request=msgspec.structs.replace(request, parameters=named), basket=items)
    assembled = assemble(asked, found, config)
    for warning in assembled.warnings:
        warn(warning)
    assembled.confirm_valid()
    return making.make(assembled.request, config, assembled.valid)


def _items(basket: AnyPath | Mapping[str, Any] | Sequence[Any]) -> Basket:
    from esap_wf.basket import items

    if isinstance(basket, (str, os.PathLike)):
        return items.read(reading.read_text(Path(basket), limit=items.MOST), str(basket), "local")
    return items.read(msgspec.json.encode(basket).decode(), "the basket", "local")


def run(
    workflow: AnyPath | Plan,
    parameters: Parameters = None,
    inputs: Inputs = None,
    *,
    basket: Items = None,
    store: AnyPath | None = None,
    if_exists: str = "reuse",
    detach: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Result:
    """
    Run a workflow and wait for its end, as ``esap-wf run`` does.

    An interrupt (Ctrl-C, the stop button of a notebook) ends the waiting, not the run: the error says how to
    follow or cancel it.

    Parameters
    ----------
    workflow : str, path or Plan
        Name, path, URL, or a plan, which is run exactly or refused as stale.
    parameters, inputs, basket, store, **options
        As in `plan`.
    if_exists : str
        ``reuse`` or ``rerun``, if an identical run is COMPLETED.
    detach : bool
        Return at once.
    progress : bool, optional
        Show how far it is; without it on a terminal and in a notebook only.

    Returns
    -------
    Result

    Raises
    ------
    RunFailedError
        The run ended otherwise than COMPLETED; its message begins with the reason.
    UsageError, RefusedError
        It can't be planned, or not be started.
    """
    if if_exists not in (IfExists.REUSE, IfExists.RERUN):
        raise UsageError(
            "the request is not valid",
            [Problem("if_exists", f"{if_exists!r} is neither 'reuse' nor 'rerun'")],
        )
    config = config_of(store)
    if isinstance(workflow, Plan):
        saved.confirm_fresh(workflow, config)
        made = workflow
    else:
        made = _made(workflow, parameters, inputs, basket, options, config)
    with interrupted(config.store):
        started = flow.start(made, config, IfExists(if_exists))
    return _concluded(started, detach, progress)


def _concluded(started: flow.Started, detach: bool, progress: bool | None) -> Result:
    """Follow what was started, and say what became of it."""
    state = flow.conclude(started, detach, lambda run: wait(run, progress))
    if not detach and state.phase is not Phase.COMPLETED:
        raise RunFailedError(f"run {started.run.id} is {state.phase}: {state.reason}")
    return Result(
        started.run.id, started.run.dir, state.phase, started.reused or started.attached, started.notes
    )


def resume(
    run: RunLike,
    *,
    cores: int | None = None,
    memory: int | str | None = None,
    wall: int | str | None = None,
    software: str | None = None,
    detach: bool = False,
    progress: bool | None = None,
    store: AnyPath | None = None,
) -> Result:
    """
    Go on with a run that failed, was stopped, or lost its supervisor, as ``esap-wf resume`` does. Finished
    units are not repeated.

    Parameters
    ----------
    run : str, Result or RunSummary
        Id, beginning of an id, name, or what another function gave.
    cores : int, optional
        Go on with so many cores.
    memory : int or str, optional
        Go on with so much memory, such as ``"8 GB"``.
    wall : int or str, optional
        Go on with another time limit, such as ``"2 h"``.
    software : str, optional
        Go on by another route to the software.
    detach, progress, store
        As in `run`.

    Returns
    -------
    Result

    Raises
    ------
    RefusedError
        It is at work, or COMPLETED.
    RunFailedError
        It ended otherwise than COMPLETED again.
    """
    config = config_of(store, run)
    meant = found(run, config)
    wanted = values.as_data({"cores": cores, "memory": memory, "wall": wall, "software": software})
    notes: list[str] = []
    steering.resume(
        meant, config, {name: value for name, value in wanted.items() if value is not None}, notes.append
    )
    return _concluded(flow.Started(meant, notes=tuple(notes)), detach, progress)


def rerun(
    run: RunLike,
    parameters: Parameters = None,
    *,
    detach: bool = False,
    progress: bool | None = None,
    store: AnyPath | None = None,
) -> Result:
    """
    Run again as a new run, with the workflow's present code and some parameters changed, as ``esap-wf rerun``
    does.

    Parameters
    ----------
    run : str, Result or RunSummary
        Id, beginning of an id, name, or what another function gave.
    parameters : mapping, optional
        Those to change, as in `plan`.
    detach, progress, store
        As in `run`.

    Returns
    -------
    Result
        Of the new run.

    Raises
    ------
    UsageError
        Every problem of the changed request.
    RunFailedError
        The new run ended otherwise than COMPLETED.
    """
    config = config_of(store, run)
    meant = found(run, config)
    with interrupted(config.store):
        started = steering.rerun(
            meant, config, {}, lambda workflow: values.of_parameters(parameters, workflow.properties), warn
        )
    return _concluded(started, detach, progress)
