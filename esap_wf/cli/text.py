"""What people read: plans, states, results. Imported by the verbs; light."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from esap_wf.cli.output import moment, one_line, table
from esap_wf.models.run import Failure, Phase, Progress, State
from esap_wf.quantities import human_bytes, human_seconds

if TYPE_CHECKING:
    from esap_wf.models.plan import Duplicate, Plan
    from esap_wf.runs.store import Run

#: Inputs, parameters and files shown before the rest is only counted.
SHOWN = 12


def plan_text(plan: Plan) -> str:
    """A plan, as `esap-wf plan` shows it."""
    e, a = plan.estimate, plan.allocation
    needs = f"{human_bytes(e.memory_bytes)} memory, {human_bytes(e.disk_bytes)} disk"
    rows: list[tuple[str, str]] = [
        ("workflow", f"{plan.workflow} {plan.version}: {plan.title}"),
        *([("source", plan.reference)] if plan.reference else []),
        ("parameters", ", ".join(f"{k} = {v}" for k, v in plan.parameters.items()) or "none"),
    ]
    rows += [
        (f"input {n}", ", ".join(r.path or r.uri for r in refs[:3]) + (f" and {len(refs) - 3} more" if len(refs) > 3 else ""))
        for n, refs in plan.inputs.items()
        if refs
    ]
    if plan.selected:
        rows.append(("selected", ", ".join(f"{k} = {v}" for k, v in plan.selected.items())))
    learned = f" (corrected by {e.measured_runs} earlier runs)" if e.measured_runs else ""
    rows += [
        ("units", str(plan.units)),
        ("estimate", f"{e.core_hours:.3g} core-hours, {human_seconds(e.wall_seconds)}, {needs}{learned}"),
        ("asks for", f"{a.cores} cores, {human_bytes(a.memory_bytes)} memory, {human_seconds(a.wall_seconds)}"),
        ("engine", f"{plan.engine.name} {plan.engine.version} ({plan.engine.found}: {plan.engine.path})"),
        ("software", f"{plan.software.route}: {plan.software.detail}"),
    ]
    rows += [("", f"not {refused}") for refused in plan.software.refused]
    for offer in plan.offers:
        mark = " (chosen)" if offer.backend == plan.backend else ""
        rows.append((f"backend {offer.backend}", ("fits" + mark) if offer.fits else "does not fit: " + "; ".join(offer.reasons)))
    rows += [("digest", plan.digest.identity), ("code", plan.code)]
    if plan.digest.science:
        rows.append(("science", f"{plan.digest.science}: " + ", ".join(f"{k} = {v}" for k, v in plan.digest.science_values.items())))
    rows += [("earlier run", duplicate_text(d)) for d in plan.duplicates]
    rows += [
        ("command", shlex.join(plan.command)),
        ("files", ", ".join(plan.files[:SHOWN]) + (f" and {len(plan.files) - SHOWN} more" if len(plan.files) > SHOWN else "")),
    ]
    rows += [("warning", w) for w in plan.warnings]
    rows.append(("valid until", plan.expires))
    width = max(len(k) for k, _ in rows)
    return "\n".join(f"{k:<{width}}  {v}" for k, v in rows)


def duplicate_text(d: Duplicate) -> str:
    """An earlier run, and in what it differs."""
    what = "the same request" if d.level == "request" else "the same scientific identity"
    return f"{d.run} {d.phase} by {d.owner}, {moment(d.created)}: {what}" + ("; differs in " + "; ".join(d.differs) if d.differs else "")


def progress_text(p: Progress) -> str:
    """``3/8 units, 2 running, 1 failed``."""
    parts = [f"{p.units_done}/{p.units_total} units"]
    if p.jobs_total and p.jobs_total != p.units_total:
        parts.append(f"{p.jobs_done}/{p.jobs_total} jobs")
    if p.jobs_running:
        parts.append(f"{p.jobs_running} running")
    if p.jobs_failed:
        parts.append(f"{p.jobs_failed} failed")
    return ", ".join(parts)


def failure_text(failure: Failure) -> str:
    """The first lines of a failed run: who, why, where, and the end of the log."""
    from esap_wf.watch import headline

    return "\n".join([headline(failure), *(f"    {line}" for line in failure.tail)])


def status_text(run: Run, state: State) -> str:
    """A state, as `esap-wf status` shows it: a failed run begins with its failure."""
    record = run.record()
    lines = []
    if state.failures and state.phase in {Phase.ERROR, Phase.EXECUTING}:
        lines += [failure_text(state.failures[0]), ""]
    lines.append(
        f"{run.id}  {state.phase}  {record.workflow} {record.version} on {record.backend} with {record.engine}"
        + (f"  ({record.name})" if record.name else "")
    )
    if state.reason and state.phase is not Phase.ERROR:
        lines.append(state.reason)
    lines.append(progress_text(state.progress))
    if state.steps:
        lines.append(
            table([(s.name, s.total, s.done, s.running, s.failed) for s in state.steps], ("step", "total", "done", "running", "failed"))
        )
    for failure in state.failures[1:]:
        lines.append(failure_text(failure).splitlines()[0])
    if state.failures_more:
        lines.append(f"and {state.failures_more} more failures")
    lines += [f"warning: {w}" for w in state.warnings]
    lines.append(f"created {moment(record.created)}, started {moment(state.started) or '-'}, ended {moment(state.ended) or '-'} UTC")
    lines.append(str(run.dir))
    return "\n".join(lines)


def run_line(run: Run, state: State) -> str:
    """The answer of `run`."""
    if state.phase is Phase.COMPLETED:
        outputs = run.outputs()
        files = [f"  {one_line(str(run.dir / o.path))}" for o in outputs.outputs[:SHOWN]] if outputs else []
        more = [f"  and {len(outputs.outputs) - SHOWN} more: esap-wf results {run.id}"] if outputs and len(outputs.outputs) > SHOWN else []
        return "\n".join([f"{run.id} COMPLETED", *(f"warning: {w}" for w in state.warnings), *files, *more])
    return f"{run.id} {state.phase}" + (f": {state.reason}" if state.reason else "")
