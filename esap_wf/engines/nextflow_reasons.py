"""Why a task or Nextflow itself failed, from what it says.

Imported by esap_wf.engines.nextflow and its events.
"""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.models.run import Failure, Reason

#: Bytes of a log's end in which the reason is looked for.
TAIL = 65_536

_CAUSES = (
    (re.compile(r"terminated with an error exit status|returned a non-zero exit"), Reason.EXIT_CODE),
    (re.compile(r"Missing output file|Missing value declared as output|Missing stdout"), Reason.MISSING_OUTPUT),
    (re.compile(r"exceeded running time limit"), Reason.TIMEOUT),
    (re.compile(r"No space left on device|Disk quota exceeded"), Reason.NO_SPACE),
    (re.compile(r"Can't stage file|Unable to (?:stage|access) path|input file name collision|No such file or directory"), Reason.STAGE_IN),
    (re.compile(r"terminated for an unknown reason"), Reason.SIGNAL),
    (re.compile(r"Process requirement exceed|Failed to submit|Unknown executor|Unable to create"), Reason.ENGINE),
    (re.compile(r"Failed to pull|container image|Cannot find .*container"), Reason.SOFTWARE),
)
_MEMORY = re.compile(rb"out of memory|oom[-_ ]kill|oom_kill|cannot allocate memory|MemoryError|OutOfMemoryError|bad_alloc", re.IGNORECASE)
#: What Nextflow prints of an error that is no task's, up to the next line that is none of it.
_ERROR = re.compile(r"^ERROR ~ (?P<text>.*?)(?=^ -- |^Tip: |^ERROR ~ |\Z)", re.MULTILINE | re.DOTALL)
_JAVA = (
    (re.compile(r"OutOfMemoryError|insufficient memory for the Java Runtime|GC overhead limit"), Reason.OUT_OF_MEMORY),
    (
        re.compile(r"Could not create the Java Virtual Machine|Error occurred during initialization of VM|UnsupportedClassVersionError"),
        Reason.ENGINE,
    ),
    (re.compile(r"Could not find or load main class|java: (?:command )?not found|No such file or directory"), Reason.ENGINE),
)
_LOCKED = re.compile(r"Unable to acquire lock on session|can't be locked|Resource temporarily unavailable|already locked", re.IGNORECASE)
_PLACE = re.compile(r"(?:at|@) line (\d+)")
_BANNER = "N E X T F L O W"


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
    reason = next((meaning for sign, meaning in _CAUSES if sign.search(cause)), None)
    if reason in (None, Reason.EXIT_CODE, Reason.SIGNAL):
        if exit_code and exit_code > 128 and log is not None and _MEMORY.search(_tail(log)):
            return Reason.OUT_OF_MEMORY, cause
        if exit_code:
            # the shell's way to say that a signal ended its command
            return (Reason.SIGNAL if 128 < exit_code <= 192 else Reason.EXIT_CODE), cause
    return reason or Reason.UNKNOWN, cause


def explain(run: Path, exit_code: int | None, log: str, title: str) -> list[Failure]:
    """
    Why Nextflow ended badly although no task failed, best first.

    Parameters
    ----------
    run : Path
    exit_code : int, optional
        Of the engine.
    log : str
        Nextflow's log, relative to the run directory.
    title : str
        The engine's name for people.
    """
    printed = _tail(run / "logs" / "engine.log").decode("utf-8", "replace")
    own = _tail(run / log).decode("utf-8", "replace") if (run / log).is_file() else ""
    last = printed[printed.rfind(_BANNER) :] if _BANNER in printed else printed
    for sign, reason in _JAVA[:1]:
        if found := sign.search(last) or sign.search(own):
            words = found.string[found.string.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0].strip()
            hint = 'Nextflow\'s Java ran out of memory: ask for more (--memory), or set [engines.nextflow] java_options = "-Xmx…"'
            return [_failure(reason, exit_code, "logs/engine.log", f"{hint} ({words[:200]})")]
    errors = _ERROR.findall(last)
    if errors:
        text = _first(errors[-1])
        where = log if own else "logs/engine.log"
        if _LOCKED.search(errors[-1]):
            text = f"another Nextflow has this run's session open: {text}"
        return [_failure(Reason.ENGINE, exit_code, where, text)]
    for sign, reason in _JAVA[1:]:
        if found := sign.search(last):
            start = last.rfind("\n", 0, found.start()) + 1
            lines = [line.strip() for line in last[start:].splitlines() if line.strip()][:2]
            return [_failure(reason, exit_code, "logs/engine.log", f"Java could not start {title}: {' / '.join(lines)[:400]}")]
    return []


def _first(text: str) -> str:
    """What a block of an error says first, with its place in a file and what follows the word ``cause``."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "it does not say why"
    head = lines[0]
    if (
        head.rstrip(":").endswith(("error", "cause", "occurred", "failed"))
        or "compilation error" in head.lower()
        or "error" in head[:30].lower()
    ):
        more = next((line for line in lines[1:] if line.startswith(("- cause:", "cause:"))), None)
        if more is None:
            more = lines[1] if len(lines) > 1 else ""
        file = next(
            (line.removeprefix("- file").removeprefix(" ").removeprefix(":").strip() for line in lines if line.startswith("- file")), ""
        )
        spot = _PLACE.search(text)
        place = f"{file}:{spot[1]}" if file and spot else file
        said = more.removeprefix("- ").removeprefix("cause:").strip()
        return ": ".join(part for part in (head.rstrip(":"), place, said) if part)[:500]
    place = next((line for line in lines[1:] if "script '" in line or ".nf" in line), "")
    return (f"{head} {place}" if place else head)[:500]


def _failure(reason: Reason, exit_code: int | None, log: str, detail: str) -> Failure:
    return Failure(step="engine", reason=reason, exit_code=exit_code, log=log, detail=detail)


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            return file.read()
    except OSError:
        return b""
