"""What a workload manager prints into the log of a job that it ends."""

from __future__ import annotations

import re

from esap_wf.formats.quantities import human_bytes
from esap_wf.models.run import Reason

_MEMORY = re.compile(
    r"^(?:slurmstepd|srun)\S*: (?:error: )?[^\n]*?"
    r"(?:exceeded memory limit \((?P<used>\d+) > (?P<given>\d+)\)"
    r"|exceeded (?:job|step) memory limit|oom[-_ ]kill)",
    re.MULTILINE | re.IGNORECASE,
)
_ENDED = re.compile(
    r"^(?:slurmstepd|srun)\S*: error: \*\*\* (?:JOB|STEP) [^\n]* DUE TO (?P<why>[A-Z ]+?) \*\*\*",
    re.MULTILINE,
)
_WHY = {
    "TIME LIMIT": (Reason.TIMEOUT, "it was ended at its time limit"),
    "NODE FAILURE": (Reason.NODE_FAIL, "its node has failed"),
    "PREEMPTION": (Reason.PREEMPTED, "it had to make room for another job"),
    "JOB REQUEUE": (Reason.NODE_FAIL, "it was put back into the queue"),
}


def said(text: str) -> tuple[Reason, str] | None:
    """
    Why a workload manager has ended a job, as it has printed it into the job's log; None if it hasn't. Its
    own record of the job may say less: that a process was killed.
    """
    found = list(_MEMORY.finditer(text))
    if found:
        told = next((m for m in found if m["used"]), None)
        amounts = f": {human_bytes(int(told['used']))} of {human_bytes(int(told['given']))}" if told else ""
        return Reason.OUT_OF_MEMORY, f"it used more memory than it had asked for{amounts}"
    ended = _ENDED.search(text)
    return _WHY.get(ended["why"]) if ended else None
