"""
The command line, or a supervisor, with a short memory for signs of life: ``python impatient.py run noop …``.

Only the intervals are shorter; who watches whom, and by which clock, is as always.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from esap_wf.running import pulse
from esap_wf.runs import lease

lease.RENEW, lease.TTL = 0.3, 5.0
pulse.LOOK, pulse.DEAD, pulse.DEAD_ON_FULL_DISK = 0.5, 4.0, 2.0

from esap_wf.cli import main  # noqa: E402
from esap_wf.running import control, supervisor, watch  # noqa: E402
from esap_wf.runs import processes  # noqa: E402
from esap_wf.runs.store import Run  # noqa: E402

watch.MISSED = 6.0

for function in (lease.watch, lease.Lease.acquire.__func__):  # type: ignore[attr-defined]
    function.__defaults__ = tuple(lease.TTL if d == 30.0 else d for d in function.__defaults__ or ())
    function.__kwdefaults__ = {
        k: lease.TTL if v == 30.0 else v for k, v in (function.__kwdefaults__ or {}).items()
    }


def spawn(run: Run, revision: Path | None = None) -> subprocess.Popen[bytes]:
    """As `control.spawn`, as impatient as this process."""
    with (run.dir / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                __file__,
                "supervisor",
                str(run.store.root),
                run.id,
                *filter(None, [run.presumed_dead()]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=run.dir,
            start_new_session=True,
            env={**os.environ, processes.RUN_VARIABLE: run.id},
        )


if __name__ == "__main__":
    control.spawn = spawn
    if sys.argv[1] == "supervisor":
        sys.exit(supervisor.main(sys.argv[2:]))
    main(sys.argv[1:])
