"""Why a job waits at Slurm, in plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from esap_wf.formats.printing import printable


@dataclass(frozen=True)
class Why:
    """
    Why a job waits.

    Parameters
    ----------
    text : str
        In plain words.
    act : bool
        It will not begin until somebody does something.
    """

    text: str
    act: bool = False


_ASKS = "it asks for more than"
_PLAIN = {
    # it will begin by itself
    "None": "Slurm has not looked at it yet",
    "Priority": "jobs with a higher priority come first",
    "Resources": "no node is free for it",
    "Reservation": "its reservation has not begun",
    "BeginTime": "it may not begin yet",
    "Dependency": "it waits for another job",
    "Licenses": "no licence is free",
    "JobArrayTaskLimit": "as many members of its array run as may run at a time",
    "Cleaning": "what is left of its last attempt is being removed",
    "Prolog": "its nodes are being prepared",
    "NodeDown": "a node that it needs is down",
    "FrontEndDown": "no front-end node is there",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition starts no jobs now",
    "ReqNodeNotAvail": "nodes that it needs are down, drained or reserved",
    "BurstBufferResources": "there is no room in the burst buffer",
    "BurstBufferStageIn": "its files are being brought to the burst buffer",
    "DeadLine": "it can't be done before its deadline",
    "NodesNotAvailable": "nodes that it needs are down, drained or reserved",
    "MaxPowerPerAccount": "its account uses as much power as it may",
    "PowerNotAvail": "there is not enough power for it",
    "PowerReserved": "the power is reserved for other jobs",
    "FedJobLock": "the clusters of the federation decide which of them takes it",
    "QOSUsageThreshold": "its QOS was used too much",
    "SchedDefer": "Slurm starts it later",
    "MaxBatchLimit": "Slurm starts no more jobs at a time",
}
_HELP = {
    # it never will
    "JobHeldUser": "it is held by you, or by whoever submitted it: scontrol release JOB lets it go",
    "JobHeldAdmin": "it is held by an administrator, who must let it go",
    "JobHoldMaxRequeue": "it was put back into the queue too often, and is held: scontrol release JOB",
    "DependencyNeverSatisfied": "the job that it waits for has failed, so it never begins",
    "BadConstraints": "no node has what it asks for",
    "PartitionTimeLimit": f"{_ASKS} the time limit of its partition",
    "PartitionNodeLimit": f"{_ASKS} the nodes that its partition gives one job",
    "InvalidAccount": "its account may not be used, or is not valid",
    "InvalidQOS": "its QOS may not be used, or is not valid",
    "AccountNotAllowed": "its account may not use its partition",
    "AccountingPolicy": "a limit of its account is reached",
    "QOSNotAllowed": "its QOS may not use its partition",
    "ReservationDeleted": "its reservation was deleted",
    "BurstBufferOperation": "its burst buffer has failed",
    "PartitionConfig": f"{_ASKS} its partition allows",
    "FAIL_SYSTEM": "Slurm has failed with it",
    "FAIL_ACCOUNT": "its account is not valid",
    "FAIL_QOS": "its QOS is not valid",
    "QOSMinCPUsNotSatisfied": "it asks for fewer cores than its QOS allows",
    "QOSMinCpuNotSatisfied": "it asks for fewer cores than its QOS allows",
    "QOSTimeLimit": f"{_ASKS} the time limit of its QOS",
    "QOSResourceLimit": "a limit of its QOS is reached",
    "AssociationTimeLimit": f"{_ASKS} the time limit of its account",
}
#: Limits of a QOS or an account: of all its jobs together, of a user, or of one job (which never begins).
_LIMIT = re.compile(r"(QOS|Assoc)(Grp|Max|Min)([A-Za-z/]*?)(?:PerJob|PerUser|PerAccount|PerNode)?(?:Limit)?")
_AMOUNTS = {
    "cpu": "cores",
    "cpus": "cores",
    "mem": "memory",
    "memory": "memory",
    "node": "nodes",
    "nodes": "nodes",
    "job": "jobs",
    "jobs": "jobs",
    "submitjobs": "jobs",
    "submitjob": "jobs",
    "wall": "time",
    "walldurationper": "time",
    "wallduration": "time",
    "gres": "GPUs or the like",
    "license": "licences",
    "bb": "burst buffer",
    "cpuminutes": "core time",
    "cpumins": "core time",
    "cpusmins": "core time",
    "cpurunminutes": "core time",
    "cpurunmins": "core time",
    "jobsub": "jobs",
}


def why(reason: str) -> Why:
    """
    What Slurm's reason for a waiting job means (``squeue``, the column REASON). One that isn't known is told
    as it is.
    """
    text = reason.strip().removeprefix("(").removesuffix(")").strip()
    # "ReqNodeNotAvail, UnavailableNodes:n[1-3]", "Nodes required for job are DOWN, DRAINED or reserved …"
    word, _, rest = text.partition(",")
    word = word.strip()
    if word in _HELP:
        return Why(_HELP[word], act=True)
    if word in _PLAIN:
        nodes = rest.partition(":")[2].strip() if word == "ReqNodeNotAvail" else ""
        return Why(_PLAIN[word] + (f": {printable(nodes[:100])}" if nodes else ""))
    lower = text.lower().replace("_", " ")
    if "requeued held" in lower:
        return Why("it could not be started, and is held: scontrol release JOB lets it go", act=True)
    if lower.startswith("nodes required for job are down"):
        return Why(_PLAIN["ReqNodeNotAvail"])
    if "user env retrieval failed" in lower:
        return Why("the user's environment could not be read on its node; it is held", act=True)
    if limit := _LIMIT.fullmatch(word):
        return _of_limit(word, limit)
    said = printable(text[:100])
    return Why(f"Slurm says: {said}" if said else _PLAIN["None"])


def _of_limit(word: str, limit: re.Match[str]) -> Why:
    whose = "QOS" if limit[1] == "QOS" else "account"
    amount = _AMOUNTS.get(limit[3].lower(), limit[3] or "jobs")
    if limit[2] == "Min":
        return Why(f"it asks for less {amount} than its {whose} allows", act=True)
    if "PerJob" in word or "PerNode" in word:
        return Why(f"{_ASKS} its {whose} gives one job: {amount}", act=True)
    if "PerUser" in word or (limit[2] == "Max" and amount == "jobs"):
        return Why(f"you use as much as your {whose} allows one user: {amount}")
    return Why(f"all jobs of its {whose} together use as much as they may: {amount}")
