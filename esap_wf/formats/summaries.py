"""What a plan, a run, a result and a list are in a line or a small table, as text and as HTML: the `repr` of
the models.

Foreign text is made harmless here, for the terminal and for a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from esap_wf.formats import printing
from esap_wf.formats.printing import one_line
from esap_wf.formats.quantities import human_bytes, human_cores, human_count, human_seconds

if TYPE_CHECKING:
    from esap_wf.models.plan import Plan
    from esap_wf.models.run import OutputFile, Progress, State, Waiting

#: Characters of one value, and rows of one list, that are shown.
WIDEST, ROWS = 80, 50


def progress_text(p: Progress) -> str:
    """``3/8 units, 2 running, 1 failed``."""
    parts = [f"{p.units_done}/{human_count(p.units_total, 'unit')}"]
    if p.jobs_total and p.jobs_total != p.units_total:
        parts.append(f"{p.jobs_done}/{human_count(p.jobs_total, 'job')}")
    if p.jobs_running:
        parts.append(f"{p.jobs_running} running")
    if p.jobs_failed:
        parts.append(f"{p.jobs_failed} failed")
    return ", ".join(parts)


def waiting_text(waiting: Waiting, when: Callable[[str], str] = str) -> str:
    """``1 job waits since 13:02 because no node is free for it``; `when` writes the time."""
    one = waiting.jobs == 1
    since = f" since {when(waiting.since)}" if waiting.since else ""
    why = f"{'' if one else ', each'} because {one_line(waiting.reason)}" if waiting.reason else ""
    return f"{human_count(waiting.jobs, 'job')} {'waits' if one else 'wait'}{since}{why}"


def clipped(value: object) -> str:
    """A value in one line that is not too long."""
    return printing.clipped(one_line(str(value)), WIDEST)


def core_hours(amount: float) -> str:
    """Core-hours as people say them."""
    return f"{amount:.2g} core-hours" if amount >= 0.01 else "less than 0.01 core-hours"


def plan_line(plan: Plan) -> str:
    """``<Plan irf: 4 units, 0.02 core-hours, about 40 s on local, runs with snakemake 9.2.0>``."""
    e = plan.estimate
    parts = [
        human_count(plan.units, "unit"),
        core_hours(e.core_hours) if e.core_hours else "cost unknown",
        (f"about {human_seconds(e.wall_seconds)}" if e.core_hours else "time unknown")
        + f" on {plan.backend}",
        f"runs with {plan.engine.name} {plan.engine.version}",
    ]
    if plan.duplicates:
        parts.append(f"{human_count(len(plan.duplicates), 'earlier run')} like it")
    if plan.warnings:
        parts.append(human_count(len(plan.warnings), "warning"))
    return f"<Plan {clipped(plan.workflow)}: {', '.join(map(one_line, parts))}>"


def plan_page(plan: Plan) -> str:
    """A plan as a small table."""
    e, a = plan.estimate, plan.allocation
    rows: list[tuple[str, object]] = [("workflow", f"{plan.workflow} {plan.version}: {plan.title}")]
    rows += [(name, value) for name, value in plan.parameters.items()]
    rows += [
        (f"input {name}", ", ".join(r.given for r in refs)) for name, refs in plan.inputs.items() if refs
    ]
    rows += [
        ("units", plan.units),
        (
            "estimate",
            f"{core_hours(e.core_hours)}, about {human_seconds(e.wall_seconds)}"
            if e.core_hours
            else "unknown",
        ),
        ("runs on", f"{plan.backend}: {human_cores(a.cores)}, {human_bytes(a.memory_bytes)} memory"),
        ("runs with", f"{plan.engine.name} {plan.engine.version}; software: {plan.software.route}"),
    ]
    rows += [("earlier run", f"{d.run} {d.phase}") for d in plan.duplicates]
    rows += [("warning", w) for w in plan.warnings]
    return page(rows, ())


def state_line(state: State) -> str:
    """``<State EXECUTING: 3/8 units, 2 running>``; of what failed, the first failure."""
    parts = [progress_text(state.progress)]
    if state.failures:
        f = state.failures[0]
        parts.append(f"{f.step}{f' {f.unit}' if f.unit else ''} failed: {f.detail or f.reason}")
    elif state.reason:
        parts.append(state.reason)
    return f"<State {state.phase}: {'; '.join(map(clipped, parts))}>"


def output_line(output: OutputFile) -> str:
    """``<OutputFile irf: outputs/irf.fits.gz, 1.2 MB>``."""
    return f"<OutputFile {clipped(output.name)}: {clipped(output.path)}, {human_bytes(output.bytes)}>"


def page(rows: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as HTML that needs nothing beside it; every cell is text."""

    from html import escape  # its table of entities is of no use to those who only want texts

    def line(cells: Sequence[object], kind: str) -> str:
        inner = "".join(f"<{kind}>{escape(clipped('' if c is None else c))}</{kind}>" for c in cells)
        return f"<tr>{inner}</tr>"

    shown = list(rows)
    lines = [line(header, "th")] if header else []
    lines += [line(row, "td") for row in shown[:ROWS]]
    more = f"<p>and {len(shown) - ROWS} more</p>" if len(shown) > ROWS else ""
    return f'<table style="text-align:left">{"".join(lines)}</table>{more}'
