"""The command line whose supervisor is killed at a crash point: ``python armed.py POINT[:nth] run noop …``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from esap_wf.cli import main
from esap_wf.running import control
from esap_wf.runs import processes
from esap_wf.runs.store import Run


def spawn(run: Run, revision: Path | None = None) -> subprocess.Popen[bytes]:
    """As `control.spawn`, with a point armed."""
    with (run.dir / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("crash_at.py")),
                sys.argv[1],
                "esap_wf.running.supervisor",
                str(run.store.root),
                run.id,
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
    main(sys.argv[2:])
