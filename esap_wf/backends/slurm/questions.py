"""What is asked of Slurm about jobs: which work, how others have ended; and that some are to end."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from esap_wf.backends.launcher import BatchJob, Condition, OutageError, Usage
from esap_wf.backends.slurm import accounting, parsing, states
from esap_wf.backends.slurm.accounting import Account
from esap_wf.backends.slurm.commands import Commands, Ended
from esap_wf.backends.slurm.parsing import Job
from esap_wf.backends.slurm.pending import why
from esap_wf.backends.slurm.words import failed, is_id
from esap_wf.errors import UnavailableError

logger = logging.getLogger(__name__)
_Known = TypeVar("_Known", Job, Account)

#: For so many days the accounting is asked for a job by its name.
DAYS = 30
#: Ids or names that one command is given, and their letters: the system takes 128 KiB as one word.
_AT_ONCE, _LETTERS = 2000, 100_000
#: What is said of ids that Slurm has forgotten.
_FORGOTTEN = ("Invalid job id", "Invalid job array id")


def active(commands: Commands, user: str | None = None) -> list[BatchJob]:
    """
    All jobs of a user that wait or work; of arrays each member. One question.

    Parameters
    ----------
    commands : Commands
    user : str, optional
        A name or a number; without it who asks.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense.
    NeedsPersonError
    """
    whose = f"--user={os.getuid() if user is None else user}"
    return [_of_queue(job) for job in _squeue(commands, whose)]


def known(commands: Commands, ids: Iterable[str]) -> dict[str, BatchJob]:
    """
    What Slurm still knows of some jobs, be they over: from the controller, which forgets them after some
    minutes, and from the accounting where there is one.

    Returns
    -------
    dict
        Id → job, as it was asked for. What nobody knows is left out.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense; or the accounting can't be asked for what the controller has
        forgotten.
    NeedsPersonError
    """
    wanted = list(dict.fromkeys(i for i in ids if is_id(i)))
    found: dict[str, BatchJob] = {}
    for some in _parts(wanted):
        found |= _known(commands, some)
    return found


def _known(commands: Commands, ids: Sequence[str]) -> dict[str, BatchJob]:
    listed = f"--jobs={','.join(ids)}"
    jobs = _by_id(_squeue(commands, "--states=all", listed))
    over = any(states.state(job.state).condition in states.OVER for job in jobs.values())
    exits = _exits(commands, listed) if over else {}
    forgotten = any(i not in jobs for i in ids)
    try:
        # of what waits or works the accounting knows nothing more, and its database is slow
        accounts = _by_id(_sacct(commands, listed)) if over or forgotten else {}
    except OutageError:
        if forgotten:
            raise
        # how much they have used is not worth a wait
        logger.info("the accounting of %s can't be asked", commands.name, exc_info=True)
        accounts = {}
    found = {}
    for one in ids:
        if job := jobs.get(one):
            found[one] = _of_queue(job, exits.get(job.id), accounts.get(one))
        elif account := accounts.get(one):
            found[one] = _of_account(account)
    return found


def named(commands: Commands, names: Iterable[str]) -> list[BatchJob]:
    """
    All jobs of who asks that have one of some names, be they over: for as long as the controller remembers
    them, and from the accounting those of the last `DAYS` days that it has forgotten.

    Parameters
    ----------
    commands : Commands
    names : iterable of str
        Letters, digits and a few signs; no comma.

    Raises
    ------
    OutageError
        It can't be asked, or talks nonsense.
    NeedsPersonError
    """
    wanted = sorted(set(names))
    found: list[BatchJob] = []
    for some in _parts(wanted):
        listed = f"--name={','.join(some)}"
        found += [
            _of_queue(job) for job in _squeue(commands, "--states=all", f"--user={os.getuid()}", listed)
        ]
    there = {job.name for job in found}
    for some in _parts([name for name in wanted if name not in there]):
        options = (f"--name={','.join(some)}", f"--user={os.getuid()}", f"--starttime=now-{DAYS}days")
        found += [_of_account(account) for account in _sacct(commands, *options)]
    # a comment or a name of somebody else may have found its way into the answer
    return [job for job in found if job.name in wanted]


def cancel(commands: Commands, ids: Iterable[str], signal: int | None = None) -> None:
    """
    Ask for the end of jobs; with a signal it is sent to all their processes instead. What is over already is
    passed over. `active` says when they are gone.

    Raises
    ------
    OutageError
        It can't be asked: some may have been.
    NeedsPersonError
        They are somebody else's.
    UnavailableError
        Slurm refuses it.
    """
    _scancel(commands, ids, [] if signal is None else [f"--signal={signal}", "--full"])


def tell(commands: Commands, ids: Iterable[str], signal: str) -> None:
    """
    A signal to the scripts of batch jobs, and to nothing that those have started.

    Parameters
    ----------
    commands : Commands
    ids : iterable of str
    signal : str
        A name or a number: ``TERM``.

    Raises
    ------
    OutageError, NeedsPersonError, UnavailableError
    """
    _scancel(commands, ids, ["--batch", f"--signal={signal}"])


def _scancel(commands: Commands, ids: Iterable[str], options: Sequence[str]) -> None:
    for some in _parts([i for i in ids if is_id(i)]):
        ended = commands.run("scancel", *options, *some)
        lines = [line for line in ended.err.splitlines() if line.strip()]
        if ended.code and not all(_is_over(line) for line in lines):
            raise UnavailableError(f"{commands.name} does not cancel jobs: {ended.said}")


def _is_over(line: str) -> bool:
    done = ("already completing", "already completed", "not running", "Job/step already")
    return any(text in line for text in (*_FORGOTTEN, *done))


def _parts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    some: list[str] = []
    letters = 0
    for word in words:
        if some and (len(some) == _AT_ONCE or letters + len(word) + 1 > _LETTERS):
            yield some
            some, letters = [], 0
        some.append(word)
        letters += len(word) + 1
    if some:
        yield some


def _squeue(commands: Commands, *options: str) -> list[Job]:
    mark = parsing.mark()
    shape = f"--format={parsing.job_format(mark)}"
    ended = commands.run("squeue", "--all", "--noheader", "--array", *options, shape)
    return [] if _nothing("squeue", ended) else parsing.jobs(ended.out, mark)


def _exits(commands: Commands, *options: str) -> Mapping[str, tuple[int, int]]:
    """Exit codes; a Slurm that doesn't tell them this way tells none."""
    shape = "--Format=JobArrayID:60,exit_code:20"
    try:
        ended = commands.run("squeue", "--all", "--noheader", "--array", "--states=all", *options, shape)
        return parsing.exits(ended.out) if ended.code == 0 else {}
    except OutageError as error:
        logger.info("exit codes are not known: %s", error)
        return {}


