"""The verb logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from esap_wf.cli.output import Answer, Verb, completes, echo, to_json
from esap_wf.formats import reading
from esap_wf.formats.printing import log_text
from esap_wf.runs import states
from esap_wf.runs.logs import Logs, end_of
from esap_wf.runs.lookup import find_run
from esap_wf.runs.store import Run

#: Bytes of a log that a follower reads at once.
PIECE = 4_000_000


@click.command(
    "logs",
    cls=Verb,
    examples=[
        "esap-wf logs 3f2a",
        "esap-wf logs 3f2a --step simulate --unit 3",
        "esap-wf logs 3f2a --follow",
    ],
)
@click.argument("run", shell_complete=completes("run"))
@click.option(
    "--step",
    metavar="STEP",
    shell_complete=completes("step"),
    help="Only this step; `engine`, `software` and `supervisor` are the logs of the run itself.",
)
@click.option("--unit", metavar="UNIT", shell_complete=completes("unit"), help="Only this unit.")
@click.option(
    "--follow",
    is_flag=True,
    help="Keep printing new lines until the run has ended; with --json, one JSON object per line.",
)
@click.pass_obj
def logs(answer: Answer, run: str, step: str | None, unit: str | None, follow: bool) -> None:
    """Show the logs of a run's steps, and those of the run itself."""
    found = find_run(answer.config(), run, answer.say)
    found.record()  # of a later version: refused, not half understood
    if follow:
        for line in _follow(found, step, unit):
            if answer.as_json:
                sys.stdout.write(to_json(line) + "\n")
            else:
                who = line["step"] + (f" {line['unit']}" if line["unit"] else "")
                echo(f"{who}: {log_text(line['line'])}")
            sys.stdout.flush()
        return
    known = Logs(found)
    known.read()
    entries = known.of(step, unit)
    if not entries and (step or unit):
        raise known.none(step, unit)
    parts = []
    for entry in entries if not answer.as_json else []:
        text = log_text(end_of(Path(entry["path"])))
        if text:
            parts.append(f"==> {entry['step']} {entry['unit'] or ''} ({entry['path']})\n{text.rstrip()}")
    answer.give({"logs": entries, "run": found.id}, "\n\n".join(parts))


def _follow(run: Run, step: str | None, unit: str | None) -> Iterator[dict[str, Any]]:
    known, offsets = Logs(run), dict[str, int]()
    while True:
        ended = run.observe().phase not in states.ACTIVE
        known.read()
        for entry in known.of(step, unit):
            for line in _added(entry["path"], offsets, ended):
                yield {**entry, "line": line}
        if ended:
            if (step or unit) and not known.of(step, unit):
                raise known.none(step, unit)
            return
        time.sleep(0.3)


def _added(path: str, offsets: dict[str, int], ended: bool) -> Iterator[str]:
    """Lines that were added; one that is not finished is kept back until the run has ended."""
    while True:
        begin = offsets.get(path, 0)
        try:
            if Path(path).stat().st_size <= begin:
                return
            with reading.opened(Path(path)) as f:
                f.seek(begin)
                data = f.read(PIECE)
        except OSError:
            return
        end = data.rfind(b"\n") + 1 or (len(data) if ended or len(data) == PIECE else 0)
        offsets[path] = begin + end
        yield from data[:end].decode("utf-8", "replace").splitlines()
        if not end:
            return
