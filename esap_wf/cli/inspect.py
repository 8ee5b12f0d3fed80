"""The verbs list, status, results and diff. Light: no validator, no schema, no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esap_wf.cli.output import Answer, Verb, moment, table
from esap_wf.cli.text import progress_text, status_text
from esap_wf.errors import NotFoundError, Problem, RefusedError, UsageError
from esap_wf.lookup import find_run, index_of
from esap_wf.runs.index.schema import Row
from esap_wf.runs.store import Run, Store


@click.command(
    "list", cls=Verb, examples=["esap-wf list", "esap-wf list --phase ERROR --workflow irf", "esap-wf list --since 2026-11-01 --json"]
)
@click.option("--phase", metavar="PHASE", help="Only runs in this phase (PENDING, EXECUTING, COMPLETED, ERROR, UNKNOWN …).")
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option("--since", metavar="TIME", help="Only runs created at this time (RFC 3339, UTC) or later.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Runs of a page.")
@click.option("--cursor", metavar="CURSOR", help="Where the next page begins.")
@click.pass_obj
def list_(
    answer: Answer, phase: str | None, workflow: str | None, tag: str | None, since: str | None, limit: int, cursor: str | None
) -> None:
    """List runs, newest first."""
    config = answer.config()
    try:
        store = Store.open(config.store)
    except NotFoundError as error:
        if config.store.exists() and (not config.store.is_dir() or any(config.store.iterdir())):
            raise UsageError(f"{config.store} is no run store", error.problems) from None
        answer.give({"runs": [], "next": None}, "no runs yet: esap-wf run hello")
        return
    index = index_of(store, config)
    try:
        rows: list[Row] = []
        following, since = cursor, _time(since)
        while True:
            page, following = index.page(phase=phase, workflow=workflow, tag=tag, since=since, limit=limit - len(rows), cursor=following)
            # a run that was at work when it was last announced may be lost by now
            rows += [row for row in index.live(page) if phase is None or row.phase == phase.upper()]
            if following is None or len(rows) >= limit:
                break
    finally:
        index.close()
    data = [
        {
            "run": r.id, "name": r.name, "workflow": r.workflow, "phase": r.phase, "created": r.created, "started": r.started,
            "ended": r.ended, "progress": r.counts(), "owner": r.owner,
        }
        for r in rows
    ]  # fmt: skip
    lines = [(r.id, r.phase, r.workflow, r.name or "", moment(r.created), progress_text(r.counts()), r.owner) for r in rows]
    text = table(lines, ("run", "phase", "workflow", "name", "created (UTC)", "progress", "owner")) if lines else "no runs"
    if following:
        text += f"\nmore: --cursor {following}"
    answer.give({"runs": data, "next": following}, text)


def _time(text: str | None) -> str | None:
    if text is None:
        return None
    from datetime import UTC, datetime

    try:
        moment_ = datetime.fromisoformat(text)
        if moment_.tzinfo is None:
            moment_ = moment_.replace(tzinfo=UTC)
        return moment_.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise UsageError(
            "the command line is not valid", [Problem("--since", f"{text!r} is no time", "write 2026-11-21 or 2026-11-21T10:00:00Z")]
        ) from None


def status_data(run: Run) -> dict[str, Any]:
    """What `status --json` says."""
    state, record = run.observe(), run.record()
    return {
        "run": run.id, "name": record.name, "workflow": record.workflow, "version": record.version, "engine": record.engine,
        "backend": record.backend, "phase": state.phase, "reason": state.reason, "progress": state.progress, "steps": state.steps,
        "failures": state.failures, "failures_more": state.failures_more, "exit_code": state.exit_code, "created": record.created,
        "started": state.started, "ended": state.ended, "warnings": state.warnings, "dir": str(run.dir),
    }  # fmt: skip


@click.command("status", cls=Verb, examples=["esap-wf status 3f2a", "esap-wf status my-irf --json"])
@click.argument("run")
@click.pass_obj
def status(answer: Answer, run: str) -> None:
    """Show phase, progress by step, failures with their logs. RUN is an id, its beginning, or a name."""
    found = find_run(answer.config(), run)
    if answer.as_json:
        answer.give(status_data(found), "")
    else:
        answer.give({}, status_text(found, found.observe()))


@click.command("results", cls=Verb, examples=["esap-wf results 3f2a", "esap-wf results 3f2a --copy-to ./irf"])
@click.argument("run")
@click.option("--copy-to", metavar="DIR", help="Copy the results into this folder.")
@click.pass_obj
def results(answer: Answer, run: str, copy_to: str | None) -> None:
    """Show the accepted outputs with size and checksum, or copy them."""
    found = find_run(answer.config(), run)
    outputs = found.outputs()
    if outputs is None:
        state = found.observe()
        raise RefusedError(
            f"run {found.id} has no accepted results", [Problem(found.id, f"it is {state.phase}", f"esap-wf status {found.id}")]
        )
    from esap_wf.delivery import altered, copy_outputs

    if copy_to:
        copy_outputs(found, Path(copy_to))
        answer.say(f"{len(outputs.outputs)} files copied to {copy_to}")
    else:
        for problem in altered(found):
            answer.say(f"warning: {problem}")
    rows = [(o.name, o.bytes, o.sha256[:12], str(found.dir / o.path)) for o in outputs.outputs]
    answer.give(
        {"outputs": outputs.outputs, "warnings": outputs.warnings, "run": found.id, "dir": str(found.dir)},
        table(rows, ("name", "bytes", "sha256", "path")),
    )


@click.command("diff", cls=Verb, examples=["esap-wf diff 3f2a 9c01"])
@click.argument("run")
@click.argument("other")
@click.pass_obj
def diff(answer: Answer, run: str, other: str) -> None:
    """Say in what two runs differ: request, code, software, outputs."""
    from esap_wf.comparison import compare

    config = answer.config()
    one, two = find_run(config, run), find_run(config, other)
    rows = compare(one, two)
    data = [{"what": what, "first": a, "second": b} for what, a, b in rows]
    answer.give({"runs": [one.id, two.id], "differences": data}, table(rows, ("what", one.id, two.id)) if rows else "no difference")
