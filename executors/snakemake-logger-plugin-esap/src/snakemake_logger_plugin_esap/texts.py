"""What Snakemake says only in sentences: exit codes, missing outputs, external job ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from signal import Signals

TEXT_LIMIT = 4000

# Greedy on purpose: the command itself may contain the sentence that ends the message.
_CALLED = re.compile(
    r"Command '.*' (?:returned non-zero exit status (?P<code>\d+)|died with <Signals\.(?P<name>\w+): (?P<signal>\d+)>"
    r"|died with unknown signal (?P<unknown>\d+))\.?",
    re.DOTALL,
)
_MISSING = re.compile(r"MissingOutputException in rule (?P<rule>\S+).*?Job (?P<jobid>\d*) *completed", re.DOTALL)
_SUBMITTED = re.compile(
    r"(?:Job|Submitted (?:group )?job) (?P<jobid>\S+) (?:has been submitted with \w+ jobid|with external jobid) "
    r"'?(?P<external>[^\s']+)'?(?: \(log: (?P<log>.*)\))?",
)
_RESTART = "Trying to restart job "
_STOPPING = {
    "Will exit after finishing currently running jobs": "drain",
    "Terminating processes on user request": "cancel",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a job failed, as far as the engine's text tells.

    Attributes
    ----------
    kind
        ``exit``, ``signal``, ``missing_output`` or ``other``.
    exit_code
        As a shell counts it: 128 + number after a signal. None when not known.
    signal
        The signal's name, only where the engine says so (the job's own shell was killed).
    reason
        A text without the command.
    """

    kind: str
    exit_code: int | None
    signal: str | None
    reason: str


def cut(text: str) -> str:
    """Shorten `text`, keeping its end too: the cause of a traceback stands there."""
    if len(text) <= TEXT_LIMIT:
        return text
    tail = TEXT_LIMIT // 4
    return f"{text[: TEXT_LIMIT - tail]} … {text[-tail:]}"


def command_failure(text: str) -> Failure | None:
    """Read the exit code out of a `CalledProcessError`; None for every other text."""
    found = _CALLED.search(text) if "\nCommand '" in text else None
    if found is None:
        return None
    if found["code"]:
        code = int(found["code"])
        return Failure("exit", code, None, f"exit status {code}")
    number = int(found["signal"] or found["unknown"])
    name = found["name"] or _signal_name(number)
    return Failure("signal", 128 + number, name, f"killed by {name}")


def missing_output(text: str) -> tuple[int, str] | None:
    """
    Return (jobid, rule) of a job that ended well without its outputs: Snakemake sends no job error for it.
    """
    if not text.startswith("MissingOutputException"):
        return None
    found = _MISSING.match(text)
    # Snakemake leaves out the number of job 0.
    return (int(found["jobid"] or 0), found["rule"]) if found else None


def without_commands(text: str, commands: list[str]) -> str:
    """Take command lines out of `text`: those that are running, and what `CalledProcessError` quotes."""
    for command in commands:
        if len(command) > 3 and command in text:
            text = text.replace(command, "<command>")
    # A command that could not be formatted is quoted in full, as the end of the message.
    text = text.split(" when formatting the following:\n", 1)[0]
    if "Command '" in text:
        text = _CALLED.sub(lambda m: f"Command failed ({m[0][m[0].rfind(chr(39)) + 1 :].strip(' .')}).", text)
    return text


def notice(text: str) -> dict[str, object] | None:
    """Turn the few plain sentences that matter into an event (without its time)."""
    if text.startswith(_RESTART):
        jobid = text[len(_RESTART) :].rstrip(".")
        return {"event": "job_retry", "jobid": int(jobid) if jobid.isdigit() else jobid}
    if text.startswith(("Job ", "Submitted ")):
        found = _SUBMITTED.match(text)
        if found:
            jobid = found["jobid"]
            return {
                "event": "job_submitted",
                "jobid": int(jobid) if jobid.isdigit() else jobid,
                "external_id": found["external"],
                "log": found["log"],
            }
    for start, how in _STOPPING.items():
        if text.startswith(start):
            return {"event": "stopping", "how": how}
    return None


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
