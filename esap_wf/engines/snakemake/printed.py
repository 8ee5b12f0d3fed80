"""
Why a job failed that was submitted to a workload manager, from what was printed into that one's log of it: by
the Snakemake in the job, which knows the exit code, and by the workload manager. The engine hears of neither.
"""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.engines import queued
from esap_wf.formats import reading
from esap_wf.models.run import Reason

#: Bytes of the log's end that are read.
TAIL = 200_000
_CALLED = re.compile(
    r"^CalledProcessError in file [^\n]*\n(?:(?!^CalledProcessError in file |^RuleException:)[^\n]*\n)*?"
    r"[^\n]*' (?:returned non-zero exit status (?P<code>\d+)"
    r"|died with <Signals\.(?P<name>\w+): (?P<signal>\d+)>)\.",
    re.MULTILINE,
)
_MISSING = re.compile(r"^MissingOutputException in (?:rule|checkpoint) ", re.MULTILINE)


def failure(path: Path) -> tuple[Reason, int | None, str] | None:
    """
    Reason, exit code (after a signal 128 and its number) and words; None if the log doesn't say.

    Parameters
    ----------
    path : Path
        The workload manager's log of the job.
    """
    text = reading.tail(path, TAIL)
    if ended := queued.said(text):
        return ended[0], None, ended[1]
    if called := list(_CALLED.finditer(text)):
        last = called[-1]
        if last["code"]:
            return Reason.EXIT_CODE, int(last["code"]), f"exit status {last['code']}"
        return Reason.SIGNAL, 128 + int(last["signal"]), f"killed by {last['name']}"
    if _MISSING.search(text):
        return Reason.MISSING_OUTPUT, None, "an output is missing"
    return None
