"""
The record of productions: what was made, kept when its run is removed. Read by `esap_wf.planning.duplicates`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from esap_wf import __version__, files
from esap_wf.errors import EsapError
from esap_wf.models.plan import Plan
from esap_wf.models.run import Outputs
from esap_wf.runs import productions as records
from esap_wf.runs.store import Run


def enter(run: Run, plan: Plan, outputs: Outputs) -> None:
    """
    Enter accepted results into the record of productions, once, if the workflow declares a scientific
    identity.

    The record is not read through for it: ``.recorded`` in the run directory says that it was done. After a
    crash between the line and this mark the end of the record tells; where others have added much meanwhile
    there is a second line, and readers take one a run.
    """
    digest = plan.digest
    mark = run.dir / ".recorded"
    if digest.science is None or mark.exists():
        return
    if not records.lately(run.store.root / "records", plan.workflow, run.id):
        records.append(
            run.store.root / "records", plan.workflow, _entry(run, plan, outputs), mode=run.store.file_mode
        )
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
        "parameters": plan.parameters,
        "selected": plan.selected,
        "inputs": {name: [ref.checksum for ref in refs] for name, refs in plan.inputs.items()},
        "code": plan.code,
        "reference": plan.reference,
        "engine": f"{plan.engine.name} {plan.engine.version}",
        "software": {
            "route": plan.software.route,
            "environments": [Path(p).parent.name for p in plan.software.bin_dirs],
            "images": {c.image: c.digest for c in plan.software.containers},
        },
        "esap_wf": __version__,
        "cpu": record.cpu,
        "workflow": plan.workflow,
        "version": plan.version,
        "owner": record.owner,
        "created": record.created,
        "accepted": outputs.accepted,
        "outputs": [{"name": o.name, "path": o.path, "sha256": o.sha256} for o in outputs.outputs],
    }
