"""Why a task or Nextflow itself failed, from what it says."""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.backends import printed
from esap_wf.files import NO_SPACE
from esap_wf.formats import reading
from esap_wf.models.run import Failure, Reason

#: Bytes of a log's end in which the reason is looked for.
TAIL = 65_536

_CAUSES = (
    (re.compile(r"terminated with an error exit status|returned a non-zero exit"), Reason.EXIT_CODE),
    (
        re.compile(r"Missing output file|Missing value declared as output|Missing stdout"),
        Reason.MISSING_OUTPUT,
    ),
    (re.compile(r"exceeded running time limit"), Reason.TIMEOUT),
    (NO_SPACE, Reason.NO_SPACE),
    (
        re.compile(
            r"Can't stage file|Unable to (?:stage|access) path|input file name collision|No such file or "
            r"directory"
        ),
        Reason.STAGE_IN,
    ),
    (re.compile(r"terminated for an unknown reason"), Reason.SIGNAL),
    (
        re.compile(r"Process requirement exceed|Unknown executor|Unable to create"),
        Reason.ENGINE,
    ),
    # by a workload manager, which says why in the next lines
    (re.compile(r"Failed to submit"), Reason.PLACE),
    (re.compile(r"Failed to pull|container image|Cannot find .*container"), Reason.SOFTWARE),
)
_MEMORY = re.compile(
    r"out of memory|oom[-_ ]kill|oom_kill|cannot allocate memory|MemoryError|OutOfMemoryError|bad_alloc",
    re.IGNORECASE,
)
#: Bytes of the logs' ends in which an error of Nextflow itself is looked for: it writes the state of all its
#: threads after it.
LONG = 1_000_000
_BANNER = "N E X T F L O W"
#: What Nextflow prints of an error that is no task's; not always with the word.
_ERROR = re.compile(r"^ERROR ~ (.*?)(?=^ -- |^Tip: |^ERROR ~ |\Z)", re.MULTILINE | re.DOTALL)
_BEFORE_CHECK = re.compile(
    r"^((?:(?!\[|ERROR ~|WARN: |N E X T|Launching )\S[^\n]*\n)+)\n? -- Check ", re.MULTILINE
)
_CHECK = re.compile(r"^ -- Check script '(?P<file>[^'\n]{1,300})' at line: (?P<line>\d+)", re.MULTILINE)
#: In its log: the first line, then what was thrown.
_LOGGED = re.compile(
    (
        r"^\S+-\d\d [\d:.]+ \[[^\n]*\] ERROR \S+ - "
        r"(?P<head>[^\n]*)\n(?P<thrown>[a-z][\w.$]*(?:Exception|Error): [^\n]*)?"
    ),
    re.MULTILINE,
)
_DEEPEST = re.compile(r"^Caused by: ([^\n]*)", re.MULTILINE)
_FILE = re.compile(r"^- file ?: (.*)$", re.MULTILINE)
_LINE = re.compile(r"@ line (\d+)")
_MACHINE = re.compile(
    r"Could not create the Java Virtual Machine|initialization of VM|UnsupportedClassVersionError|Could "
    r"not find or load main class"
    r"|java: (?:command )?not found"
)
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemoryError|insufficient memory for the Java Runtime|GC overhead limit|Too small maximum heap"
)
_LOCKED = re.compile(r"Unable to acquire lock on session")


def reason_of(cause: str, exit_code: int | None, log: Path | None) -> tuple[Reason, str]:
    """
    Reason and detail of a failed task.

    Parameters
    ----------
    cause : str
        What Nextflow says ("Caused by"); empty if it doesn't.
    exit_code : int, optional
    log : Path, optional
        The task's own output.
    """
    if log is not None and (ended := printed.said(reading.tail(log, TAIL))):
        return ended
    reason = next((meaning for sign, meaning in _CAUSES if sign.search(cause)), None)
    if reason in (None, Reason.EXIT_CODE, Reason.SIGNAL):
        if exit_code and exit_code > 128 and log is not None and _MEMORY.search(reading.tail(log, TAIL)):
            return Reason.OUT_OF_MEMORY, cause
        if exit_code:
            # the shell's way to say that a signal ended its command
            return (Reason.SIGNAL if 128 < exit_code <= 192 else Reason.EXIT_CODE), cause
    return reason or Reason.UNKNOWN, cause


