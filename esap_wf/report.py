"""``report.html`` of a run: one self-contained page. Used by the supervisor, after the last state is written.

The page is built as an element tree (standard library), never pasted together from texts: names, parameters and log lines of a
run are untrusted, and an element's text can't become markup.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from esap_wf.models.plan import Plan
from esap_wf.models.run import Event, Outputs, RunRecord, State, Step
from esap_wf.quantities import human_bytes, human_seconds
from esap_wf.runs import progress
from esap_wf.watch import headline

#: Jobs drawn one by one; of more, the longest of each step are.
BARS = 200
ROWS = 500

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #0072b2; --bad: #d55e00; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
td, th { text-align: left; padding: .2em 1em .2em 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; }
code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6em; border: 1px solid var(--line); }
.phase { font-size: .6em; padding: .15em .6em; border-radius: 1em; color: #fff; background: var(--bar); vertical-align: middle; }
.ERROR, .ABORTED { background: var(--bad); }
svg { width: 100%; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.done { fill: var(--bar); } .failed { fill: var(--bad); } .running { fill: #888; }
"""


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


def bars(path: Path) -> tuple[list[Bar], dict[str, Spent]]:
    """Jobs of ``events.jsonl`` with start and end: the longest `BARS` of them, in order of their start, and the time of all by step."""
    opened: dict[tuple[str, str], Event] = {}
    found: list[Bar] = []
    spent: dict[str, Spent] = {}
    last = 0.0
    for line in progress.tail(path, 0):
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            continue
        last = max(last, event.t)
        key = (event.step or "", event.unit or event.job or "")
        if event.kind == "start":
            opened[key] = event
        elif event.kind in ("done", "failed") and key in opened:
            bar = Bar(key[0], event.unit or "", opened.pop(key).t, event.t, event.kind)
            found.append(bar)
            step, seconds = spent.setdefault(bar.step, Spent()), bar.end - bar.start
            step.jobs, step.seconds, step.longest = step.jobs + 1, step.seconds + seconds, max(step.longest, seconds)
            if len(found) > 20 * BARS:
                found = sorted(found, key=lambda b: b.start - b.end)[:BARS]
    found += [Bar(k[0], e.unit or "", e.t, last, "running") for k, e in opened.items()]
    return sorted(sorted(found, key=lambda b: b.start - b.end)[:BARS], key=lambda b: b.start), spent


def _add(parent: ET.Element, tag: str, text: object = "", **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, {k.rstrip("_"): v for k, v in attributes.items()})
    # control characters are no XML
    child.text = "".join(c for c in str(text) if c.isprintable() or c in "\n\t")
    return child


