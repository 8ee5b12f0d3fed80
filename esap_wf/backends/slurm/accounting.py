"""What the accounting of Slurm has of jobs that have ended: ``sacct``, read as `parsing` says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from esap_wf.backends.slurm.words import amount, duration, members, moment, nonsense, text_of

_STEP = re.compile(r"([1-9]\d{0,11}(?:[_+]\d{1,10})?)\.([A-Za-z0-9_+\-]{1,40})")


@dataclass(frozen=True)
class Account:
    """
    What the accounting has of a job, its steps merged: CPU time of all, the largest memory of one.
    """

    id: str
    raw: str
    state: str
    exit_code: int | None
    signal: int | None
    node: str
    submitted: float | None
    started: float | None
    ended: float | None
    wall_seconds: float | None
    cpu_seconds: float | None
    memory_bytes: int | None
    reason: str
    folder: str
    comment: str
    name: str


#: Columns of ``sacct``. Those that anybody may write are between others: a line begins with an id and ends
#: with the name of the cluster.
COLUMNS = (
    "JobID,JobIDRaw,State,ExitCode,NodeList,Submit,Start,End,ElapsedRaw,TotalCPU,MaxRSS,Reason,"
    "WorkDir,Comment,JobName,Cluster"
)
_LAST = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def accounts(text: str, mark: str) -> list[Account]:
    """
    The jobs in what ``sacct --noheader --parsable2 --delimiter=MARK --format=COLUMNS`` has printed.

    Raises
    ------
    OutageError
        It isn't that.
    """
    found: dict[str, Account] = {}
    steps: list[tuple[str, Account]] = []
    for fields in _rows(text, mark):
        step = _STEP.fullmatch(fields[0])
        ids = [step[1]] if step else [*members(fields[0])]
        if not ids or not fields[2].strip():
            raise nonsense("sacct", mark.join(fields).replace(mark, "|"))
        for one in ids:
            account = _account(one, fields)
            if step:
                steps.append((one, account))
            else:
                found[one] = account
    for one, step_account in steps:
        if whole := found.get(one):
            found[one] = _merged(whole, step_account)
    return list(found.values())


def _rows(text: str, mark: str) -> Iterator[list[str]]:
    width = COLUMNS.count(",") + 1
    parts = text.split(mark)
    if len(parts) == 1:
        if text.strip():
            raise nonsense("sacct", text)
        return
    row: list[str] = []
    for number, part in enumerate(parts):
        if len(row) < width - 1:
            row.append(part)
            continue
        # the last field of a row, a line end, and the first of the next
        last, end, first = part.partition("\n")
        if not _LAST.fullmatch(last.strip()) or (not end and number != len(parts) - 1):
            raise nonsense("sacct", last)
        yield [*row, last]
        row = [first] if number != len(parts) - 1 else []
        if number == len(parts) - 1 and first.strip():
            raise nonsense("sacct", first)
    if row:
        raise nonsense("sacct", " ".join(row))


def _account(one: str, fields: Sequence[str]) -> Account:
    code, colon, signal = fields[3].partition(":")
    known = colon and code.isdecimal() and signal.isdecimal() and len(fields[3]) <= 12
    elapsed = fields[8].strip()
    return Account(
        id=one,
        raw=fields[1],
        state=fields[2].strip(),
        exit_code=int(code) if known else None,
        signal=int(signal) if known else None,
        node=text_of(fields[4]),
        submitted=moment(fields[5]),
        started=moment(fields[6]),
        ended=moment(fields[7]),
        wall_seconds=float(elapsed) if elapsed.isdecimal() and len(elapsed) < 12 else None,
        cpu_seconds=duration(fields[9]),
        memory_bytes=amount(fields[10]),
        reason=text_of(fields[11]),
        folder=text_of(fields[12]),
        comment=text_of(fields[13]),
        name=text_of(fields[14]),
    )


def _merged(whole: Account, step: Account) -> Account:
    """A job with one of its steps: the job's own CPU time is that of all of them, if it is there."""
    memory = [m for m in (whole.memory_bytes, step.memory_bytes) if m is not None]
    cpu = [c for c in (whole.cpu_seconds, step.cpu_seconds) if c is not None]
    out_of_memory = step.state.startswith(("OUT_OF_ME", "OOM")) and whole.state.startswith("FAILED")
    return replace(
        whole,
        memory_bytes=max(memory, default=None),
        cpu_seconds=max(cpu, default=None),
        state="OUT_OF_MEMORY" if out_of_memory else whole.state,
    )
