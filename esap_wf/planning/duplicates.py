"""
Has this been run, or made, before? By digest and by scientific identity, in the index and in the record of
productions.
"""

from __future__ import annotations

from esap_wf.config import Config
from esap_wf.errors import NotFoundError, UsageError
from esap_wf.models.plan import Duplicate, Plan
from esap_wf.models.run import Phase
from esap_wf.planning import making, saved
from esap_wf.runs.store import Store


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

    index = index_of(store, config)
    try:
        same = [] if not plan.digest.deterministic else index.by_identity(plan.digest.identity)
        science = index.by_science(plan.digest.science) if plan.digest.science else []
        produced = index.by_production(plan.workflow, plan.digest.science) if plan.digest.science else []
    finally:
        index.close()
    found = [
        Duplicate(run=r.id, level="request", phase=r.phase, owner=r.owner, created=r.created) for r in same
    ]
    known = {r.id for r in same}
    for row in science:
        if row.id not in known:
            known.add(row.id)
            found.append(
                Duplicate(
                    run=row.id,
                    level="science",
                    phase=row.phase,
                    owner=row.owner,
                    created=row.created,
                    differs=_differs(plan, store, row.id),
                )
            )
    for entry in reversed(produced):
        if entry.run not in known:
            found.append(
                Duplicate(
                    run=entry.run,
                    level="science",
                    phase=Phase.ARCHIVED,
                    owner=entry.owner,
                    created=entry.created,
                    differs=["the run was removed, but the record of productions remains"],
                )
            )
    return found


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
