"""``report.html`` of a run: one page that needs nothing but the run's own files.

`markup` has the elements, `timing`, `results` and `origin` a part of the page each. It has no script, is read
from a disk, on a telephone or on paper, and stays below a size whatever a run holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from esap_wf.formats.quantities import human_bytes, human_cores, human_count, human_seconds
from esap_wf.models.plan import Plan
from esap_wf.models.run import Outputs, RunRecord, State
from esap_wf.running.failures import headline, way_out
from esap_wf.running.report import origin, results, timing
from esap_wf.running.report.markup import Page, add, clipped, is_there, lines, link, put
from esap_wf.runs.attempts import EngineExit

#: Bytes that no page exceeds; of lists that would, fewer entries are shown.
LARGEST = 1_000_000
#: Entries of any list, tried in turn.
MOST = (200, 40, 10)
FAILURES = 10
WARNINGS = 40


def page(
    folder: Path,
    record: RunRecord,
    plan: Plan,
    state: State,
    outputs: Outputs | None,
    ends: Sequence[EngineExit],
) -> bytes:
    """
    The page of a run.

    Parameters
    ----------
    folder : Path
        The run directory.
    record, plan, state : RunRecord, Plan, State
    outputs : Outputs or None
        If accepted.
    ends : sequence of EngineExit
        What its engines used, those of earlier attempts too.

    Returns
    -------
    bytes
        HTML in UTF-8.
    """
    times = timing.read_times(folder / "events.jsonl")
    text = b""
    for most in MOST:
        text = _page(most, folder, record, plan, state, outputs, ends, times)
        if len(text) <= LARGEST:
            break
    return text


def _page(
    most: int,
    folder: Path,
    record: RunRecord,
    plan: Plan,
    state: State,
    outputs: Outputs | None,
    ends: Sequence[EngineExit],
    times: timing.Times,
) -> bytes:
    made = Page(f"{clipped(plan.workflow, 60)} {record.id}: {state.phase}", most)
    manifest = origin.manifest_of(folder)
    _heading(made, record, plan, state)
    _went_wrong(made, folder, state, most)
    took = timing.durations(record, state, times.phases)
    cpu = max(sum(e.cpu_seconds for e in ends), sum(s.cpu_seconds or 0.0 for s in state.steps))
    memory = max([*(e.max_rss_bytes for e in ends), *(s.memory_bytes or 0 for s in state.steps)], default=0)
    _facts(made, state, took, cpu, memory)
    results.show(made, folder, outputs, plan.outputs, results.ALL_HELD if most == MOST[0] else 0)
    origin.parameters(made, plan, origin.properties_of(folder, plan, manifest))
    origin.inputs(made, plan, manifest)
    _resources(made, plan, outputs, took, cpu, memory)
    timing.steps(made, folder, state.steps, times.spent)
    timing.timeline(made, times)
    _moments(made, record, plan, state)
    origin.software(made, record, plan)
    origin.cite(made, manifest)
    origin.add_repeating(made, folder, record, plan, state)
    return made.encoded()


def _heading(made: Page, record: RunRecord, plan: Plan, state: State) -> None:
    title = add(made.body, "h1", f"{clipped(plan.title)} ")
    add(title, "span", state.phase, class_=f"phase {state.phase}")
    name = f"{record.name}, " if record.name else ""
    tags = f"; tags {', '.join(record.tags)}" if record.tags else ""
    add(made.body, "p", f"{name}run {record.id}, {plan.workflow} {plan.version}, by {record.owner}{tags}")


def _went_wrong(made: Page, folder: Path, state: State, most: int) -> None:
    """Why it did not succeed, and warnings."""
    failures = state.failures[: min(FAILURES, most)]
    if state.reason and not any(headline(f) == state.reason for f in failures):
        add(made.body, "p", state.reason, class_="warn")
    for failure in failures:
        box = add(made.body, "div", class_="bad")
        add(add(box, "p"), "b", headline(failure))
        if way := way_out(failure):
            add(box, "p", f"What to do next: {way}")
        if failure.tail:
            lines(box, "\n".join(failure.tail))
        if failure.log and is_there(folder / failure.log):
            put(add(box, "p", "The whole log: "), link(failure.log))
    if more := len(state.failures) - len(failures) + state.failures_more:
        add(made.body, "p", f"and {human_count(more, 'more failure')}")
    for warning in state.warnings[: min(WARNINGS, most)]:
        add(made.body, "p", f"Warning: {warning}", class_="warn")
    if len(state.warnings) > min(WARNINGS, most):
        add(made.body, "p", f"and {human_count(len(state.warnings) - min(WARNINGS, most), 'more warning')}")


def _facts(made: Page, state: State, took: timing.Durations, cpu: float, memory: int) -> None:
    p = state.progress
    facts = [
        ("units done", f"{p.units_done} of {p.units_total}"),
        ("running", human_seconds(took.running)),
        ("queued", human_seconds(took.waiting)),
        ("from request to end", human_seconds(took.total)),
        ("CPU", human_seconds(cpu) if cpu else "–"),
        ("largest memory of one process", human_bytes(memory) if memory else "–"),
    ]
    if took.stopped >= 1:
        facts.append(("between attempts", human_seconds(took.stopped)))
    grid = add(made.body, "div", class_="facts")
    for name, value in facts:
        box = add(grid, "div")
        add(box, "span", name, class_="soft")
        add(box, "b", value)


def _resources(
    made: Page, plan: Plan, outputs: Outputs | None, took: timing.Durations, cpu: float, memory: int
) -> None:
    """What was asked for beside what was used."""
    given, expected = plan.allocation, plan.estimate
    size = sum(o.bytes for o, _ in outputs.tops()) if outputs else 0
    busy = f"{cpu / took.running:.1f} on average" if cpu and took.running > 0 else "–"
    largest = f"{human_bytes(memory)} (largest process)" if memory else "–"
    rows = [
        ("cores", str(given.cores), "", busy),
        ("CPU time", "", human_seconds(expected.core_hours * 3600), human_seconds(cpu) if cpu else "–"),
        ("memory", human_bytes(given.memory_bytes), human_bytes(expected.memory_bytes), largest),
        (
            "time",
            human_seconds(given.wall_seconds),
            human_seconds(expected.wall_seconds),
            human_seconds(took.running),
        ),
        (
            "disk",
            human_bytes(given.disk_bytes),
            human_bytes(expected.disk_bytes),
            f"{human_bytes(size)} (results)" if outputs else "–",
        ),
    ]
    if given.gpus:
        rows.append(("GPUs", str(given.gpus), "", "–"))
    note = (
        f"On {plan.backend} the run may use {human_cores(given.cores)} and "
        f"{human_bytes(given.memory_bytes)} of memory."
    )
    if given.exceeded:
        note += " Some steps ask for more, or for amounts that only the engine can tell."
    made.table("Resources", ("", "allowed", "estimated", "used"), rows, len(rows), note)


def _moments(made: Page, record: RunRecord, plan: Plan, state: State) -> None:
    rows = [
        ("planned", plan.created),
        ("requested", record.created),
        ("started", state.started),
        ("ended", state.ended),
    ]
    if record.rerun_of:
        rows.append(("again after", record.rerun_of))
    shown = [(name, text.replace("T", " ").replace("Z", " UTC")) for name, text in rows if text]
    made.table("Times", ("", ""), shown, len(shown))
