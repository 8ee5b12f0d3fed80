"""Saved plans: read, and compared with what would be planned now.

Imported by flow, duplicates and the surfaces.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from esap_wf import discovery, files, planning
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.models.plan import Plan, checksum


def read(path: Path) -> Plan:
    """
    The plan of a run.

    Raises
    ------
    UsageError
        Broken, of a newer version, or edited by hand.
    """
    plan = saved(path)
    if plan.checksum != checksum(plan):
        raise UsageError(
            "the plan was edited by hand",
            [Problem(str(path), "its checksum does not fit its content", "change the request and plan again")],
        )
    return plan


def saved(path: Path) -> Plan:
    """A saved plan, to be held against the present by `confirm_fresh`; UsageError if it is broken or of a newer version."""
    return files.read_json(path, Plan)


def confirm_fresh(plan: Plan, config: Config) -> None:
    """
    Make sure that a saved plan still says what would run.

    Raises
    ------
    RefusedError
        It is stale or was edited: says what changed.
    """
    edited = plan.checksum != checksum(plan)
    if not edited and datetime.fromisoformat(plan.expires) < datetime.now(UTC):
        raise RefusedError("the plan is stale", [Problem("expires", f"it was valid until {plan.expires}", "make a new plan")])
    try:
        workflow = discovery.again(config, plan)
        valid, problems = planning.validate(plan.request, config, workflow=workflow)
        if not problems:
            fresh = planning.make(plan.request, config, valid)
            problems = planning.changes(plan, fresh)
            if edited:
                problems = _edits(plan, fresh, {p.where for p in problems}) + problems
    except UsageError as error:
        problems = error.problems or [Problem("plan", error.message)]
    if edited:
        what = "was edited by hand: its checksum does not fit its content"
        raise RefusedError("the plan is stale", [Problem("plan", what, "change the request and plan again"), *problems])
    if problems:
        raise RefusedError("the plan is stale", problems)


#: What two plans of one request need not have in common.
_OF_THE_MOMENT = {"created", "expires", "checksum", "duplicates", "offers", "estimate"}


def _edits(plan: Plan, fresh: Plan, told: set[str]) -> list[Problem]:
    """Where an edited plan says something else than a new one of its request; `told` is said elsewhere."""
    is_now, was = msgspec.to_builtins(fresh), msgspec.to_builtins(plan)
    found = [
        Problem(name, f"says {_short(was.get(name))}; a new plan of its request says {_short(is_now.get(name))}")
        for name in is_now | was
        if name not in _OF_THE_MOMENT | told and was.get(name) != is_now.get(name)
    ]
    return [p for p in found if p.where != "digest"] or found  # it follows from the others


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "…"
