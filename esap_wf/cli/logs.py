"""The verb logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf.cli.output import Answer, Verb, to_json
from esap_wf.errors import NotFoundError, Problem
from esap_wf.lookup import find_run
from esap_wf.models.run import Event
from esap_wf.runs import progress, states
from esap_wf.runs.store import Run

#: Logs of the run itself, for what no step says.
OWN = ("engine", "software", "supervisor")
#: Bytes of each log that are printed without --follow.
SHOWN = 20_000


def logs_of(run: Run, step: str | None, unit: str | None) -> list[dict[str, Any]]:
    """Logs that the engine named, latest attempt of each, and the run's own."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for line in progress.tail(run.events_path, 0):
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            continue
        if event.log and event.step:
            found[event.step, event.unit] = {
                "step": event.step,
                "unit": event.unit,
                "attempt": event.attempt,
                "path": str(run.dir / event.log),
            }
    for name in OWN:
        path = run.dir / "logs" / f"{name}.log"
        if path.is_file() and path.stat().st_size:
            found[name, None] = {"step": name, "unit": None, "attempt": None, "path": str(path)}
    return [e for (s, u), e in found.items() if (step is None or s == step) and (unit is None or u == unit)]


@click.command("logs", cls=Verb, examples=["esap-wf logs 3f2a", "esap-wf logs 3f2a --step simulate --unit 3", "esap-wf logs 3f2a --follow"])
@click.argument("run")
@click.option("--step", metavar="STEP", help="Only this step; engine, software and supervisor are the run's own.")
@click.option("--unit", metavar="UNIT", help="Only this unit.")
@click.option("--follow", is_flag=True, help="Print what is added until the run has ended; with --json one line of JSON a line.")
@click.pass_obj
def logs(answer: Answer, run: str, step: str | None, unit: str | None, follow: bool) -> None:
    """Show logs."""
    found = find_run(answer.config(), run)
    found.record()  # of a later version: refused, not half understood
    if follow:
        for line in _follow(found, step, unit):
            if answer.as_json:
                click.echo(to_json(line))
            else:
                who = line["step"] + (f" {line['unit']}" if line["unit"] else "")
                click.echo(f"{who}: {line['line']}")
            sys.stdout.flush()
        return
    entries = logs_of(found, step, unit)
    if not entries and (step or unit):
        steps = sorted({e["step"] for e in logs_of(found, None, None)})
        raise NotFoundError(
            "there is no such log",
            [Problem("--step/--unit", f"{step or 'any step'} {unit or ''}".strip(), f"steps with logs: {', '.join(steps)}")],
        )
    parts = []
    for entry in entries if not answer.as_json else []:
        text = _read(Path(entry["path"]))
        if text:
            parts.append(f"==> {entry['step']} {entry['unit'] or ''} ({entry['path']})\n{text.rstrip()}")
    answer.give({"logs": entries, "run": found.id}, "\n\n".join(parts))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as f:
            f.seek(0, 2)
            size = f.tell()
            f.seek(max(0, size - SHOWN))
            text = f.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return ("… " if size > SHOWN else "") + text


def _follow(run: Run, step: str | None, unit: str | None) -> Iterator[dict[str, Any]]:
    offsets: dict[str, int] = {}
    while True:
        ended = run.observe().phase not in states.ACTIVE
        for entry in logs_of(run, step, unit):
            path = entry["path"]
            try:
                with Path(path).open("rb") as f:
                    f.seek(offsets.get(path, 0))
                    data = f.read()
            except OSError:
                continue
            end = len(data) if ended else data.rfind(b"\n") + 1
            offsets[path] = offsets.get(path, 0) + end
            for line in data[:end].decode("utf-8", "replace").splitlines():
                yield {**entry, "line": line}
        if ended:
            return
        time.sleep(0.3)
