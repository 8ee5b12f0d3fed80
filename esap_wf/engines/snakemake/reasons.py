"""Why a job of Snakemake failed, from what was printed: its loggers hear only that it did.

A ``run:`` block has a process of its own, whose error stands in the engine's log.
"""

from __future__ import annotations

import re
from pathlib import Path

from esap_wf.formats import reading

LOG = "logs/engine.log"
#: Bytes of the log's end in which a cause is looked for.
TAIL = 200_000
#: A traceback's lines between it and the error that follows from it, at most.
_NEAR = 30

_BLOCK = re.compile(
    r'^RuleException:\n(?P<kind>[\w.]+) in file "(?P<file>[^"\n]+)", line (?P<line>\d+):\n', re.MULTILINE
)
_END = re.compile(
    (
        r"^(?:  File |\[\w{3} |Error in (?:rule|group) |Exiting because|WorkflowError|Shutting "
        r"down|RuleException|Removing output)"
    ),
    re.MULTILINE,
)
_INSIDE = re.compile(r'  File "[^"\n]+", line \d+, in __rule_(?P<rule>\S+)')
_STATUS = re.compile(r"returned non-zero exit status (\d+)")
#: Snakemake's own lines: no job says these.
_OWN = re.compile(
    r"    |\[\w{3} \w{3} +\d|(?:local)?(?:rule|checkpoint) \S+:|Select jobs|Execute \d+ "
    r"jobs|Activating|Finished job|\d+ of \d+ steps"
    r"|Config file |Removing output|Touching output|Write-protecting|Trying to restart"
)
_R = re.compile(
    r"^Error(?: in [^\n]*?)?\s?:(?P<text>.*?)(?=^Calls: |^Execution halted|\Z)", re.MULTILINE | re.DOTALL
)


def cause(run: Path, rule: str, exit_code: int | None, alone: bool) -> str | None:
    """
    What made a job fail; None if it can't be told.

    Parameters
    ----------
    run : Path
        Run directory.
    rule : str
    exit_code : int, optional
        Of its command, if it was one.
    alone : bool
        Whether no other job was running: what was printed before is its own then.
    """
    text = reading.tail(run / LOG, TAIL)
    for block in reversed(list(_BLOCK.finditer(text))):
        end = _END.search(text, block.end())
        message = " ".join(text[block.end() : end.start() if end else None].split())
        inside = _INSIDE.match(text, end.start()) if end else None
        if inside and inside["rule"] != rule:
            continue
        if block["kind"] == "CalledProcessError":
            status = _STATUS.search(message)
            if exit_code is None and status and inside:
                return f"a command of its run: block ended with exit code {status[1]}"
            if status and exit_code == int(status[1]) and alone:
                return _printed_error(text[: block.start()])
        elif exit_code is None:
            file = block["file"].removeprefix(f"{run}/")
            return f"{block['kind']}: {message} ({file}:{block['line']})"[:1000]
    return None


def _printed_error(before: str) -> str | None:
    """The error of a script, or else the last line that a job printed."""
    lines = before.rstrip("\n").splitlines()
    begun = next(
        (
            i
            for i in range(len(lines) - 1, max(-1, len(lines) - 500), -1)
            if lines[i].startswith("Traceback (most recent")
        ),
        None,
    )
    if begun is not None:
        raised = next(
            (i for i in range(begun + 1, len(lines)) if lines[i] and not lines[i].startswith((" ", "\t"))),
            None,
        )
        if (
            raised is not None
            and len(lines) - raised <= _NEAR
            and not any(_OWN.match(line) for line in lines[raised:])
        ):
            return lines[raised].strip()[:1000]
    own = next((i for i in range(len(lines) - 1, -1, -1) if _OWN.match(lines[i])), -1)
    printed = [line.strip() for line in lines[own + 1 :] if line.strip()]
    if "Execution halted" in printed and (error := list(_R.finditer("\n".join(lines[own + 1 :])))):
        return " ".join(error[-1]["text"].split())[:1000] or None
    return printed[-1][:1000] if printed else None
