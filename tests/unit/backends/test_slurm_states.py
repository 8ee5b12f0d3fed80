"""Every state of Slurm's jobs has a meaning; one that isn't known is never an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.backends.launcher import Condition
from esap_wf.backends.slurm import states
from esap_wf.backends.slurm.pending import why
from esap_wf.models.run import Reason

WAITING, RUNNING, ENDED, GONE, UNKNOWN = Condition

MEANINGS = {
    "PENDING": WAITING,
    "PD": WAITING,
    "CONFIGURING": WAITING,
    "CF": WAITING,
    "POWER_UP_NODE": WAITING,
    "REQUEUED": WAITING,
    "RQ": WAITING,
    "REQUEUE_FED": WAITING,
    "RF": WAITING,
    "REQUEUE_HOLD": WAITING,
    "RH": WAITING,
    "SPECIAL_EXIT": WAITING,
    "SE": WAITING,
    "RESV_DEL_HOLD": WAITING,
    "RD": WAITING,
    "EXPEDITING": WAITING,
    "LAUNCH_FAILED": WAITING,
    "RECONFIG_FAIL": WAITING,
    "RUNNING": RUNNING,
    "R": RUNNING,
    "COMPLETING": RUNNING,
    "CG": RUNNING,
    "SIGNALING": RUNNING,
    "SI": RUNNING,
    "SUSPENDED": RUNNING,
    "S": RUNNING,
    "STOPPED": RUNNING,
    "ST": RUNNING,
    "RESIZING": RUNNING,
    "RS": RUNNING,
    "STAGE_OUT": RUNNING,
    "SO": RUNNING,
    "UPDATE_DB": RUNNING,
    "COMPLETED": ENDED,
    "CD": ENDED,
    "COMPLETED+": ENDED,
    "FAILED": ENDED,
    "F": ENDED,
    "TIMEOUT": ENDED,
    "TO": ENDED,
    "OUT_OF_MEMORY": ENDED,
    "OUT_OF_ME+": ENDED,
    "OOM": ENDED,
    "CANCELLED": GONE,
    "CA": GONE,
    "CANCELLED+": GONE,
    "CANCELLED by 0": GONE,
    "CANCELLED by 4294967294": GONE,
    "DEADLINE": GONE,
    "DL": GONE,
    "PREEMPTED": GONE,
    "PR": GONE,
    "BOOT_FAIL": GONE,
    "BF": GONE,
    "NODE_FAIL": GONE,
    "NF": GONE,
    "REVOKED": UNKNOWN,
    "RV": UNKNOWN,
}


@pytest.mark.parametrize(("text", "condition"), MEANINGS.items())
def test_what_a_state_means(text: str, condition: Condition) -> None:
    assert states.state(text).condition is condition


def test_every_state_is_asked_for_here() -> None:
    assert {s.name for s in states.known()} <= set(MEANINGS)


@given(st.text())
def test_a_state_that_nobody_knows_is_no_end(text: str) -> None:
    known = {*MEANINGS, *(name.lower() for name in MEANINGS)}
    found = states.state(text)
    if text.strip().rstrip("+") not in known and found.name not in known:
        assert found.condition is UNKNOWN


@pytest.mark.parametrize(
    ("state", "said", "code", "signal", "reason", "words"),
    [
        ("COMPLETED", "None", 0, None, None, ""),
        ("RUNNING", "None", None, None, None, ""),
        ("FAILED", "NonZeroExitCode", 3, None, Reason.EXIT_CODE, "exit code 3"),
        ("FAILED", "RaisedSignal:9(Killed)", None, 9, Reason.SIGNAL, "signal 9"),
        ("FAILED", "JobLaunchFailure", None, None, Reason.PLACE, "could not start"),
        ("FAILED", "OutOfMemory", 1, None, Reason.OUT_OF_MEMORY, "memory"),
        ("FAILED", "", None, None, Reason.UNKNOWN, "failed"),
        ("TIMEOUT", "TimeLimit", None, 15, Reason.TIMEOUT, "time limit"),
        ("OUT_OF_MEMORY", "OutOfMemory", None, 125, Reason.OUT_OF_MEMORY, "memory"),
        ("CANCELLED by 0", "None", None, 15, Reason.CANCELLED, "cancelled by"),
        ("NODE_FAIL", "NodeDown", None, None, Reason.NODE_FAIL, "node"),
        ("BOOT_FAIL", "None", None, None, Reason.BOOT_FAIL, "node"),
        ("PREEMPTED", "None", None, None, Reason.PREEMPTED, "room"),
        ("DEADLINE", "DeadLine", None, None, Reason.PLACE, "deadline"),
    ],
)
def test_why_a_job_has_failed(
    state: str, said: str, code: int | None, signal: int | None, reason: Reason | None, words: str
) -> None:
    found, text = states.failure(states.state(state), said, code, signal)
    assert found is reason
    assert words in text


def test_a_node_that_has_failed_may_still_work() -> None:
    assert states.state("NODE_FAIL").orphans
    assert not states.state("CANCELLED").orphans


@pytest.mark.parametrize(
    ("reason", "words", "act"),
    [
        ("Priority", "higher priority", False),
        ("Resources", "no node is free", False),
        ("(Resources)", "no node is free", False),
        ("None", "not looked at it yet", False),
        ("QOSMaxJobsPerUserLimit", "your QOS allows one user: jobs", False),
        ("AssocGrpCpuLimit", "account together use as much as they may: cores", False),
        ("AssocGrpCPUMinutesLimit", "core time", False),
        ("QOSMaxWallDurationPerJobLimit", "one job: time", True),
        ("QOSMaxMemoryPerJob", "one job: memory", True),
        ("AssocMaxJobsLimit", "one user: jobs", False),
        ("QOSMinGRES", "less", True),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-3]", "reserved: n[1-3]", False),
        (
            "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority",
            "drained",
            False,
        ),
        ("PartitionTimeLimit", "time limit of its partition", True),
        ("PartitionDown", "partition is down", False),
        ("JobHeldUser", "held by you", True),
        ("JobHeldAdmin", "administrator", True),
        ("DependencyNeverSatisfied", "has failed", True),
        ("BadConstraints", "no node has", True),
        ("InvalidAccount", "account", True),
        ("InvalidQOS", "QOS", True),
        ("Licenses", "licence", False),
        ("BeginTime", "not begin yet", False),
        ("launch failed requeued held", "could not be started, and is held", True),
        ("launch_failed_requeued_held", "is held", True),
        ("NewInSlurm99", "Slurm says: NewInSlurm99", False),
        ("bad\x1b[31m", "Slurm says: bad", False),
    ],
)
def test_why_a_job_waits(reason: str, words: str, act: bool) -> None:
    found = why(reason)
    assert words in found.text
    assert found.act is act
    assert found.text.isprintable()