def _sacct(commands: Commands, *options: str) -> list[Account]:
    """What the accounting has; nothing if there is none."""
    if commands.accounting is False:
        return []
    mark = parsing.mark()
    shape = ("--noheader", "--parsable2", f"--delimiter={mark}", f"--format={accounting.COLUMNS}")
    ended = commands.run("sacct", *shape, *options)
    if ended.code and "accounting storage is disabled" in ended.err:
        commands.accounting = False
        return []
    return [] if _nothing("sacct", ended) else accounting.accounts(ended.out, mark)


def _nothing(program: str, ended: Ended) -> bool:
    """Whether the answer is that there is no such job; another failure is no answer."""
    if ended.code == 0:
        return False
    if any(text in ended.err for text in _FORGOTTEN):
        return True
    raise failed(program, ended.said)


def _by_id(found: Sequence[_Known]) -> dict[str, _Known]:
    """By both ids that a member of an array has."""
    by: dict[str, _Known] = {}
    for one in found:
        by[one.id] = one
    for one in found:
        by.setdefault(one.raw, one)
    return by


def _of_queue(job: Job, ended: tuple[int, int] | None = None, account: Account | None = None) -> BatchJob:
    state = states.state(job.state)
    code, signal = _exit(state, ended)
    if code is None and signal is None and account and states.state(account.state).name == state.name:
        code, signal = _exit(state, (account.exit_code or 0, account.signal or 0))
    if account and state.name == "CANCELLED":
        # who did it is known there alone
        state = states.state(account.state) if account.state.startswith("CANCELLED") else state
    reason = state.text
    if state.condition is Condition.WAITING and not (state.act and job.reason in ("None", "")):
        reason = "; ".join(filter(None, [state.text, why(job.reason).text]))
    elif state.condition in states.OVER:
        reason = states.failure(state, job.reason, code, signal)[1]
    return _told(job, state, reason, (code, signal), _usage(account) if account else Usage())


def _of_account(account: Account) -> BatchJob:
    state = states.state(account.state)
    code, signal = _exit(state, (account.exit_code or 0, account.signal or 0))
    reason = state.text
    if state.condition is Condition.WAITING:
        reason = why(account.reason).text
    elif state.condition in states.OVER:
        reason = states.failure(state, account.reason, code, signal)[1]
    return _told(account, state, reason, (code, signal), _usage(account))


def _told(
    said: Job | Account,
    state: states.State,
    reason: str,
    ended: tuple[int | None, int | None],
    usage: Usage,
) -> BatchJob:
    code, signal = ended
    return BatchJob(
        id=said.id,
        name=said.name,
        condition=state.condition,
        state=state.name,
        comment=said.comment,
        reason=reason,
        since=_since(state.condition, said.submitted, said.started, said.ended),
        node=said.node,
        exit_code=code,
        signal=signal,
        usage=usage,
        folder=said.folder,
        kind=(state.reason or "") if state.condition in states.OVER else "",
    )


def _exit(state: states.State, ended: tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Exit code and signal, as far as they say something: what Slurm has ended itself has none of its own."""
    if ended is None or state.condition not in states.OVER:
        return None, None
    code, signal = ended
    if signal:
        return None, signal
    if code or state.name == "COMPLETED":
        return code, None
    return None, None


def _since(
    condition: Condition, submitted: float | None, started: float | None, ended: float | None
) -> float | None:
    if condition is Condition.WAITING:
        return submitted
    return started if condition is Condition.RUNNING else ended


def _usage(account: Account) -> Usage:
    return Usage(
        cpu_seconds=account.cpu_seconds,
        max_rss_bytes=account.memory_bytes,
        wall_seconds=account.wall_seconds,
    )
