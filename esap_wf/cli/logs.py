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


#: Bytes of a log that a follower reads at once.
PIECE = 4_000_000


class Logs:
    """Logs that the engine named, latest attempt of each, and the run's own. Events are decoded once: `read` takes what was added."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._offset = 0
        self._found: dict[tuple[str, str | None], dict[str, Any]] = {}

    def read(self) -> None:
        """Look again."""
        for line in progress.tail(self.run.events_path, self._offset):
            self._offset += len(line)
            try:
                event = msgspec.json.decode(line, type=Event)
            except msgspec.MsgspecError:
                continue
            if event.log and event.step:
                self._found[event.step, event.unit] = {
                    "step": event.step,
                    "unit": event.unit,
                    "attempt": event.attempt,
                    "path": str(self.run.dir / event.log),
                }
        for name in OWN:
            path = self.run.dir / "logs" / f"{name}.log"
            if (name, None) not in self._found and path.is_file() and path.stat().st_size:
                self._found[name, None] = {"step": name, "unit": None, "attempt": None, "path": str(path)}

    def of(self, step: str | None, unit: str | None) -> list[dict[str, Any]]:
        """Those of a step and a unit; None means all."""
        return [e for (s, u), e in self._found.items() if (step is None or s == step) and (unit is None or u == unit)]

    def none(self, step: str | None, unit: str | None) -> NotFoundError:
        """There is none such."""
        steps = ", ".join(sorted({e["step"] for e in self.of(None, None)}))
        where = Problem("--step/--unit", f"{step or 'any step'} {unit or ''}".strip(), f"steps with logs: {steps}")
        return NotFoundError("there is no such log", [where])


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
    known = Logs(found)
    known.read()
    entries = known.of(step, unit)
    if not entries and (step or unit):
        raise known.none(step, unit)
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
            with Path(path).open("rb") as f:
                f.seek(begin)
                data = f.read(PIECE)
        except OSError:
            return
        end = data.rfind(b"\n") + 1 or (len(data) if ended or len(data) == PIECE else 0)
        offsets[path] = begin + end
        yield from data[:end].decode("utf-8", "replace").splitlines()
        if not end:
            return
