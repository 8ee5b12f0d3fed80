"""
Jobs handed in to Slurm: each is called by its key, by which it is found again, and searched for before it is
handed in once more.

An answer of ``sbatch`` may be lost although Slurm has taken the job, and two processes may hand in one key at
the same time. So the last word has the job: its script begins with `FENCE`, and of all jobs of a key one goes
on.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from esap_wf.backends.launcher import BatchJob, NeedsPersonError, OutageError, Refusal
from esap_wf.backends.queue import job_key
from esap_wf.backends.slurm import options, questions
from esap_wf.backends.slurm.commands import Commands, Ended
from esap_wf.models.place import Profile
from esap_wf.models.plan import Allocation

#: First lines of a job's script, in bash: the job leaves its id in a file that nobody else has made, or ends.
#: On a file system that many nodes see, making a file is the one thing that only one of them can do.
FENCE = """\
if ! (set -o noclobber; printf '%s\\n' "${{SLURM_JOB_ID:-none}}" > {file}) 2>/dev/null; then
    [ -e {file} ] || {{ echo "esap-wf: no file can be made in $PWD" >&2; exit 73; }}
    echo "esap-wf: job ${{SLURM_JOB_ID:-}} ends: another one of this name has begun" >&2
    exit 0
fi
"""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}")
_ID = re.compile(r"([1-9]\d{0,11})(;[\w.-]{1,100})?")
#: What Slurm says of a job that it will not take later either.
_NEVER = re.compile(
    r"Invalid (?!authentication|user id)|Requested node configuration is not available"
    r"|Memory specification can not be satisfied"
    r"|Node count specification invalid|More processors requested than permitted|Requested reservation"
    r"|Requested time limit|CPU count|Job violates accounting/QOS policy|not permitted to use this partition"
    r"|unrecognized option|option requires|invalid option|does not exist|Requested .* not supported"
    r"|not allowed|Required node not available|Access denied to requested reservation|Pathname",
    re.IGNORECASE,
)
#: What goes by: too many jobs of this user are in the queue, or an administrator has closed a partition.
_LATER = re.compile(
    r"MaxSubmitJob|GrpSubmitJob|MaxSubmit|inactive or drain|submit limit exceeded", re.IGNORECASE
)
#: What the client sees of this user, and a job may have from the start. Whatever else a job needs comes in
#: files that only this user can read.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ")


class Later(Struct, frozen=True):
    """Slurm doesn't take a job now; it may in a while."""

    reason: str


class Request(Struct, frozen=True):
    """
    One job to be handed in.

    Parameters
    ----------
    key : str
        Of the piece; the job's name is made of it (`name_of`).
    folder : Path
        In which it works.
    script : str
        Begins with ``#!``.
    output : str
        What it prints is appended to, relative to `folder`; no ``%``.
    needs : Allocation
        Cores, memory, GPUs and time of the job.
    options : sequence of str
        Further ones, each a whole argument.
    """

    key: str
    folder: Path
    script: str
    output: str
    needs: Allocation
    options: Sequence[str] = ()


def name_of(key: str) -> str:
    """What the job of a piece is called."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"no key of a piece: {key!r}")
    return job_key(key)


def key_of(job: BatchJob) -> str | None:
    """The key of the piece whose job this is; None if it is none by its name."""
    prefix = job_key("")
    key = job.name.removeprefix(prefix)
    return key if job.name.startswith(prefix) and "." in key and _KEY.fullmatch(key) else None


def fence(file: str) -> str:
    """Lines of bash after which only the first job of all that were handed in for a key goes on."""
    return FENCE.format(file=shlex.quote(file))


def arguments(profile: Profile, request: Request) -> list[str]:
    """
    Options of ``sbatch``: each a whole argument, and those of the profile before those that can't be others.
    """
    return [
        *options.where(profile),
        "--parsable",
        f"--job-name={name_of(request.key)}",
        f"--chdir={request.folder}",
        f"--output={request.output}",
        "--open-mode=append",
        "--no-requeue",
        *options.size(profile, request.needs),
        # all that is in the environment below; NONE would have the node start a login shell of the user
        "--export=ALL",
        *request.options,
    ]


def find(commands: Commands, keys: Sequence[str]) -> dict[str, list[BatchJob]]:
    """
    The jobs of some keys that Slurm knows, be they over, in the order in which they were handed in. Several
    of one key are no fault: all but one end as soon as they begin.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    found: dict[str, list[BatchJob]] = {}
    if keys:
        for job in questions.named(commands, [name_of(key) for key in keys]):
            if key := key_of(job):
                found.setdefault(key, []).append(job)
    return {key: sorted(jobs, key=_number) for key, jobs in found.items()}


def _number(job: BatchJob) -> int:
    return int(re.split(r"[_+]", job.id)[0])


def submit(commands: Commands, profile: Profile, request: Request) -> str | Refusal | Later:
    """
    Hand in a job, without looking whether it is there.

    Returns
    -------
    str, Refusal or Later
        Its id.

    Raises
    ------
    OutageError
        Slurm can't be asked, or nobody knows whether it has taken the job: `find` says it.
    NeedsPersonError
        It refuses this user, or for a reason that isn't known here.
    """
    if why := options.objection(profile):
        return Refusal(why)
    ended = commands.run(
        "sbatch",
        *arguments(profile, request),
        given=request.script,
        environment=environment(commands.environment),
    )
    if ended.code == 0:
        return _id_of(ended)
    if _LATER.search(ended.err):
        return Later(f"{profile.name} takes no further jobs of yours now: {_plain(ended)}")
    if _NEVER.search(ended.err):
        return Refusal(_plain(ended))
    raise NeedsPersonError(f"{profile.name} does not take a job: {_plain(ended)}")


def environment(known: Mapping[str, str]) -> dict[str, str]:
    """
    What the job's record in Slurm, which others may read, has of the environment.

    Parameters
    ----------
    known : mapping of str to str
        That of `Commands`. Its locale is for answers that are read here: a job gets the user's own.
    """
    kept = {name: known[name] for name in (*_KEPT, "SLURM_CONF") if name in known}
    return kept | {name: value for name, value in os.environ.items() if name.startswith("LC_")}


def _id_of(ended: Ended) -> str:
    for line in reversed(ended.out.split()):
        if found := _ID.fullmatch(line):
            return found[1]
    raise OutageError(f"sbatch says nothing that can be read: {ended.said!r}")


def _plain(ended: Ended) -> str:
    """What ``sbatch`` says, without its own name on each line."""
    return re.sub(r"sbatch: (error: )?(Batch job submission failed: )?", "", ended.said)


def ensure(
    commands: Commands, profile: Profile, requests: Sequence[Request]
) -> dict[str, str | Refusal | Later]:
    """
    Hand in those of some jobs that aren't there yet, be they over; for the others their ids. One question for
    all.

    Raises
    ------
    OutageError, NeedsPersonError
        Some may have been handed in.
    """
    there = find(commands, [request.key for request in requests])
    answers: dict[str, str | Refusal | Later] = {}
    for request in requests:
        jobs = there.get(request.key)
        answers[request.key] = jobs[0].id if jobs else submit(commands, profile, request)
    return answers
