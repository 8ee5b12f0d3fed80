"""By which route the steps find their software: installed, a Python environment, a container, a mounted directory.

Imported by plan, supervisor, doctor. The alternatives of a manifest are tried in order; the plan names the one chosen.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from esap_wf import environments
from esap_wf.catalog import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.models.manifest import Software
from esap_wf.models.plan import SoftwareChoice


def route_of(alternative: Software) -> str:
    """Name of the route: installed, python, container or mounted."""
    return next(r for r in ("installed", "python", "container", "mounted") if getattr(alternative, r) is not None)


def choose(workflow: Workflow, config: Config, wanted: str | None = None) -> SoftwareChoice:
    """
    The first alternative that works here.

    Parameters
    ----------
    workflow : Workflow
    config : Config
    wanted : str, optional
        ``--software``: only this route.

    Raises
    ------
    RefusedError
        None works; says why for each.
    UsageError
        The workflow has no such route.
    """
    alternatives = workflow.manifest.software or [Software(installed=["python3"])]
    routes = [route_of(a) for a in alternatives]
    if wanted and wanted not in routes:
        raise UsageError(
            "no such route to the software",
            [Problem("--software", f"{wanted!r} is not offered", f"this workflow has {', '.join(dict.fromkeys(routes))}")],
        )
    refused: list[str] = []
    for alternative, route in zip(alternatives, routes, strict=True):
        if wanted and route != wanted:
            continue
        choice, why = _try(alternative, workflow.folder, config)
        if choice:
            return SoftwareChoice(route=choice.route, detail=choice.detail, bin_dirs=choice.bin_dirs, ready=choice.ready, refused=refused)
        refused.append(f"{route}: {why}")
    raise RefusedError("the software of this workflow is not available", [Problem("software", r) for r in refused])


def _try(alternative: Software, folder: Path, config: Config) -> tuple[SoftwareChoice | None, str]:
    if isinstance(alternative.installed, list):
        absent = [c for c in alternative.installed if shutil.which(c) is None]
        if absent:
            return None, f"{', '.join(absent)} is not on PATH"
        return SoftwareChoice(route="installed", detail=f"{', '.join(alternative.installed)} on PATH"), ""
    if isinstance(alternative.installed, str):
        return _installed(folder / alternative.installed)
    if alternative.python:
        requirements = folder / alternative.python
        environment = environments.location(requirements, config.cache)
        ready = environments.is_ready(environment)
        detail = f"Python environment from {alternative.python} ({'built' if ready else 'will be built'})"
        return SoftwareChoice(route="python", detail=detail, bin_dirs=[str(environment / "bin")], ready=ready), ""
    if alternative.mounted:
        root = Path(alternative.mounted)
        if not root.is_dir():
            return None, f"{root} is not mounted here"
        bins = root / "bin" if (root / "bin").is_dir() else root
        return SoftwareChoice(route="mounted", detail=str(root), bin_dirs=[str(bins)]), ""
    return None, "this version runs no containers"


def _installed(requirements: Path) -> tuple[SoftwareChoice | None, str]:
    command = shutil.which("python") or shutil.which("python3")
    if command is None:
        return None, "there is no python on PATH"
    # not resolved: in a virtual environment bin/python is a link, and the packages stand beside the link
    python = Path(os.path.abspath(command))  # noqa: PTH100
    there, wanted = environments.distributions(python), environments.pins(requirements)
    wrong = [f"{n} {v} ({there.get(n, 'none')} is there)" for n, v in wanted.items() if there.get(n) != v]
    if wrong:
        return None, f"python on PATH lacks {', '.join(wrong[:3])}" + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    if not wanted:
        return None, f"{requirements.name} pins nothing"
    return SoftwareChoice(route="installed", detail=f"{python} has all pins of {requirements.name}", bin_dirs=[str(python.parent)]), ""


def requirements_of(workflow: Workflow) -> list[Path]:
    """Requirement files from which the workflow's environment can be built."""
    return [workflow.folder / s.python for s in workflow.manifest.software if s.python]