def _table(parent: ET.Element, title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    rows = list(rows)
    if not rows:
        return
    _add(parent, "h2", title)
    table = _add(parent, "table")
    head = _add(table, "tr")
    for name in header:
        _add(head, "th", name)
    for row in rows[:ROWS]:
        line = _add(table, "tr")
        for cell in row:
            _add(line, "td", "" if cell is None else cell, **({"class_": "n"} if isinstance(cell, int) and header[0] == "step" else {}))
    if len(rows) > ROWS:
        _add(parent, "p", f"and {len(rows) - ROWS} more")


def _steps(parent: ET.Element, steps: Sequence[Step], spent: Mapping[str, Spent]) -> None:
    """Counts and resources by step; a dash where the engine doesn't tell."""
    header = ("step", "total", "done", "failed", "time of all", "mean", "longest", "CPU", "largest memory")
    rows = []
    for step in steps:
        took = spent.get(step.name, Spent())
        times = [human_seconds(t) if took.jobs else "–" for t in (took.seconds, took.seconds / max(1, took.jobs), took.longest)]
        cpu = "–" if step.cpu_seconds is None else human_seconds(step.cpu_seconds)
        memory = "–" if step.memory_bytes is None else human_bytes(step.memory_bytes)
        rows.append((step.name, step.total, step.done, step.failed, *times, cpu, memory))
    _table(parent, "Steps", header, rows)


def _timeline(parent: ET.Element, jobs: list[Bar]) -> None:
    if not jobs:
        return
    first, last = min(b.start for b in jobs), max(b.end for b in jobs)
    span, height = max(last - first, 1e-3), 14
    _add(parent, "h2", "Timeline")
    svg = _add(parent, "svg", viewBox=f"0 0 1000 {height * len(jobs) + 24}", role="img")
    for i, bar in enumerate(jobs):
        x, width = 220 + 760 * (bar.start - first) / span, max(1.5, 760 * (bar.end - bar.start) / span)
        label = f"{bar.step} {bar.unit}".strip()
        _add(svg, "text", label[:34], x="0", y=str(height * i + 11))
        rect = _add(svg, "rect", x=f"{x:.1f}", y=str(height * i + 2), width=f"{width:.1f}", height="10", class_=bar.outcome)
        _add(rect, "title", f"{label}: {human_seconds(bar.end - bar.start)}, {bar.outcome}")
    _add(svg, "text", "0", x="220", y=str(height * len(jobs) + 18))
    _add(svg, "text", human_seconds(span), x="930", y=str(height * len(jobs) + 18))


def page(
    record: RunRecord, plan: Plan, state: State, outputs: Outputs | None, jobs: list[Bar], spent: Mapping[str, Spent],
    used: tuple[float, int] | None,
) -> bytes:  # fmt: skip
    """
    The page of a run.

    Parameters
    ----------
    record, plan, state : RunRecord, Plan, State
    outputs : Outputs or None
        If accepted.
    jobs : list of Bar
        For the timeline.
    spent : mapping of str to Spent
        Time by step.
    used : tuple of float and int, or None
        CPU seconds of the engine and its jobs, and the largest resident memory of one of them (bytes), if measured.

    Returns
    -------
    bytes
        HTML in UTF-8.
    """
    html = ET.Element("html", {"lang": "en"})
    head, body = _add(html, "head"), _add(html, "body")
    _add(head, "meta", charset="utf-8")
    _add(head, "title", f"{plan.workflow} {record.id}: {state.phase}")
    _add(head, "style", _STYLE)
    title = _add(body, "h1", f"{plan.title} ")
    _add(title, "span", state.phase, class_=f"phase {state.phase}")
    name = f"{record.name}, " if record.name else ""
    _add(body, "p", f"{name}run {record.id}, {plan.workflow} {plan.version}, by {record.owner}")
    for failure in state.failures[:5]:
        _add(body, "p", headline(failure))
        if failure.tail:
            _add(body, "pre", "\n".join(failure.tail))
    for warning in state.warnings:
        _add(body, "p", f"Warning: {warning}")
    facts = [
        ("created", record.created),
        ("started", state.started),
        ("ended", state.ended),
        ("units", plan.units),
        ("backend", plan.backend),
    ]
    if used:
        facts.append(("used", f"{human_seconds(used[0])} CPU, {human_bytes(used[1])} memory (largest process)"))
    estimate = plan.estimate
    facts.append(("estimated", f"{human_seconds(estimate.core_hours * 3600)} CPU, {human_bytes(estimate.memory_bytes)} memory"))
    _table(body, "Run", ("", ""), facts)
    _steps(body, state.steps, spent)
    _timeline(body, jobs)
    files = [(o.name, o.path, human_bytes(o.bytes), o.sha256[:16]) for o in (outputs.outputs if outputs else [])]
    _table(body, "Results", ("name", "file", "size", "sha256"), files)
    _table(body, "Parameters", ("name", "value"), plan.parameters.items())
    _table(body, "Selected", ("name", "value"), plan.selected.items())
    inputs = [(n, r.path or r.uri, (r.checksum or "")[:23]) for n, refs in plan.inputs.items() for r in refs]
    _table(body, "Inputs", ("name", "file", "identity"), inputs)
    software = [("engine", f"{plan.engine.name} {plan.engine.version}"), ("software", f"{plan.software.route}: {plan.software.detail}")]
    software += [("code", plan.code), ("digest", plan.digest.identity), ("science", plan.digest.science or "-")]
    _table(body, "Software and identity", ("", ""), software)
    _add(body, "h2", "Command")
    _add(body, "pre", " ".join(plan.command))
    text: bytes = ET.tostring(html, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + text
