"""Why a run failed, as people are told: reasons, the last lines of logs, and what can be done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from esap_wf.files import NO_SPACE
from esap_wf.formats import reading
from esap_wf.models.run import Failure, Reason

TAIL_LINES = 12
TAIL_BYTES = 65_536
#: A stack trace's lines inside Nextflow, Groovy and Java: they say nothing of the pipeline. Its own scripts'
#: and tools' are kept.
_FRAME = re.compile(
    r"\s*(?:at (?:[\w.]+/|[\w.]+@[\w.]+/)?"
    r"(?:nextflow|groovyx?|javax?|jdk|sun|com\.sun|org\.codehaus\.groovy|org\.apache\.groovy)\.[^()\s]*\(.*\)"
    r"|\.\.\. \d+ (?:more|common frames omitted))\s*"
)
#: What the Snakemake in a job says when the job's work has failed, after all that this has said itself.
_JOB_END = re.compile(
    r"^RuleException:\n|^\[\w{3} \w{3} +\d+ [\d: ]+\]\nError in (?:rule|group) ", re.MULTILINE
)
#: What Apptainer, runc and crun say if bash, with which engines start every step, is not in an image.
_NO_BASH = re.compile(
    r"FATAL:\s+(?:stat /bin/bash: no such file|\"(?:/bin/)?bash\": executable file not found)"
    r"|exec: \\?\"(?:/bin/)?bash\\?\": (?:stat /bin/bash: no such file|executable file not found)"
    r"|executable file `(?:/bin/)?bash` not found"
)
#: Exit codes of container runtimes that could not start a command.
_NOT_STARTED = {126, 127, 255}


def tail_of(path: Path) -> list[str]:
    """Last lines of a log, printable, without an engine's stack traces; empty if there is none."""
    lines = _lines(path)
    return ([line for line in lines if not _FRAME.fullmatch(line)] or lines)[-TAIL_LINES:]


def _lines(path: Path) -> list[str]:
    text = reading.tail(path, TAIL_BYTES)
    if "slurm_logs" in path.parts and (end := _JOB_END.search(text)):
        text = text[: end.start()]
    lines = [
        "".join(c if c.isprintable() or c == "\t" else "?" for c in line[:500]) for line in text.splitlines()
    ]
    return [line for line in lines if line.strip()]


def explained(failures: Sequence[Failure], run: Path) -> list[Failure]:
    """Failures with the last lines of their logs, and what these say of the reason."""
    done = []
    for failure in failures:
        tail = tail_of(run / failure.log) if failure.log else []
        reason = failure.reason
        if any(map(NO_SPACE.search, [*tail, failure.detail])):
            reason = Reason.NO_SPACE
        done.append(
            _without_bash(msgspec.structs.replace(failure, tail=tail or failure.tail, reason=reason), run)
        )
    return done


def _without_bash(failure: Failure, run: Path) -> Failure:
    """
    A step that could not be started because its image has no bash. Its log may be empty: under Snakemake the
    engine's says so.
    """
    if failure.step == "engine" or failure.exit_code not in _NOT_STARTED:
        return failure
    sign = next((line for line in failure.tail if _NO_BASH.search(line)), None)
    if sign is None and not failure.tail:
        sign = next(
            (line for line in reversed(_lines(run / "logs" / "engine.log")) if _NO_BASH.search(line)), None
        )
    if sign is None:
        return failure
    detail = (
        "its image has no bash, with which the engine starts every step; use an image that has it "
        f"({sign.strip()})"
    )
    return msgspec.structs.replace(
        failure,
        reason=Reason.SOFTWARE,
        detail=detail,
        **({} if failure.tail else {"tail": [sign], "log": "logs/engine.log"}),
    )


