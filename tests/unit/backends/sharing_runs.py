"""Several runs at one place, each with a supervisor's loop in a process of its own that may be killed: ``python sharing_runs.py JSON``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from helpers.ledger import Ledger

from esap_wf.backends import Condition, Piece, Profile
from esap_wf.backends.launcher import Served
from esap_wf.backends.sharing import Shared
from esap_wf.models.plan import Allocation

NEEDS = Allocation(cores=1, memory_bytes=1, disk_bytes=1, wall_seconds=1)


def supervise(run: Path, pieces: int, shared: Shared, pause: float) -> int:
    """Start what has no handle, look at the others, forget what has ended. How often it looked."""
    keys = [f"{run.name}.1.{number}.1" for number in range(1, pieces + 1)]
    handles: dict[str, str] = {}
    ended: set[str] = set()
    looks = 0
    while len(ended) < pieces:
        waiting = [Piece(k, run, ("true",), NEEDS) for k in keys if k not in handles and k not in ended]
        answers = shared.start(waiting) if waiting else {}
        handles |= {k: h for k, h in answers.items() if isinstance(h, str)}
        if handles:
            looks += 1
            seen = shared.look(dict(handles))
            assert seen.keys() == handles.keys()
            over = {k: handles.pop(k) for k, s in seen.items() if s.condition is Condition.ENDED}
            assert all(s.condition is not Condition.GONE for s in seen.values()), seen
            if over:
                shared.forget(dict(over))
            ended |= over.keys()
        time.sleep(pause)
    return looks


def main(told: dict[str, Any]) -> None:
    ledger = Ledger(Path(told["ledger"]), told["lasts"], told["latency"])
    run = Path(told["run"])
    shared = Shared(ledger, msgspec.convert(told["profile"], Profile), Path(told["cache"]))
    shared.serve(Served(run.name, run))
    (run / "looks").write_text(str(supervise(run, told["pieces"], shared, told["pause"])))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
