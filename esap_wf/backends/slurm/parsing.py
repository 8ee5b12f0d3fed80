"""
What Slurm's commands print, read. Job names and comments are anybody's: they may hold line ends and any
delimiter. So what is asked is asked with a mark between the fields that nobody can have known before
(`mark`), and ids are checked. What can't be read is an outage: never the end of a job.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from esap_wf.backends.slurm.words import is_id, members, moment, nonsense, text_of


def mark() -> str:
    """What stands between fields: other than everything that anybody could have written."""
    return f"~{secrets.token_hex(8)}~"


@dataclass(frozen=True)
class Job:
    """A line of ``squeue``. Times are seconds since 1970."""

    id: str
    raw: str
    state: str
    reason: str
    node: str
    submitted: float | None
    started: float | None
    ended: float | None
    partition: str
    user: str
    folder: str
    comment: str
    name: str


#: Fields of `Job`, as ``squeue --format`` has them. Those that anybody may write come last.
_FIELDS = ("%i", "%A", "%T", "%r", "%N", "%V", "%S", "%e", "%P", "%u", "%Z", "%k", "%j")


def job_format(mark: str) -> str:
    """For ``squeue --noheader --array --format=…``."""
    return f"{mark}<" + f"{mark}|".join(_FIELDS) + f"{mark}>"


def jobs(text: str, mark: str) -> list[Job]:
    """
    The jobs in what ``squeue`` has printed with `job_format`.

    Raises
    ------
    OutageError
        It isn't that.
    """
    found = []
    for record in _between(text, mark):
        fields = record.split(f"{mark}|")
        if len(fields) != len(_FIELDS):
            raise nonsense("squeue", record)
        ids = [*members(fields[0])]
        if not ids or not is_id(fields[1]) or not fields[2].strip():
            raise nonsense("squeue", record)
        texts = [text_of(field) for field in fields]
        submitted, started, ended = map(moment, fields[5:8])
        found += [
            Job(one, fields[1], fields[2], fields[3], texts[4], submitted, started, ended, *texts[8:])
            for one in ids
        ]
    return found


def _between(text: str, mark: str) -> Iterator[str]:
    """The records; outside of them is nothing but white space."""
    before, *parts = text.split(f"{mark}<")
    if before.strip():
        raise nonsense("squeue", text)
    for part in parts:
        record, end, after = part.partition(f"{mark}>")
        if not end or after.strip():
            # cut in the middle, or somebody else's words
            raise nonsense("squeue", text)
        yield record


def exits(text: str) -> dict[str, tuple[int, int]]:
    """
    Exit codes and signals, as ``squeue --Format=JobArrayID:60,exit_code:20`` tells them: as the operating
    system does, or as two numbers.
    """
    found: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        words = line.split()
        if len(words) != 2 or not (ids := [*members(words[0])]):
            raise nonsense("squeue", line)
        found |= dict.fromkeys(ids, _exit(words[1]))
    return found


def _exit(text: str) -> tuple[int, int]:
    code, colon, signal = text.partition(":")
    if not code.isdecimal() or (colon and not signal.isdecimal()) or len(text) > 12:
        raise nonsense("squeue", text)
    if colon:
        return int(code), int(signal)
    return int(code) >> 8 & 255, int(code) & 127
