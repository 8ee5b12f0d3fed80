"""
Why a job failed that was submitted to a workload manager, from what was printed into that one's log of it: by
the Snakemake in the job, which knows the exit code, and by the workload manager. The engine hears of neither.
"""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.backends.printed import said
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
_REFUSED = re.compile(
    r"(?:Array job|Job) submission failed with exception: (?P<said>.*?)(?:For further error details|\Z)"
    r"|SLURM sbatch failed\. The error message was '(?P<printed>.*?)'\.\n    sbatch call:",
    re.DOTALL,
)


def refusal(text: str) -> str:
    """Why a workload manager did not take a job, as its executor tells it; empty if it is not about that."""
    found = _REFUSED.match(text)
    return (
        " ".join((found["said"] or found["printed"] or "it doesn't say why").split())[:500] if found else ""
    )


def failure(path: Path) -> tuple[Reason, int | None, str] | None:
    """
    Reason, exit code (after a signal 128 and its number) and words; None if the log doesn't say.

    Parameters
    ----------
    path : Path
        The workload manager's log of the job.
    """
    text = reading.tail(path, TAIL)
    if ended := said(text):
        return ended[0], None, ended[1]
    if called := list(_CALLED.finditer(text)):
        last = called[-1]
        if last["code"]:
            return Reason.EXIT_CODE, int(last["code"]), f"exit status {last['code']}"
        return Reason.SIGNAL, 128 + int(last["signal"]), f"killed by {last['name']}"
    if _MISSING.search(text):
        return Reason.MISSING_OUTPUT, None, "an output is missing"
    return None
