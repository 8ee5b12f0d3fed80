"""Claim, or take the ownership of a run, whenever a word comes: ``race.py claim|lease STORE ROUNDS``."""

from __future__ import annotations

import sys
from pathlib import Path

from esap_wf.runs import claims
from esap_wf.runs.lease import HeldByOther, Lease
from esap_wf.runs.store import Store

what, root, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
store = Store.open(root)
for _ in range(rounds):
    print("ready", flush=True)
    word = sys.stdin.readline().split()
    if what == "claim":
        run_id = store.new_id()
        claim = claims.claim(store, word[0], run_id, renew_from=int(word[1]) or None, wait=0)
        print(claim.mine, claim.run_id, claim.generation, flush=True)
    else:
        try:
            print(True, Lease.acquire(store.run(word[0])).epoch, flush=True)
        except HeldByOther:
            print(False, flush=True)
