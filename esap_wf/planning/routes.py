"""By which route the steps find their software: installed, a Python environment, a container, a mounted
directory.

The alternatives of a manifest are tried in order; the plan names the one chosen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from esap_wf.backends import Profile
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import EsapError, Problem, RefusedError, UsageError
from esap_wf.models.manifest import Software
from esap_wf.models.plan import ContainerChoice, SoftwareChoice
from esap_wf.planning import nodes
from esap_wf.software import environments

if TYPE_CHECKING:
    from esap_wf.engines import EngineBase
    from esap_wf.planning.provisions import Provisions
    from esap_wf.software import containers


def route_of(alternative: Software) -> str:
    """Name of the route: installed, python, container or mounted."""
    return next(
        r for r in ("installed", "python", "container", "mounted") if getattr(alternative, r) is not None
    )


def choose(
    workflow: Workflow,
    config: Config,
    wanted: str | None = None,
    profile: Profile | None = None,
    engine: EngineBase | None = None,
    there: Provisions | None = None,
) -> SoftwareChoice:
    """
    The first alternative that works here, or at a place elsewhere.

    Parameters
    ----------
    workflow : Workflow
    config : Config
    wanted : str, optional
        ``--software``: only this route.
    profile : Profile, optional
        Of the place; it may say which container runtimes are allowed and what stands for which image.
    engine : EngineBase, optional
        It may not be able to drive every runtime.
    there : Provisions, optional
        Of a place elsewhere.

    Raises
    ------
    RefusedError
        None works; says why for each.
    UsageError
        The workflow has no such route.
    """
    offered = _offered(workflow)
    routes = [route_of(a) for a in offered]
    refused: list[str] = []
    if workflow.images:
        if wanted == "container" or (workflow.contained and not wanted):
            try:
                if there:
                    return _images_there(workflow, there, engine)
                return _own_images(workflow, config, profile, engine)
            except RefusedError as error:
                if wanted:
                    raise
                refused = [str(p) for p in error.problems]
        else:
            refused = [
                (
                    f"container {', '.join(workflow.images)}: the steps name these images; --software "
                    "container runs the steps in them"
                )
            ]
        routes.append("container")
    if wanted and wanted not in routes:
        raise UsageError(
            "no such route to the software",
            [
                Problem(
                    "--software",
                    f"{wanted!r} is not available",
                    f"this workflow has {', '.join(dict.fromkeys(routes))}",
                )
            ],
        )
    for alternative in offered:
        route = route_of(alternative)
        if wanted and route != wanted:
            refused.append(f"{_named(alternative)}: not used, because {wanted} was asked for")
            continue
        if there:
            choice, why = _try_there(alternative, workflow.folder, there, engine)
        else:
            choice, why = _try(alternative, workflow.folder, config, profile, engine)
        if choice:
            return msgspec.structs.replace(choice, refused=refused)
        refused += [f"{route}: {w}" for w in why]
    raise RefusedError(
        "the software of this workflow is not available", [Problem("software", r) for r in refused]
    )


def _offered(workflow: Workflow) -> list[Software]:
    return workflow.manifest.software or [Software(installed=["python3"])]


def _try_there(
    alternative: Software, folder: Path, there: Provisions, engine: EngineBase | None
) -> tuple[SoftwareChoice | None, list[str]]:
    """An alternative at a place elsewhere."""
    if alternative.container is None:
        choice, why = there.uncontained(alternative, folder)
        return choice, [] if choice else [why]
    image = alternative.container
    container, why = there.container(image, alternative.network, engine)
    if container is None:
        return None, [f"{image}: {why}"]
    detail = f"{image} by {container.runtime} at {there.place.name}: {container.reference}"
    return SoftwareChoice(route="container", detail=detail, container=container), []


def _images_there(workflow: Workflow, there: Provisions, engine: EngineBase | None) -> SoftwareChoice:
    """The images that the pipeline itself names, at a place elsewhere."""
    found: dict[str, ContainerChoice] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(workflow.images):
        container, why = there.container(name, True, engine)
        if container:
            found[name] = container
        else:
            problems.append(Problem(name, why))
    if problems:
        raise RefusedError("a container of this pipeline can't be started there", problems)
    detail = f"the pipeline's own images at {there.place.name}: {', '.join(found)}"
    return SoftwareChoice(route="container", detail=detail, images=found)


def _own_images(
    workflow: Workflow, config: Config, profile: Profile | None, engine: EngineBase | None
) -> SoftwareChoice:
    """The images that the pipeline itself names."""
    found = images(workflow.images, workflow.folder, config, profile, engine=engine)
    names = "; ".join(
        f"{n}{f' ({c.digest[:19]}…)' if c.digest else ''} by {c.runtime}" for n, c in found.items()
    )
    return SoftwareChoice(route="container", detail=f"the pipeline's own images: {names}", images=found)


def alternatives(
    workflow: Workflow, config: Config, profile: Profile | None = None
) -> Iterator[tuple[str, SoftwareChoice | None, list[str]]]:
    """Each alternative of a workflow: what it is, the choice if it works here, and why it doesn't."""
    for alternative in _offered(workflow):
        choice, why = _try(alternative, workflow.folder, config, profile)
        yield _named(alternative), choice, why


