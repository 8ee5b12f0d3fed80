"""The verbs in Python, for notebooks and scripts: `esap_wf.plan`, `run`, `status`, `results`.

Nothing of the package imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import config as configuration
from esap_wf import delivery, discovery, documents, duplicates, flow, given, planning, plans, schemas
from esap_wf.errors import NotFoundError, Problem, RunFailedError, UsageError
from esap_wf.lookup import find_run
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request, located
from esap_wf.models.run import OutputFile, Phase, State
from esap_wf.runs.store import Run

Parameters = Mapping[str, Any] | None
Inputs = Mapping[str, str | Path | Sequence[str | Path]] | None


@dataclass(frozen=True)
class Result:
    """
    A run that was started or found.

    Parameters
    ----------
    id : str
    dir : Path
        Run directory.
    phase : Phase
    reused : bool
        Whether an identical run was there already.
    """

    id: str
    dir: Path
    phase: Phase
    reused: bool

    def outputs(self) -> list[OutputFile]:
        """The accepted outputs."""
        return results(self.id, store=self.dir.parents[2])

    def path(self, name: str) -> Path:
        """
        Path of an output with one file.

        Raises
        ------
        NotFoundError
            There is none of this name.
        """
        for output in self.outputs():
            if output.name == name:
                return self.dir / output.path
        raise NotFoundError(f"run {self.id} has no output {name!r}; it has {', '.join(sorted({o.name for o in self.outputs()}))}")


def _request(workflow: str, parameters: Parameters, inputs: Inputs, options: Mapping[str, Any]) -> Request:
    refs = {}
    for name, named in (inputs or {}).items():
        refs[name] = [str(named)] if isinstance(named, (str, Path)) else [str(n) for n in named]
    try:
        data = msgspec.to_builtins({"workflow": os.fspath(workflow), "inputs": refs, **options}, enc_hook=os.fspath)
        request = schemas.convert(documents.Document(data, "request"), Request, "request")
    except (TypeError, ValueError) as error:  # no plain data, no text
        raise UsageError("the request is not valid", [Problem("request", str(error))]) from None
    return located(msgspec.structs.replace(request, parameters=dict(parameters or {})), Path())


def plan(workflow: str, parameters: Parameters = None, inputs: Inputs = None, *, store: str | Path | None = None, **options: Any) -> Plan:
    """
    Plan a run, as ``esap-wf plan`` does.

    Parameters
    ----------
    workflow : str
        Name, or path of a workflow folder.
    parameters : mapping, optional
        Values; numbers in the unit of the schema, or texts such as ``"20 deg"``.
    inputs : mapping, optional
        Name → path, URL, or a list of them.
    store : path, optional
        Run store.
    **options
        Other fields of the request: backend, engine, size, name, tags, …

    Raises
    ------
    UsageError
        Every problem of the request.
    """
    config = configuration.load(str(store) if store else None)
    made = _made(_request(workflow, parameters, inputs, options), config)
    return msgspec.structs.replace(made, duplicates=duplicates.find(made, config))


def _made(request: Request, config: configuration.Config) -> Plan:
    workflow = discovery.find(config, request.workflow)
    request = msgspec.structs.replace(request, workflow=discovery.reference_of(workflow))
    request = located(given.sorted_out(workflow, request), Path())
    valid, problems = planning.validate(request, config, workflow=workflow)
    if problems:
        raise UsageError("the request is not valid", problems)
    return planning.make(request, config, valid)


def run(
    workflow: str | Plan, parameters: Parameters = None, inputs: Inputs = None, *, store: str | Path | None = None,
    if_exists: str = flow.REUSE, detach: bool = False, **options: Any,
) -> Result:  # fmt: skip
    """
    Run a workflow and wait for its end, as ``esap-wf run`` does.

    Parameters
    ----------
    workflow : str or Plan
        Name, path, or a plan, which is run exactly or refused as stale.
    parameters, inputs, store, **options
        As in `plan`.
    if_exists : str
        ``reuse`` or ``rerun``, if an identical run is COMPLETED.
    detach : bool
        Return at once.

    Raises
    ------
    RunFailedError
        The run ended otherwise than COMPLETED; its message begins with the reason.
    """
    if if_exists not in (flow.REUSE, flow.RERUN):
        raise UsageError("the request is not valid", [Problem("if_exists", f"{if_exists!r} is neither reuse nor rerun")])
    config = configuration.load(str(store) if store else None)
    if isinstance(workflow, Plan):
        plans.confirm_fresh(workflow, config)
        made = workflow
    else:
        made = _made(_request(workflow, parameters, inputs, options), config)
    place = Path(made.request.results) if made.request.results else None
    if place:
        delivery.confirm_writable(place)
    started = flow.start(made, config, flow.always_rerun if if_exists == flow.RERUN else flow.always_reuse)
    state = started.run.observe() if detach or started.reused else flow.follow(started.run)
    if place and state.phase is Phase.COMPLETED:
        # what the supervisor has copied is there; a run that was there may know another place, or none
        delivery.copy_outputs(started.run, place)
    if not detach and state.phase is not Phase.COMPLETED:
        raise RunFailedError(f"run {started.run.id} is {state.phase}: {state.reason}")
    return Result(started.run.id, started.run.dir, state.phase, started.reused or started.attached)


def _find(text: str, store: str | Path | None) -> Run:
    return find_run(configuration.load(str(store) if store else None), text)


def status(run: str, *, store: str | Path | None = None) -> State:
    """Phase, progress and failures of a run given by id, beginning of an id, or name."""
    return _find(run, store).observe()


def results(run: str, *, store: str | Path | None = None) -> list[OutputFile]:
    """Accepted outputs of a run; empty before it is COMPLETED."""
    outputs = _find(run, store).outputs()
    return outputs.outputs if outputs else []