def explain(run: Path, exit_code: int | None, log: str | None, title: str) -> list[Failure]:
    """
    Why Nextflow ended badly although no task failed.

    Parameters
    ----------
    run : Path
    exit_code : int, optional
        Of the engine.
    log : str, optional
        Nextflow's own log, relative to the run directory; None if it didn't get so far.
    title : str
        The engine's name for people.
    """
    printed = reading.tail(run / "logs" / "engine.log", LONG)
    if log and _BANNER in printed:
        printed = printed[printed.rfind(_BANNER) :]
    own = reading.tail(run / log, LONG) if log else ""
    if found := _OUT_OF_MEMORY.search(printed) or _OUT_OF_MEMORY.search(own):
        hint = (
            "Nextflow's Java has too little memory: ask for more (--memory), or set [engines.nextflow] "
            "java_options = '-Xmx…'"
        )
        return [_failure(Reason.OUT_OF_MEMORY, exit_code, "logs/engine.log", f"{hint} ({_line_of(found)})")]
    if not log:
        found = _MACHINE.search(printed)
        message = (
            _line_of(found)
            if found
            else next((line for line in reversed(printed.splitlines()) if line.strip()), "")
        )
        return (
            [_failure(Reason.ENGINE, exit_code, "logs/engine.log", f"{title} did not start: {message[:400]}")]
            if message
            else []
        )
    text = _message(printed, own)
    if not text and exit_code and 0 < exit_code < 128:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        text = next(
            (line for line in reversed(lines) if not line.startswith((_BANNER, "Launching", "WARN", "["))), ""
        )
    if not text:
        return []
    if _LOCKED.search(text):
        text = f"another Nextflow is working in this run's session: {text}"
    return [_failure(Reason.ENGINE, exit_code, log, text[:500])]


def _message(printed: str, own: str) -> str:
    """Place and first line of an error, as it was printed; as it was logged if that says nothing."""
    block = next((m for m in (_ERROR.search(printed), _BEFORE_CHECK.search(printed)) if m), None)
    logged = _LOGGED.search(own)
    lines = [line.strip() for line in (block[1] if block else "").splitlines() if line.strip()]
    head = lines[0] if lines else ""
    if logged and not head:
        thrown = (logged["thrown"] or "").partition(": ")[2]
        head = thrown if logged["head"].startswith("@") or not logged["head"] else logged["head"]
    if not head:
        return ""
    more = (
        next((line for line in lines[1:] if "@ line" in line or line.startswith("- cause:")), "")
        .removeprefix("- cause:")
        .strip()
    )
    if not more and "Caused by:" in lines[1:]:  # a task that could not be started is told by Nextflow itself
        cause = lines[lines.index("Caused by:") + 1 :]
        message = next(
            (
                line.removeprefix("message:").strip()
                for line in cause
                if re.match(r"(FATAL|ERROR|Error|fatal):", line)
            ),
            "",
        )
        more = ": ".join(part for part in (cause[0] if cause else "", message) if part)
    if head == "parsing failed" and logged:
        causes = _DEEPEST.findall(own)
        more = causes[-1] if causes else ""
        if "StackOverflowError" in more:
            more = "files include each other without an end"
    file, check = _FILE.search(block[1]) if block else None, _CHECK.search(printed)
    number = _LINE.search(more)
    if file:
        position = f"{file[1].strip()}:{number[1]}" if number else file[1].strip()
    else:
        position = f"{_short(check['file'])}:{check['line']}" if check else ""
    return ": ".join(
        part for part in (position, head.rstrip(":"), re.sub(r"^/groovy/script/\S+: ", "", more)) if part
    )


def _short(file: str) -> str:
    return re.sub(r"(?:\./)+", "", file)


def _line_of(found: re.Match[str]) -> str:
    start = found.string.rfind("\n", 0, found.start()) + 1
    return found.string[start:].partition("\n")[0].strip()[:300]


def _failure(reason: Reason, exit_code: int | None, log: str, detail: str) -> Failure:
    return Failure(step="engine", reason=reason, exit_code=exit_code, log=log, detail=detail)
