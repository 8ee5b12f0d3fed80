"""Claim, make and complete a run, whatever of it is there already: ``make_a_run.py STORE [remove]``."""

from __future__ import annotations

import sys
from pathlib import Path

from esap_wf.models.run import Outputs, Phase, RunRecord, State, now
from esap_wf.runs import claims
from esap_wf.runs.lease import Lease
from esap_wf.runs.store import Store

store = Store.open(Path(sys.argv[1]))
claim = claims.claim(store, "ab" * 32, store.new_id())
if claim.mine:
    record = RunRecord(
        id=claim.run_id, workflow="toy", version="1", created=now(), owner="me", host="h", identity="ab" * 32
    )
    run = store.publish(store.staging(claim.run_id), record, State(phase=Phase.PENDING), claim=claim)
else:
    run = store.run(claim.run_id)
if run.state().phase is not Phase.COMPLETED:
    owner = Lease.acquire(run)
    run.write_state(State(phase=Phase.QUEUED), owner)
    run.write_state(State(phase=Phase.EXECUTING), owner)
    run.accept(Outputs(run=run.id, epoch=0, accepted=now(), outputs=[]), owner)
    run.write_state(State(phase=Phase.COMPLETED), owner)
    owner.release()
if sys.argv[2:] == ["remove"]:
    store.remove(run)
