"""The record of productions: what was made, kept when its run is removed. Written by the supervisor, read by `esap_wf.duplicates`."""

from __future__ import annotations

from esap_wf.models.plan import Plan
from esap_wf.models.run import Outputs
from esap_wf.runs.store import Run


def enter(run: Run, plan: Plan, outputs: Outputs) -> None:
    """Enter accepted results into the record of productions, once, if the workflow declares a scientific identity."""
    digest = plan.digest
    if digest.science is None or any(entry.get("run") == run.id for entry in run.store.records(plan.workflow)):
        return
    record = run.record()
    entry = {
        "schema_version": 1,
        "run": run.id,
        "science": digest.science,
        "identity": digest.identity,
        "values": digest.science_values,
        "workflow": plan.workflow,
        "version": plan.version,
        "owner": record.owner,
        "created": record.created,
        "accepted": outputs.accepted,
        "outputs": [{"name": o.name, "path": o.path, "sha256": o.sha256} for o in outputs.outputs],
    }
    run.store.record(plan.workflow, entry)
