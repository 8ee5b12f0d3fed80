"""Which logs a run has, and how they end. The command line and Python show them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from esap_wf import files
from esap_wf.errors import NotFoundError, Problem
from esap_wf.formats import reading
from esap_wf.models.run import Event
from esap_wf.runs import event_lines
from esap_wf.runs.store import Run

#: Logs of the run itself, for what no step says.
OWN = ("engine", "software", "supervisor")
#: Bytes of a log that are shown at once.
SHOWN = 20_000


class Logs:
    """
    Logs that the engine named, latest attempt of each, and the run's own. Events are decoded once: `read`
    takes what was added.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._offset = 0
        self._found: dict[tuple[str, str | None], dict[str, Any]] = {}

    def read(self) -> None:
        """Look again."""
        for line in event_lines.complete_lines(self.run.events_path, self._offset):
            self._offset += len(line)
            try:
                event = msgspec.json.decode(line, type=Event)
            except files.BROKEN:
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
        """Those of a step and a unit, which may be written as people say them (`meant`); None means all."""
        steps = meant(step, {s for s, _ in self._found})
        within = [(s, u, e) for (s, u), e in self._found.items() if steps is None or s in steps]
        units = meant(unit, {u for _, u, _ in within if u is not None})
        return [e for _, u, e in within if units is None or u in units]

    def none(self, step: str | None, unit: str | None) -> NotFoundError:
        """There is none such; what there is."""
        problems, steps = [], sorted({e["step"] for e in self.of(None, None)})
        if not self.of(step, None):
            problems.append(
                Problem("--step", f"there is no log of a step {step!r}", f"steps with logs: {_some(steps)}")
            )
        if unit is not None:
            units = sorted(
                {e["unit"] for e in self.of(None if problems else step, None) if e["unit"] is not None}
            )
            hint = f"units with logs: {_some(units)}" if units else "no unit has a log yet"
            problems.append(
                Problem(
                    "--unit", f"there is no log of a unit {unit!r}" + (f" of {step}" if step else ""), hint
                )
            )
        return NotFoundError("there is no such log", problems)


def meant(word: str | None, known: set[str]) -> set[str] | None:
    """
    Which names a word means: itself, else those of the same number (``3``: ``00003``, ``u00003``), else those
    of other case.

    None if there is no word.
    """
    if word is None:
        return None
    if word in known:
        return {word}
    wanted = _NUMBERED.fullmatch(word)
    if wanted:
        prefix, number = wanted["prefix"], int(wanted["number"])
        pairs = [(name, m) for name in known if (m := _NUMBERED.fullmatch(name))]
        if same := {
            n
            for n, m in pairs
            if int(m["number"]) == number and (not prefix or m["prefix"].lower() == prefix.lower())
        }:
            return same
    return {name for name in known if name.lower() == word.lower()}


#: A name that ends with a number of at most so many digits as Python reads at once.
_NUMBERED = re.compile(r"(?P<prefix>[A-Za-z_-]*)(?P<number>[0-9]{1,100})")


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (
        f" … {names[-1]} ({len(names)})" if len(names) > 9 else f", {names[8]}" if len(names) == 9 else ""
    )


def end_of(path: Path) -> str:
    """The last bytes of a log as text; empty if it can't be read."""
    text = reading.tail(path, SHOWN)
    return f"… {text}" if text and path.stat().st_size > SHOWN else text
