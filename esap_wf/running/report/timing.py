"""What ``events.jsonl`` says of time: jobs, steps, and how long a run waited, ran and stood still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from esap_wf import files
from esap_wf.formats.quantities import human_bytes, human_count, human_seconds
from esap_wf.models.run import Event, Phase, RunRecord, State, Step
from esap_wf.running.report.markup import Page, add, clipped, is_there, link, number
from esap_wf.runs import event_lines

#: Jobs drawn one by one; of more, the longest are.
BARS = 200
_WAITING, _RUNNING = {Phase.PENDING, Phase.QUEUED}, {Phase.EXECUTING}


@dataclass
class Bar:
    """One job on the time axis, seconds since 1970."""

    step: str
    unit: str
    start: float
    end: float
    outcome: str


@dataclass
class Spent:
    """Wall time of the ended jobs of one step, in seconds."""

    jobs: int = 0
    seconds: float = 0.0
    longest: float = 0.0


@dataclass
class Times:
    """
    The longest `BARS` jobs in order of their start, the time of all jobs by step, and the changes of phase
    (time, phase).
    """

    jobs: list[Bar] = field(default_factory=list)
    spent: dict[str, Spent] = field(default_factory=dict)
    phases: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Durations:
    """Seconds: waiting to be started, running, standing still between two attempts, and all in all."""

    waiting: float = 0.0
    running: float = 0.0
    stopped: float = 0.0
    total: float = 0.0


def read_times(path: Path) -> Times:
    """Times of ``events.jsonl``."""
    times = Times()
    opened: dict[tuple[str, str], Event] = {}
    found: list[Bar] = []
    last = 0.0
    for line in event_lines.complete_lines(path, 0):
        try:
            event = msgspec.json.decode(line, type=Event)
        except files.BROKEN:
            continue
        last = max(last, event.t)
        key = (event.step or "", event.unit or event.job or "")
        if event.kind == "phase":
            times.phases.append((event.t, event.phase or ""))
        elif event.kind == "start":
            opened[key] = event
        elif event.kind in ("done", "failed") and key in opened:
            bar = Bar(key[0], event.unit or "", opened.pop(key).t, event.t, event.kind)
            found.append(bar)
            step, seconds = times.spent.setdefault(bar.step, Spent()), bar.end - bar.start
            step.jobs, step.seconds, step.longest = (
                step.jobs + 1,
                step.seconds + seconds,
                max(step.longest, seconds),
            )
            if len(found) > 20 * BARS:
                found = _longest(found)
    found += [Bar(k[0], e.unit or "", e.t, last, "running") for k, e in opened.items()]
    times.jobs = sorted(_longest(found), key=lambda b: b.start)
    return times


def _longest(jobs: list[Bar]) -> list[Bar]:
    return sorted(jobs, key=lambda b: b.start - b.end)[:BARS]


def durations(record: RunRecord, state: State, phases: Sequence[tuple[float, str]]) -> Durations:
    """Where the time of an ended run went; the clock of another machine may have been behind."""
    points = [(_seconds(record.created), Phase.PENDING.value), *phases]
    if state.ended:
        points.append((_seconds(state.ended), state.phase.value))
    found = Durations(total=max(0.0, points[-1][0] - points[0][0]))
    for (begin, phase), (end, _) in pairwise(points):
        part = "waiting" if phase in _WAITING else "running" if phase in _RUNNING else "stopped"
        setattr(found, part, getattr(found, part) + max(0.0, end - begin))
    return found


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def steps(page: Page, folder: Path, found: Sequence[Step], spent: Mapping[str, Spent]) -> None:
    """Counts and resources by step; a dash where the engine doesn't tell."""
    header = (
        "step",
        "jobs",
        "done",
        "failed",
        "total time",
        "mean",
        "longest",
        "CPU",
        "CPU / time",
        "largest memory",
    )

    def row(step: Step) -> list[object]:
        took = spent.get(step.name, Spent())
        times = [
            human_seconds(t) if took.jobs else "–"
            for t in (took.seconds, took.seconds / max(1, took.jobs), took.longest)
        ]
        cpu = "–" if step.cpu_seconds is None else human_seconds(step.cpu_seconds)
        share = (
            f"{step.cpu_seconds / took.seconds:.2f}"
            if step.cpu_seconds is not None and took.seconds > 0
            else "–"
        )
        memory = "–" if step.memory_bytes is None else human_bytes(step.memory_bytes)
        logs = f"logs/{step.name}/"
        name = (
            link(logs, step.name)
            if step.name.strip(".") and "/" not in step.name and is_there(folder / logs)
            else step.name
        )
        return [name, *map(number, (step.total, step.done, step.failed, *times, cpu, share, memory))]

    unreported = any(s.cpu_seconds is None for s in found)
    note = "A dash means that the engine does not report it." if unreported else ""
    page.table("Steps", header, map(row, found), len(found), note)


def timeline(page: Page, times: Times) -> None:
    """Jobs on a common axis of time."""
    if not times.jobs:
        return
    jobs = sorted(_longest(times.jobs)[: page.most], key=lambda b: b.start)
    begin, end = min(b.start for b in jobs), max(b.end for b in jobs)
    span = max(end - begin, 1e-3)
    add(page.body, "h2", "Timeline")
    ended = sum(s.jobs for s in times.spent.values()) + sum(b.outcome == "running" for b in times.jobs)
    shown = human_count(ended, "job") if ended <= len(jobs) else f"the longest {len(jobs)} of {ended} jobs"
    add(page.body, "p", f"{shown}; the full width is {human_seconds(span)}", class_="soft")
    for bar in jobs:
        row = add(page.body, "div", class_="job")
        name = clipped(f"{bar.step} {bar.unit}".strip(), 80)
        add(row, "span", name, title=f"{name}: {bar.outcome}")
        left, width = 100 * (bar.start - begin) / span, 100 * (bar.end - bar.start) / span
        add(
            add(row, "span", class_="track"),
            "i",
            class_=bar.outcome,
            style=f"left:{min(left, 99.5):.2f}%;width:{width:.2f}%",
        )
        add(row, "span", human_seconds(bar.end - bar.start), class_="n")
