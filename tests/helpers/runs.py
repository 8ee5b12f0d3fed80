"""Runs that no engine made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from esap_wf.models.run import Outputs, Phase, Progress, RunRecord, State
from esap_wf.runs.lease import Lease
from esap_wf.runs.store import Run, Store
from helpers.command_line import Place


def make_run(
    place: Place,
    run_id: str,
    phase: Phase = Phase.COMPLETED,
    ago: float = 3600,
    took: float = 65,
    plan: dict[str, Any] | None = None,
    **more: Any,
) -> Run:
    """Publish a run that ended as asked for, so many seconds after it began; of its plan what is given."""
    store = Store.open(place.store, create=True)
    begin = datetime.now(UTC) - timedelta(seconds=ago)
    created, ended = (
        t.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for t in (begin, begin + timedelta(seconds=took))
    )
    fields = {"workflow": "irf", "version": "1", "created": created, "owner": "ada", "host": "here"} | more
    staged = store.staging(run_id)
    if plan is not None:
        (staged / "plan.json").write_bytes(msgspec.json.encode(plan))
    run = store.publish(staged, RunRecord(id=run_id, **fields), State(phase=Phase.PENDING))
    owner = Lease.acquire(run)
    counts = Progress(units_total=8, units_done=8, jobs_total=8, jobs_done=8)
    run.write_state(State(phase=Phase.QUEUED), owner)
    run.write_state(State(phase=Phase.EXECUTING, started=created), owner)
    if phase is Phase.COMPLETED:
        run.accept(Outputs(run=run_id, epoch=1, accepted=ended, outputs=[]), owner)
    run.write_state(State(phase=phase, progress=counts, started=created, ended=ended), owner)
    owner.release()
    return run
