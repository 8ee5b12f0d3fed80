"""What a run needs before its engine can start: the environment of its software, its images."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from esap_wf.errors import StoppedError, UnavailableError
from esap_wf.models.run import Phase
from esap_wf.running.ownership import Ownership
from esap_wf.software import environments

logger = logging.getLogger(__name__)

#: Where the output of what is built goes, relative to the run directory.
LOG = Path("logs", "software.log")


def prepare(owner: Ownership, cache: Path) -> None:
    """
    Make images ready and build the environment, if the plan says so and nobody has. Ends early if the run is
    to stop: no engine is started for it.

    Parameters
    ----------
    owner : Ownership
    cache : Path
        Where environments are built.

    Raises
    ------
    UnavailableError
        It can't be done.
    """
    with contextlib.suppress(StoppedError):
        _make_images_ready(owner, cache)
    with contextlib.suppress(StoppedError):
        _build_environment(owner, cache)


def _make_images_ready(owner: Ownership, cache: Path) -> None:
    if not owner.plan.software.containers:
        return
    from esap_wf.software import containers

    for choice in owner.plan.software.containers:
        if not containers.is_ready(choice):
            what = f"making the image {choice.image} ready for {choice.runtime}, once"
            owner.write(Phase.QUEUED, reason=f"{what}: {owner.run.dir / LOG}")
            logger.debug(what)
            containers.prepare(choice, cache, owner.run.dir / LOG, owner.wants_stop)


def _build_environment(owner: Ownership, cache: Path) -> None:
    software = owner.plan.software
    environment = Path(software.bin_dirs[0]).parent if software.bin_dirs else None
    if software.route != "python" or environment is None or environments.is_ready(environment):
        return
    requirements = next(owner.snapshot / s.python for s in owner.manifest.software if s.python)
    what = "building the Python environment of the workflow, once"
    owner.write(Phase.QUEUED, reason=f"{what}: {owner.run.dir / LOG}")
    logger.debug(what)
    built = environments.build(requirements, cache, owner.run.dir / LOG, owner.wants_stop)
    if [str(built / "bin")] != software.bin_dirs:
        raise UnavailableError(
            f"the environment was built at {built}, but the plan names another place: make a new plan"
        )
