"""By what the jobs that an engine submits to a workload manager are known there as a run's.

A process on this machine belongs to a run if the run's key is in its environment
(`esap_wf.runs.processes.RUN_VARIABLE`). A job must not carry that key: where a node is this machine, it would
be found, and ended, as a process of the run. So jobs carry another variable, and their name begins with the
job key, or their comment is that.
"""

from __future__ import annotations

#: In the environment of engines that submit jobs, and of their jobs.
JOB_VARIABLE = "ESAP_WF_JOBS"
_PREFIX = "ewf-"


def job_key(run: str) -> str:
    """What names of a run's jobs begin with: letters, digits and dashes only, as run ids are."""
    return f"{_PREFIX}{run}"


def run_of(name: str, comment: str, runs: frozenset[str]) -> str | None:
    """
    To which of some runs a job belongs, by its name or its comment; None: to none of them.

    Parameters
    ----------
    name, comment : str
        As the workload manager tells them; anybody may have written them.
    runs : frozenset of str
        Ids that are looked for.
    """
    for text in (name, comment):
        if not text.startswith(_PREFIX):
            continue
        rest = text[len(_PREFIX) :]
        # an id may be the beginning of another: it ends where a character comes that ids don't have
        for run in runs:
            if rest == run or (rest.startswith(run) and rest[len(run)] in "._:/ "):
                return run
    return None
