"""
Of the jobs that an engine submits to a workload manager: what the directory of their run says of them, and
what the manager has printed into a job's log.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.formats import reading
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.run import Raised, Reason

#: Amounts that a run has been given beyond its plan, by step.
RAISED = "engine/raised.json"
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
_decode = msgspec.json.Decoder(dict[str, Raised]).decode


def submits(run: Path) -> bool:
    """Whether the engine of a run submits jobs."""
    try:
        return json.loads((run / "plan.json").read_bytes()).get("queue") is not None
    except (OSError, ValueError, AttributeError):
        return False


def raised(run: Path) -> dict[str, Raised]:
    """What jobs get beyond the plan, because earlier ones ran out of it; nothing if it can't be read."""
    try:
        with reading.opened(run / RAISED) as file:
            return _decode(file.read())
    except (OSError, *files.BROKEN):
        return {}


def keep_raised(run: Path, amounts: dict[str, Raised], mode: int | None) -> None:
    """Write it down, for the launch of the next engine."""
    data = msgspec.json.format(msgspec.json.encode(amounts, order="sorted"), indent=1) + b"\n"
    files.write_atomic(run / RAISED, data, mode=mode)


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
