"""
Has this been run, or made, before? By digest and by scientific identity, in the index and in the record of
productions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esap_wf.config import Config
from esap_wf.errors import NotFoundError, UsageError
from esap_wf.models.plan import Duplicate, Plan
from esap_wf.models.run import Phase
from esap_wf.planning import identity, making, saved
from esap_wf.runs.productions import Production
from esap_wf.runs.store import Store

if TYPE_CHECKING:
    from esap_wf.runs.index import Row


def find(plan: Plan, config: Config) -> list[Duplicate]:
    """
    Earlier runs: with the same digest, and with the same scientific identity, across users.

    Looked up in the store's index and in its record of productions, which keeps what was deleted.
    """
    try:
        store = Store.open(config.store)
    except NotFoundError:
        return []
    from esap_wf.runs.lookup import index_of  # SQLite: not for starting and following

    digest, science = plan.digest, plan.digest.science or ""
    with index_of(store, config) as index:
        digests = [d for d in (digest.identity, identity.before(plan)) if d and digest.deterministic]
        same = [row for one in digests for row in index.by_identity(one)]
        alike = index.by_science(science)
        produced = index.by_production(plan.workflow, science)
    found = {row.id: _of_row(row, "request") for row in same}
    for row in alike:
        if row.id not in found:
            found[row.id] = _of_row(row, "science", _differs(plan, store, row.id))
    for entry in reversed(produced):
        found.setdefault(entry.run, _of_production(entry))
    return [*found.values()]


def _of_row(row: Row, level: str, differs: Sequence[str] = ()) -> Duplicate:
    return Duplicate(
        run=row.id, level=level, phase=row.phase, owner=row.owner, created=row.created, differs=[*differs]
    )


def _of_production(entry: Production) -> Duplicate:
    return Duplicate(
        run=entry.run,
        level="science",
        phase=Phase.ARCHIVED,
        owner=entry.owner,
        created=entry.created,
        differs=["the run was removed, but the record of productions remains"],
    )


def _differs(plan: Plan, store: Store, run_id: str) -> list[str]:
    try:
        other = saved.read_intact_plan(store.run(run_id).dir / "plan.json")
    except (NotFoundError, UsageError):
        return ["its plan can't be read"]
    found = [
        f"{k}: {other.parameters.get(k)} there, {v} here"
        for k, v in plan.parameters.items()
        if other.parameters.get(k) != v
    ]
    if other.code != plan.code:
        found.append(f"code of the workflow (version {other.version} there, {plan.version} here)")
    here, there = making.content(plan.inputs), making.content(other.inputs)
    found += [f"input {name}" for name in here if here[name] != there.get(name)]
    if (other.engine.name, other.engine.version) != (plan.engine.name, plan.engine.version):
        found.append(
            f"engine: {other.engine.name} {other.engine.version} there, {plan.engine.name} "
            f"{plan.engine.version} here"
        )
    return found