def images(
    names: Sequence[str],
    base: Path,
    config: Config,
    profile: Profile | None = None,
    network: bool = True,
    engine: EngineBase | None = None,
) -> dict[str, ContainerChoice]:
    """
    What stands here for the images that a pipeline itself names.

    Parameters
    ----------
    names : sequence of str
    base : Path
        Folder of relative paths.
    config : Config
    profile : Profile, optional
    network : bool
        False: its steps may reach no network.
    engine : EngineBase, optional

    Raises
    ------
    RefusedError
        No runtime can start one of them; says why for each, all at once.
    """
    allowed = _allowed(config, profile, engine)
    found: dict[str, ContainerChoice] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        try:
            chosen = _chosen(name, allowed, config, base, network, profile)
        except EsapError as error:
            problems += error.problems or [Problem(name, error.message)]
            continue
        if chosen.choice:
            found[name] = chosen.choice
        problems += [Problem(name, reason, _HINT) for reason in chosen.reasons] if not chosen.choice else []
    if problems:
        raise RefusedError("a container of this pipeline can't be started here", problems)
    return found


_HINT = "or map the image to an archive, a SIF or a mirror: [containers.map] in the configuration"


def _allowed(config: Config, profile: Profile | None, engine: EngineBase | None) -> containers.Settings:
    """
    What the configuration and the place allow, and the engine can drive.

    Raises
    ------
    RefusedError
        Nothing of it.
    """
    from esap_wf.software import containers

    there = profile.containers if profile else None
    allowed = containers.settings(config, there.runtimes if there else (), there.map if there else None)
    if engine is None:
        return allowed
    able = engine.runtimes.split()
    if left := tuple(r for r in allowed.runtimes if r in able):
        return replace(allowed, runtimes=left)
    what = (
        f"{engine.title} can drive {' and '.join(able) or 'no runtime'} only, allowed here is "
        f"{', '.join(allowed.runtimes) or 'none'}"
    )
    raise RefusedError(
        "no container can be used",
        [Problem(f"engine {engine.name}", what, "choose another --engine, or installed software")],
    )


def _named(alternative: Software) -> str:
    route = route_of(alternative)
    value = getattr(alternative, route)
    return f"{route} {', '.join(value) if isinstance(value, list) else value}"


