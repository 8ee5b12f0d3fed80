"""
The ``sbatch`` that a run's engine finds first: it marks the jobs of the run, and hides from them what the
run's own processes are known by.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from esap_wf import files
from esap_wf.backends.queue import JOB_VARIABLE, job_key
from esap_wf.runs.processes import ENGINE_VARIABLE, RUN_VARIABLE

#: In the run directory. A run that is started by hand does without it.
FOLDER = Path("engine", "bin")
#: A line a submission, with its time.
SUBMITTED = Path("engine", "submitted.jsonl")

_TEXT = """\
#!/bin/sh
# Marks the jobs of run {run}; written by esap-wf for the engine that it starts.
unset {run_variable} {engine_variable}
export {job_variable}={key}
if (: >>{record}) 2>/dev/null; then exec 9>>{record}; else exec 9>/dev/null; fi
{limit}printf '{{"t":%s}}\\n' "$(date +%s)" >&9
exec 9>&-
exec {sbatch} --comment={key} "$@"
"""


#: Waits while so many of the last lines are younger than a minute; in turn, where there is `flock`.
_LIMIT = """\
flock 9 2>/dev/null
young() {{
    tail -n {most} {record} 2>/dev/null |
        awk -F '[:}}]' -v now="$(date +%s)" '$2 > now - 60 {{n++}} END {{print n + 0}}'
}}
while [ "$(young)" -ge {most} ]; do sleep 1; done
"""


def text(run: str, folder: Path, sbatch: str, most: int | None) -> str:
    """
    The script. An option that the engine gives itself counts more than the comment here.

    Parameters
    ----------
    run : str
        Its id.
    folder : Path
        Its directory.
    sbatch : str
        Path of the real command.
    most : int, optional
        Submissions in a minute: not every engine knows a limit itself.
    """
    record = shlex.quote(str(folder / SUBMITTED))
    return _TEXT.format(
        run=run,
        run_variable=RUN_VARIABLE,
        engine_variable=ENGINE_VARIABLE,
        job_variable=JOB_VARIABLE,
        key=shlex.quote(job_key(run)),
        record=record,
        limit="" if most is None else _LIMIT.format(record=record, most=most),
        sbatch=shlex.quote(sbatch),
    )


def write(run: str, folder: Path, sbatch: str, mode: int | None, most: int | None) -> Path:
    """Write it; the folder to put before the PATH."""
    path = folder / FOLDER / "sbatch"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(
        path,
        text(run, folder, sbatch, most).encode(),
        mode=0o755 if mode is None else mode | 0o111,
        sync=False,
    )
    return path.parent
