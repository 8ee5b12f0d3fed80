"""What people read: states, failures, results. Imported by the verbs; light."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from esap_wf import files
from esap_wf.cli.output import columns, table
from esap_wf.cli.times import age, lasting, local, seconds_of
from esap_wf.errors import EsapError
from esap_wf.formats.printing import folded, one_line
from esap_wf.formats.quantities import human_bytes, human_cores, human_count, human_seconds
from esap_wf.formats.summaries import progress_text as progress_text
from esap_wf.formats.summaries import waiting_text
from esap_wf.models.run import Failure, Outputs, Phase, State, counted, json_line
from esap_wf.runs import requests, states
from esap_wf.runs.pieces import Pieces, second_executions

if TYPE_CHECKING:
    from esap_wf.models.plan import Duplicate
    from esap_wf.runs.pieces import Counts
    from esap_wf.runs.store import Run

#: Results shown before the rest is only counted.
SHOWN = 12


def duplicate_text(d: Duplicate) -> str:
    """An earlier run, and in what it differs."""
    what = "the same request" if d.level == "request" else "the same scientific identity"
    return f"{d.run} {d.phase} by {d.owner}, {local(d.created)}: {what}" + (
        "; differs in " + "; ".join(d.differs) if d.differs else ""
    )


def from_here(path: Path) -> str:
    """A path as it opens from the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def report_of(run: Run) -> Path | None:
    """The page of a run; None before it has ended."""
    page = run.dir / "report.html"
    return page if page.is_file() else None


def headline_of(failure: Failure, run: Run) -> str:
    """A failure in one line, with a path that opens from here."""
    from esap_wf.running.failures import headline

    return headline(failure, from_here(run.dir / failure.log) if failure.log else "")


def what_next(run: Run, state: State) -> str:
    """Commands for a run that has not ended well."""
    if state.phase is Phase.ERROR:
        cause = state.failures[0] if state.failures else None
        which = "" if cause is None else f" --step {shlex.quote(cause.step)}"
        if cause and cause.unit is not None:
            which += f" --unit {shlex.quote(cause.unit)}"
        if cause and not cause.log:
            which = ""
        return f"see the log:  esap-wf logs {run.id}{one_line(which)}\ncontinue it:  esap-wf resume {run.id}"
    if state.phase in {Phase.UNKNOWN, Phase.ABORTED}:
        return f"continue it:  esap-wf resume {run.id}"
    return ""


def failure_text(failure: Failure, run: Run) -> str:
    """The first lines of a failed run: who, why, where, and the end of the log."""
    from esap_wf.running.failures import way_out

    way = way_out(failure)
    advice = folded(f"what can be done: {way}", columns()) if way else []
    return "\n".join([headline_of(failure, run), *(f"    {line}" for line in failure.tail), *advice])


