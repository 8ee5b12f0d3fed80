"""Saved plans: read, and compared with what would be planned now.

Imported by flow, duplicates and the surfaces.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from esap_wf import catalog, files, planning
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.models.plan import Plan, checksum


def read(path: Path) -> Plan:
    """
    A saved plan.

    Raises
    ------
    UsageError
        Broken, of a newer version, or edited by hand.
    """
    plan = files.read_json(path, Plan)
    if plan.checksum != checksum(plan):
        raise UsageError(
            "the plan was edited by hand",
            [Problem(str(path), "its checksum does not fit its content", "change the request and plan again")],
        )
    return plan


def confirm_fresh(plan: Plan, config: Config) -> None:
    """
    Make sure that a saved plan still says what would run.

    Raises
    ------
    RefusedError
        It is stale: says what changed.
    """
    if datetime.fromisoformat(plan.expires) < datetime.now(UTC):
        raise RefusedError("the plan is stale", [Problem("expires", f"it was valid until {plan.expires}", "make a new plan")])
    try:
        file = Path(plan.source)
        if not file.is_file():
            raise NotFoundError("the workflow is gone", [Problem("workflow", f"there is no {file} any more")])
        workflow = catalog.read(file)
        valid, problems = planning.validate(plan.request, config, workflow=workflow)
        if not problems:
            problems = planning.changes(plan, planning.make(plan.request, config, valid))
    except UsageError as error:
        problems = error.problems or [Problem("plan", error.message)]
    if problems:
        raise RefusedError("the plan is stale", problems)
