"""What the states of Slurm's jobs mean, and why one has failed, in plain words."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from esap_wf.backends.launcher import Condition
from esap_wf.formats.printing import printable
from esap_wf.models.run import Reason

#: Conditions in which nothing more is to be expected of a job.
OVER = (Condition.ENDED, Condition.GONE)


@dataclass(frozen=True)
class State:
    """
    A state of a job.

    Parameters
    ----------
    name : str
        In Slurm's long form; of one that isn't known here as Slurm says it.
    condition : Condition
        ENDED: by itself or at a limit of its own; GONE: it was taken away, or never began.
    reason : Reason, optional
        Why it failed; None if it didn't, or if its exit says it (`failure`).
    text : str
        In plain words; empty if there is nothing to say.
    orphans : bool
        Something of it may still work: its node can't be asked.
    act : bool
        Somebody must do something before it goes on.
    """

    name: str
    condition: Condition
    reason: Reason | None = None
    text: str = ""
    orphans: bool = False
    act: bool = False


_W, _R, _E, _G, _U = (
    Condition.WAITING,
    Condition.RUNNING,
    Condition.ENDED,
    Condition.GONE,
    Condition.UNKNOWN,
)
_ALL = (
    State("PENDING", _W),
    State("CONFIGURING", _W, None, "its nodes are being made ready"),
    State("POWER_UP_NODE", _W, None, "its nodes are being switched on"),
    State("EXPEDITING", _W, None, "it was put back into the queue and begins as soon as it can"),
    State("REQUEUED", _W, None, "it was put back into the queue"),
    State("REQUEUE_FED", _W, None, "it was put back into the queue of the federation"),
    State("REQUEUE_HOLD", _W, None, "it was put back into the queue and is held", act=True),
    State("SPECIAL_EXIT", _W, None, "it was put back into the queue and is held", act=True),
    State("RESV_DEL_HOLD", _W, None, "it is held: its reservation was deleted", act=True),
    State("RUNNING", _R),
    State("COMPLETING", _R, None, "it is ending"),
    State("SIGNALING", _R, None, "it is getting a signal"),
    State("SUSPENDED", _R, None, "it is suspended"),
    State("STOPPED", _R, None, "it is stopped, and keeps its processors"),
    State("RESIZING", _R, None, "it is getting another size"),
    State("STAGE_OUT", _R, None, "its files are being copied"),
    State("UPDATE_DB", _R, None, "it is being written down"),
    State("COMPLETED", _E),
    State("FAILED", _E, None, "it has failed"),
    State("TIMEOUT", _E, Reason.TIMEOUT, "it was ended at its time limit"),
    State("OUT_OF_MEMORY", _E, Reason.OUT_OF_MEMORY, "it used more memory than it had asked for"),
    State("CANCELLED", _G, Reason.CANCELLED, "it was cancelled"),
    State("DEADLINE", _G, Reason.PLACE, "it was ended at its deadline"),
    State("PREEMPTED", _G, Reason.PREEMPTED, "it had to make room for another job"),
    State("BOOT_FAIL", _G, Reason.BOOT_FAIL, "its node could not be started"),
    State("NODE_FAIL", _G, Reason.NODE_FAIL, "its node has failed", orphans=True),
    State("LAUNCH_FAILED", _W, Reason.PLACE, "it could not be launched", act=True),
    State("RECONFIG_FAIL", _W, Reason.NODE_FAIL, "its node could not be set up", act=True),
    # it works in another cluster, which would have to be asked
    State("REVOKED", _U, None, "another cluster of the federation has it"),
)
_KNOWN = {state.name: state for state in _ALL}
#: Short forms, as ``squeue`` writes them, and other spellings.
_SHORT = {
    "PD": "PENDING",
    "CF": "CONFIGURING",
    "EX": "EXPEDITING",
    "RQ": "REQUEUED",
    "RF": "REQUEUE_FED",
    "RH": "REQUEUE_HOLD",
    "SE": "SPECIAL_EXIT",
    "RD": "RESV_DEL_HOLD",
    "R": "RUNNING",
    "CG": "COMPLETING",
    "SI": "SIGNALING",
    "S": "SUSPENDED",
    "ST": "STOPPED",
    "RS": "RESIZING",
    "SO": "STAGE_OUT",
    "CD": "COMPLETED",
    "F": "FAILED",
    "TO": "TIMEOUT",
    "OOM": "OUT_OF_MEMORY",
    "CA": "CANCELLED",
    "DL": "DEADLINE",
    "PR": "PREEMPTED",
    "BF": "BOOT_FAIL",
    "NF": "NODE_FAIL",
    "RV": "REVOKED",
    "REQUEUE": "REQUEUED",
    "CANCELED": "CANCELLED",
    "OUT_OF_ME": "OUT_OF_MEMORY",
}
_BY = re.compile(r"CANCELLED by (\d{1,10})")


def known() -> tuple[State, ...]:
    """Every state that is known here."""
    return _ALL


def state(text: str) -> State:
    """
    What a state means, in any of the forms in which Slurm's commands write it (``CG``, ``CANCELLED by 0``,
    ``COMPLETED+``). One that isn't known is `Condition.UNKNOWN`: never an end.
    """
    word = text.strip()
    if by := _BY.match(word):
        found = _KNOWN["CANCELLED"]
        who = _user(int(by[1]))
        return State(found.name, found.condition, found.reason, f"it was cancelled by {who}")
    name = word.upper().removesuffix("+")
    name = _SHORT.get(name, name)
    if name in _KNOWN:
        return _KNOWN[name]
    said = printable(word[:40])
    return State(said, Condition.UNKNOWN, None, f"Slurm says {said!r}, which is not known here")


def _user(number: int) -> str:
    if number == os.getuid():
        return "you"
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return f"the user with the number {number}"


def failure(state: State, said: str, exit_code: int | None, signal: int | None) -> tuple[Reason | None, str]:
    """
    Why a job that is over has failed, and that in words; None and nothing if it hasn't.

    Parameters
    ----------
    state : State
    said : str
        Slurm's own reason: ``NonZeroExitCode``.
    exit_code, signal : int, optional
        None if nobody knows them.
    """
    if state.condition not in OVER or state.name == "COMPLETED":
        return None, ""
    if state.name != "FAILED":
        return state.reason, state.text
    word = said.partition(":")[0]
    if word == "OutOfMemory":
        return Reason.OUT_OF_MEMORY, _KNOWN["OUT_OF_MEMORY"].text
    if word == "TimeLimit":
        return Reason.TIMEOUT, _KNOWN["TIMEOUT"].text
    if signal:
        return Reason.SIGNAL, f"it was ended by signal {signal}"
    if exit_code:
        return Reason.EXIT_CODE, f"exit code {exit_code}"
    if word in _FAILED_BY:
        return Reason.PLACE, _FAILED_BY[word]
    return Reason.UNKNOWN, state.text


_FAILED_BY = {
    "JobLaunchFailure": "its node could not start it",
    "FAIL_SYSTEM": "Slurm itself has failed",
    "SystemFailure": "Slurm itself has failed",
    "InactiveLimit": "it was idle for too long",
    "ReservationDeleted": "its reservation was deleted",
    "DeadLine": "it was ended at its deadline",
    "Prolog": "the site's preparation of the job has failed",
    "BurstBufferStageIn": "its files could not be brought to the burst buffer",
    "BadConstraints": "no node has what it asks for",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
}