class _Engine(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class _Allowed(msgspec.Struct, frozen=True):
    cores: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    wall_seconds: int = 0
    gpus: int = 0


class _Slicing(msgspec.Struct, frozen=True):
    slices: int = 1


class _Place(msgspec.Struct, frozen=True):
    """Of the profile, that there is one."""


class InForce(msgspec.Struct, frozen=True):
    """
    What people are shown of the plan by which a run goes now: a resumed run may have a newer one than it was
    created with.
    """

    backend: str = ""
    engine: _Engine = _Engine()
    allocation: _Allowed = _Allowed()
    slicing: _Slicing = _Slicing()
    profile: _Place | None = None
    queue: _Place | None = None


def in_force(run: Run) -> InForce:
    """Of the run's plan; empty if it can't be read."""
    try:
        return files.read_json(run.dir / "plan.json", InForce)
    except EsapError:
        return InForce()


def pieces_of(run: Run, state: State) -> Counts | None:
    """The pieces of a run elsewhere, in numbers; None for one on this machine."""
    plan = in_force(run)
    if (plan.profile is None or plan.queue is not None) and not (run.dir / "pieces").is_dir():
        return None
    from esap_wf.runs.pieces import Pieces, counted

    return counted(Pieces(run.dir, run.store), plan.slicing.slices, state.phase not in states.FINAL)


def pieces_text(counts: Counts) -> str:
    """``pieces: 1 of 4 accepted, 2 running, 1 waiting; 1 was lost, 1 second execution``."""
    parts = [f"{counts.accepted} of {counts.total} accepted"]
    parts += [f"{n} {what}" for what in ("running", "waiting", "failed") if (n := getattr(counts, what))]
    bad = [f"{counts.lost} lost"] if counts.lost else []
    if counts.second_executions:
        bad.append(human_count(counts.second_executions, "second execution"))
    return f"pieces: {', '.join(parts)}" + (f"; {', '.join(bad)}" if bad else "")


def earlier_plans(run: Run) -> list[str]:
    """Names of the files that keep the plans by which a run went before, oldest first."""
    return sorted((p.name for p in run.dir.glob("plan.*.json")), key=lambda name: (len(name), name))


def status_text(run: Run, state: State) -> str:
    """A state, as `esap-wf status` shows it: a failed run begins with its failure."""
    record, plan = run.record(), in_force(run)
    names = requests.names(record, requests.read_further(run.dir))
    lines = []
    if state.failures and state.phase in {Phase.ERROR, Phase.EXECUTING}:
        lines += [failure_text(state.failures[0], run), ""]
    reason = f" {state.reason}" if state.reason and state.phase is Phase.COMPLETED else ""
    lines.append(
        f"{run.id}  {state.phase}{reason}  {record.workflow} {record.version} on "
        f"{plan.backend or record.backend}"
        f" with {plan.engine.name or record.engine}" + (f"  ({', '.join(names)})" if names else "")
    )
    if kept := earlier_plans(run):
        a = plan.allocation
        may = f"{human_cores(a.cores)}, {human_bytes(a.memory_bytes)} memory, {human_seconds(a.wall_seconds)}"
        lines.append(f"it now follows a newer plan ({may}); the previous one is {kept[-1]}")
    lines += reason_lines(state)
    lines.append(progress_text(state.progress))
    lines += [pieces_text(counts)] if (counts := pieces_of(run, state)) else []
    if state.steps:
        lines.append(
            table(
                [(s.name, s.total, s.done, s.running, s.failed) for s in state.steps],
                ("step", "total", "done", "running", "failed"),
            )
        )
    for failure in state.failures[1:]:
        lines.append(headline_of(failure, run))
    if state.failures_more:
        lines.append(f"and {human_count(state.failures_more, 'more failure')}")
    lines += [f"warning: {w}" for w in state.warnings]
    if again := second_executions(Pieces(run.dir, run.store)):
        lines.append(f"{human_count(again, 'piece')} of it may have been executed a second time")
    lines.append(when_text(record.created, state))
    lines.append(f"folder  {run.dir}")
    lines += [f"report  {page}"] if (page := report_of(run)) and state.phase in states.FINAL else []
    lines += [after] if (after := what_next(run, state)) else []
    return "\n".join(lines)


def reason_lines(state: State) -> list[str]:
    """Why a run is as it is: what it waits for, with times of this machine; nothing of one that has ended."""
    if state.phase in {Phase.ERROR, Phase.COMPLETED} or not state.reason:
        return []
    if state.waiting and state.reason == "; ".join(map(waiting_text, state.waiting)):
        return [waiting_text(w, local) for w in state.waiting]
    return [state.reason]


def when_text(created: str, state: State) -> str:
    """Since when a run is at work, or how long it took."""
    ended = state.ended if state.phase in states.FINAL else None
    if state.started is None:
        return f"created {local(created)}, {age(created)}" + (
            f"; ended {local(ended)}" if ended else "; not started yet"
        )
    took = lasting(seconds_of(state.started, ended))
    if ended:
        return f"created {local(created)}, ended {local(ended)}, took {took}"
    return f"created {local(created)}, running since {local(state.started)} ({took})"


def results_text(run: Run, outputs: Outputs) -> str:
    """
    Accepted results, as `esap-wf results` shows them: paths below the run's folder, of folders the number of
    files; then values.
    """
    rows = [(o.name, o.bytes, o.sha256[:12], counted(o, inner)) for o, inner in outputs.tops()]
    values = [(name, json_line(value)) for name, value in outputs.values.items()]
    parts = [table(rows, ("name", "bytes", "sha256", "path"))] if rows else []
    parts += [table(values, ("name", "value"))] if values else []
    where = [f"folder  {run.dir}"] + ([f"report  {page}"] if (page := report_of(run)) else [])
    return "\n\n".join([*(parts or ["no results"]), "\n".join(where)])


def run_line(run: Run, state: State) -> str:
    """The answer of `run`."""
    if state.phase is Phase.COMPLETED:
        outputs = run.outputs()
        found = (
            [f"  {one_line(f'{run.dir}/{counted(o, inner)}')}" for o, inner in outputs.tops()]
            if outputs
            else []
        )
        found += (
            [f"  {name} = {one_line(json_line(value))}" for name, value in outputs.values.items()]
            if outputs
            else []
        )
        more = [f"  and {len(found) - SHOWN} more: esap-wf results {run.id}"] if len(found) > SHOWN else []
        took = lasting(seconds_of(state.started, state.ended)) if state.ended else ""
        top = " ".join(filter(None, [run.id, "COMPLETED", state.reason, f"in {took}" if took else ""]))
        page = report_of(run)
        last = [f"report  {page}"] if page else []
        return "\n".join([top, *(f"warning: {w}" for w in state.warnings), *found[:SHOWN], *more, *last])
    from esap_wf.running.failures import headline

    reason = (
        headline(state.failures[0], "") if state.phase is Phase.ERROR and state.failures else state.reason
    )
    lines = [f"{run.id} {state.phase}" + (f": {reason}" if reason else "")]
    lines += [f"report  {page}"] if (page := report_of(run)) and state.phase in states.FINAL else []
    # of an error, what next was told with the failure
    lines += [after] if state.phase is not Phase.ERROR and (after := what_next(run, state)) else []
    return "\n".join(lines)
