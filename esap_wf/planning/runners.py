"""Which of a workflow's implementations is run, and with which installation of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from esap_wf import plugins
from esap_wf.backends.places import Place
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.engines import Demand, EngineBase, programs
from esap_wf.errors import Problem, RefusedError, UnavailableError, UsageError
from esap_wf.models.manifest import Implementation
from esap_wf.models.plan import EngineChoice
from esap_wf.models.request import Request


class Runner(NamedTuple):
    """An implementation with an engine that can run it, and what was passed over because it can't."""

    implementation: Implementation
    engine: EngineBase
    choice: EngineChoice
    passed: list[str]

    @property
    def title(self) -> str:
        """The engine as messages call it."""
        return f"{self.engine.title} {self.choice.version}"

    def demands(self, workflow: Workflow, request: Request, values: Mapping[str, Any]) -> list[Demand]:
        """What the steps ask for."""
        file = workflow.home(self.implementation)[1] / self.implementation.file
        try:
            return self.engine.demands(file, self.implementation.item, request.engine_options, values)
        except UsageError:  # what is wrong with the pipeline is the engine's to say
            return []


def find_engine(
    workflow: Workflow,
    config: Config,
    wanted: str | None,
    place: Place | None = None,
    queue: str | None = None,
) -> Runner:
    """
    The first implementation whose engine is there and can run it.

    Parameters
    ----------
    workflow : Workflow
    config : Config
    wanted : str, optional
        The name of an engine.
    place : Place, optional
        Where it is to be, if that is elsewhere.
    queue : str, optional
        The workload manager to which it must be able to submit jobs (`EngineBase.queues`).

    Raises
    ------
    UsageError
        The workflow has no implementation for the wanted engine.
    RefusedError
        Engines are there, but can't run it.
    UnavailableError
        No engine is installed: with the command that installs it.
    """
    name = workflow.manifest.name
    missing: list[Problem] = []
    passed: list[str] = []
    objections: list[RefusedError] = []
    for implementation in _wanted(workflow, wanted):
        try:
            engine: EngineBase = plugins.one("esap_wf.engines", implementation.engine)
        except (UsageError, UnavailableError) as error:
            why = "this esap-wf has no plug-in for it"
            missing += [Problem(implementation.engine, p.what, why) for p in error.problems]
            continue
        if queue and queue not in engine.queues:
            what = f"{engine.title} submits no jobs to {queue} itself"
            hint = (
                "take another engine (--engine), or name `folder` in the profile, so that work is sent there"
            )
            missing.append(Problem(f"engine {engine.name}", what, hint))
            passed.append(what)
            continue
        if lacking := engine.lacks():
            missing += lacking
            passed += [problem.what for problem in lacking]
            continue
        file = workflow.home(implementation)[1] / implementation.file
        against = partial(_objections, engine, file, implementation.item)
        try:
            found = programs.first_suitable(engine, config, implementation.requires, against, place)
        except RefusedError as error:  # what the place's profile names
            missing += error.problems
            passed += [str(problem) for problem in error.problems]
            continue
        if found.choice:
            refused = found.refused if found.objector else []
            return Runner(implementation, engine, found.choice, passed + refused)
        passed += found.refused
        if found.objector:
            what = f"{engine.title} {found.objector.version} can't run {name}"
            objections.append(RefusedError(what, found.objections))
        else:
            missing.append(_not_found(engine, implementation, found.refused, place))
    if objections:
        raise objections[0]
    raise UnavailableError(f"{name} can't be run: no suitable engine was found", missing)


def _wanted(workflow: Workflow, engine: str | None) -> list[Implementation]:
    implementations = workflow.manifest.implementations
    fitting = [i for i in implementations if engine in (None, i.engine)]
    if engine and not fitting:
        has = ", ".join(i.engine for i in implementations)
        what = f"{workflow.manifest.name} does not run with {engine!r}"
        raise UsageError("the request is not valid", [Problem("--engine", what, f"it has {has}")])
    return fitting


def _not_found(
    engine: EngineBase, implementation: Implementation, refused: list[str], place: Place | None
) -> Problem:
    needs = f" {implementation.requires}" if implementation.requires else ""
    what = (
        f"none of those found fits: {'; '.join(refused)}"
        if refused
        else f"{engine.title}{needs} was not found"
    )
    if place:
        hint = f"install it there, or name it in the profile of {place.name}: engines.{engine.name}.path"
        return Problem(implementation.engine, f"{what} at {place.name}" if not refused else what, hint)
    return Problem(implementation.engine, what, programs.advice(engine, implementation.requires))


def _objections(engine: EngineBase, file: Path, item: str | None, choice: EngineChoice) -> list[Problem]:
    return engine.objections(choice, file, item)