#: What can be done about a failure.
_WAYS = {
    Reason.TIMEOUT: "give it more time (--wall, or the limit of the step) and resume: finished work is kept",
    Reason.OUT_OF_MEMORY: "give it more memory (--memory) and run it again: finished work is kept",
    Reason.NO_SPACE: "free some space, then resume",
    Reason.MISSING_OUTPUT: (
        "the step succeeded, but did not make what it promises: the pipeline, or its "
        "parameters, must be changed"
    ),
    Reason.INVALID_OUTPUT: "the pipeline, or its parameters, must be changed",
    Reason.STAGE_IN: "put the input back where it was, then resume",
    Reason.INVALID_INPUT: "find out which step writes into its inputs; resume brings them once more",
    Reason.NODE_FAIL: "the machine failed, not the step: resume",
    Reason.PREEMPTED: "it made room for other work, which is no fault of the step: resume",
    Reason.BOOT_FAIL: "the machine failed, not the step: resume",
    Reason.CANCELLED: "if whoever cancelled it agrees, resume: finished work is kept",
    Reason.PLACE: "ask for less, or choose another place (esap-wf backends), then run it again",
    Reason.SIGNAL: "if nobody stopped it, it may have run out of memory (--memory); otherwise resume",
    Reason.SOFTWARE: "make the software ready (esap-wf doctor, esap-wf software check), then resume",
    Reason.ENGINE: (
        "the pipeline, its parameters or its engine must be changed: run again unchanged, it will fail again"
    ),
    Reason.EXIT_CODE: (
        "if the cause is temporary, resume; otherwise the parameters, the inputs or the "
        "pipeline must be changed"
    ),
    Reason.UNITS: "see why its units have failed, mend that, then resume: units that are done are kept",
    Reason.UNKNOWN: (
        "if the cause is temporary, resume; otherwise the parameters, the inputs or the "
        "pipeline must be changed"
    ),
}
_LIMITS = re.compile(r"Process requirement exceeds available (?P<what>\w+) -- req: (?P<asked>[^;]+);")


def way_out(failure: Failure) -> str:
    """What can be done; empty if nobody knows."""
    if limit := _LIMITS.search(failure.detail):
        memory = limit["what"] == "memory"
        amount = re.sub(r"(?<=[KMGT])B", "iB", limit["asked"].strip())  # Nextflow's GB are GiB
        option = f'--memory "{amount}"' if memory else f"--cores {amount}"
        return f"run it again with {option}: finished work is kept"
    return _WAYS.get(Reason(failure.reason), "") if failure.reason in set(Reason) else ""


#: A workload manager's words that say no more than the reason.
_SAID = frozenset({"FAILED", *Reason})


def headline(failure: Failure, log: str | None = None) -> str:
    """
    Step, unit, job, reason and log of a failure in one line; `log` is how its path is written here (empty:
    not at all).
    """
    who = failure.step + (f" {failure.unit}" if failure.unit is not None else "")
    why = {
        Reason.EXIT_CODE: f"exit code {failure.exit_code}",
        Reason.SIGNAL: f"killed by a signal (exit code {failure.exit_code})"
        if failure.exit_code
        else "killed by a signal",
        Reason.MISSING_OUTPUT: "an output is missing",
        Reason.INVALID_OUTPUT: "an output is invalid",
        Reason.NO_SPACE: "no space left on the disk",
        Reason.OUT_OF_MEMORY: "out of memory",
        Reason.TIMEOUT: "time limit reached",
        Reason.SOFTWARE: "software is missing",
        Reason.STAGE_IN: "it can't be had",
        Reason.INVALID_INPUT: "it is not what it was",
        Reason.NODE_FAIL: "lost",
        Reason.PREEMPTED: "preempted",
        Reason.BOOT_FAIL: "its node did not start",
        Reason.CANCELLED: "cancelled",
        Reason.PLACE: "not taken",
        Reason.UNKNOWN: "it failed",
    }.get(Reason(failure.reason) if failure.reason in set(Reason) else Reason.UNKNOWN, str(failure.reason))
    # what only repeats the code is left out
    repeats_code = failure.reason in (Reason.EXIT_CODE, Reason.SIGNAL) and re.search(
        r"exit (code|status)|signal", failure.detail
    )
    detail = f": {failure.detail.splitlines()[0][:300]}" if failure.detail and not repeats_code else ""
    number = failure.job or failure.job_id
    job = f", job {number}" if number and failure.step != "engine" else ""
    job += f" ({failure.state})" if failure.state and failure.state.upper() not in _SAID else ""
    job += f" on {failure.node}" if failure.node else ""
    path = failure.log if log is None else log
    return f"{who}: {why}{detail}{job}" + (f", log {path}" if path else "")
