"""When a job would begin: ``sbatch --test-only``, which submits nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from esap_wf.backends.slurm import options
from esap_wf.backends.slurm.commands import Commands, Ended
from esap_wf.backends.slurm.settings import Way, of
from esap_wf.backends.slurm.words import moment
from esap_wf.errors import EsapError, Problem, RefusedError
from esap_wf.models.place import Profile
from esap_wf.models.plan import Allocation

_STARTS = re.compile(r"^sbatch: Job \d+ to start at (\S+)", re.MULTILINE)
_REFUSES = re.compile(r"^(?:sbatch: error|allocation failure): *(.+)$", re.MULTILINE)
#: Said, too, while all nodes that would do are drained or down: what is really submitted then waits for them.
#: What no node ever has is known by the survey.
_PASSES = "Requested node configuration is not available"
#: Seconds for the question: a plan is not held up by it.
_PATIENCE = 15.0
_SCRIPT = "#!/bin/sh\ntrue\n"


def expected(profile: Profile, job: Allocation) -> str:
    """
    When a job would begin if it were submitted now (RFC 3339); empty if nobody says it.

    Raises
    ------
    RefusedError
        Slurm would not take it.
    """
    if of(profile).way is Way.THERE:
        job = options.piece(profile, job)
    try:
        said = Commands(profile).run(
            "sbatch",
            *options.where(profile),
            *("--test-only", "--output=/dev/null", "--chdir=/"),
            *options.size(profile, job),
            given=_SCRIPT,
            patience=_PATIENCE,
        )
    except EsapError:
        return ""
    return read(said, profile.name)


def read(said: Ended, name: str) -> str:
    """
    What ``sbatch --test-only`` says: a time, or why it would refuse the job.

    Raises
    ------
    RefusedError
    """
    text = f"{said.err}\n{said.out}"
    if found := _STARTS.search(text):
        begin = moment(found[1])
        if begin is None:
            return ""
        return datetime.fromtimestamp(begin, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    refused = [line for line in _REFUSES.findall(text) if _PASSES not in line]
    if said.code and refused:
        why = "; ".join(dict.fromkeys(line.strip().rstrip(".") for line in refused))[:300]
        hint = "its partition, account, QOS and options are in the profile: esap-wf backends show " + name
        raise RefusedError(
            f"{name} would refuse the job", [Problem(f"backend {name}", f"sbatch says: {why}", hint)]
        )
    return ""
