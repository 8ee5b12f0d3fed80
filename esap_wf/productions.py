"""The record of productions: what was made, kept when its run is removed. Written by the supervisor, read by `esap_wf.duplicates`."""

from __future__ import annotations

import contextlib
from typing import Any

from esap_wf import files
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Outputs
from esap_wf.runs.store import Run


def enter(run: Run, plan: Plan, outputs: Outputs) -> None:
    """
    Enter accepted results into the record of productions, once, if the workflow declares a scientific identity.

    The record is not read through for it: ``.recorded`` in the run directory says that it was done. After a crash between the line and
    this mark the end of the record tells; where others have added much meanwhile there is a second line, and readers take one a run.
    """
    digest = plan.digest
    mark = run.dir / ".recorded"
    if digest.science is None or mark.exists():
        return
    if not run.store.recorded_lately(plan.workflow, run.id):
        run.store.record(plan.workflow, _entry(run, plan, outputs))
    with contextlib.suppress(EsapError):  # a full disk: the end of the record tells
        files.create_exclusive(mark, b"", mode=run.store.file_mode)


def _entry(run: Run, plan: Plan, outputs: Outputs) -> dict[str, Any]:
    digest = plan.digest
    record = run.record()
    return {
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