def _try(
    alternative: Software,
    folder: Path,
    config: Config,
    profile: Profile | None,
    engine: EngineBase | None = None,
) -> tuple[SoftwareChoice | None, list[str]]:
    if alternative.container is not None:
        return _container(alternative.container, alternative.network, folder, config, profile, engine)
    site = nodes.of(profile)
    if site and alternative.mounted:
        choice, why = nodes.mounted(alternative.mounted, site, site.software.path)
    else:
        choice, why = _uncontained(alternative, folder, config)
    return choice, [why] if choice is None else []


def _chosen(
    image: str,
    allowed: containers.Settings,
    config: Config,
    base: Path,
    network: bool,
    profile: Profile | None,
) -> containers.Chosen:
    """What stands for an image here, or where only nodes see it."""
    from esap_wf.software import containers

    site = nodes.of(profile)
    if site and (there := nodes.image(image, site)):
        return containers.choose_unseen(image, there, site.name, allowed, config.cache, network)
    return containers.choose(image, allowed, config.cache, base, network)


def _container(
    image: str,
    network: bool,
    folder: Path,
    config: Config,
    profile: Profile | None,
    engine: EngineBase | None,
) -> tuple[SoftwareChoice | None, list[str]]:
    try:
        chosen = _chosen(image, _allowed(config, profile, engine), config, folder, network, profile)
    except (UsageError, RefusedError) as error:
        return None, [str(p) for p in error.problems] or [error.message]
    if chosen.choice is None:
        return None, [f"{image}: {reason}" for reason in chosen.reasons]
    return SoftwareChoice(
        route="container", detail=chosen.detail, ready=chosen.ready, container=chosen.choice
    ), []


def _uncontained(alternative: Software, folder: Path, config: Config) -> tuple[SoftwareChoice | None, str]:
    if isinstance(alternative.installed, list):
        absent = [c for c in alternative.installed if shutil.which(c) is None]
        if absent:
            return None, f"{', '.join(absent)} is not on PATH"
        # what an empty list stands for was not looked for
        detail = (
            f"{', '.join(alternative.installed)} on PATH"
            if alternative.installed
            else "from PATH: whatever programs the steps call"
        )
        return SoftwareChoice(route="installed", detail=detail), ""
    if isinstance(alternative.installed, str):
        return _installed(folder / alternative.installed)
    if alternative.python:
        requirements = folder / alternative.python
        environment = environments.location(requirements, config.cache)
        ready = environments.is_ready(environment)
        detail = f"Python environment from {alternative.python} ({'built' if ready else 'will be built'})"
        return SoftwareChoice(
            route="python", detail=detail, bin_dirs=[str(environment / "bin")], ready=ready
        ), ""
    if alternative.mounted:
        root = Path(alternative.mounted)
        if not root.is_dir():
            return None, f"{root} is not mounted here"
        bins = root / "bin" if (root / "bin").is_dir() else root
        return SoftwareChoice(route="mounted", detail=str(root), bin_dirs=[str(bins)]), ""
    return None, "says nothing"


def _installed(requirements: Path) -> tuple[SoftwareChoice | None, str]:
    command = shutil.which("python") or shutil.which("python3")
    if command is None:
        return None, "there is no python on PATH"
    # not resolved: in a virtual environment bin/python is a link, and the packages stand beside the link
    python = Path(os.path.abspath(command))  # noqa: PTH100
    there, wanted = environments.distributions(python), environments.pins(requirements)
    wrong = [f"{n} {v} ({there.get(n, 'none')} is there)" for n, v in wanted.items() if there.get(n) != v]
    if wrong:
        return None, f"python on PATH lacks {', '.join(wrong[:3])}" + (
            f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        )
    if not wanted:
        return None, f"{requirements.name} pins nothing"
    return SoftwareChoice(
        route="installed",
        detail=f"{python} has all versions pinned in {requirements.name}",
        bin_dirs=[str(python.parent)],
    ), ""


def requirements_of(workflow: Workflow) -> list[Path]:
    """Requirement files from which the workflow's environment can be built."""
    return [workflow.folder / s.python for s in workflow.manifest.software if s.python]
