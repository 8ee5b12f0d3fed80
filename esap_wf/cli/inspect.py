"""The verbs list, status, results and diff. Light: no validator, no schema, no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esap_wf.cli.listing import list_text
from esap_wf.cli.output import Answer, Verb, columns, completes, table
from esap_wf.cli.text import earlier_plans, in_force, pieces_of, report_of, results_text, status_text
from esap_wf.cli.times import seconds_of
from esap_wf.errors import Problem, RefusedError
from esap_wf.formats.quantities import human_count
from esap_wf.runs import requests
from esap_wf.runs.lookup import find_run, listed, moment_of, opened
from esap_wf.runs.pieces import Pieces, second_executions
from esap_wf.runs.store import Run


@click.command(
    "list",
    cls=Verb,
    examples=[
        "esap-wf list",
        "esap-wf list --phase ERROR --workflow irf",
        "esap-wf list --since 2026-11-01 --json",
    ],
)
@click.option(
    "--phase",
    metavar="PHASE",
    shell_complete=completes("phase"),
    help="Only runs in this phase (PENDING, EXECUTING, COMPLETED, ERROR, UNKNOWN …).",
)
@click.option(
    "--workflow", metavar="NAME", shell_complete=completes("workflow"), help="Only runs of this workflow."
)
@click.option("--tag", metavar="TAG", shell_complete=completes("tag"), help="Only runs with this tag.")
@click.option("--name", metavar="NAME", help="Only runs whose name contains this text.")
@click.option("--owner", metavar="USER", help="Only runs of this user.")
@click.option(
    "--since",
    metavar="TIME",
    help="Only runs created at this time or later (RFC 3339, UTC; a date is enough).",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    metavar="N",
    help="Number of runs per page.",
)
@click.option("--cursor", metavar="CURSOR", help="Where to begin: `next` from the previous page.")
@click.pass_obj
def list_(
    answer: Answer,
    /,
    phase: str | None,
    workflow: str | None,
    tag: str | None,
    name: str | None,
    owner: str | None,
    since: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """List runs, newest first. A wide terminal also shows failures, owner and start."""
    config = answer.config()
    store = opened(config)
    if store is None:
        answer.give({"runs": [], "next": None}, f"no runs yet in {config.store}: esap-wf run hello")
        return
    rows, following = listed(
        store,
        config,
        phase=phase,
        workflow=workflow,
        tag=tag,
        name=name,
        owner=owner,
        since=moment_of(since, "--since"),
        limit=limit,
        cursor=cursor,
    )
    data = [
        {
            "run": r.id,
            "name": r.name,
            "workflow": r.workflow,
            "phase": r.phase,
            "created": r.created,
            "started": r.started,
            "ended": r.ended,
            "progress": r.counts(),
            "owner": r.owner,
            "seconds": seconds_of(r.started, r.ended),
        }
        for r in rows
    ]
    filtered = any((phase, workflow, tag, name, owner, since))
    text = (
        list_text(rows, columns())
        if rows
        else "no such runs; esap-wf list shows all of them"
        if filtered
        else "no runs yet: esap-wf run hello"
    )
    if following:
        answer.say(f"more: --cursor {following}")
    answer.give({"runs": data, "next": following}, text)


def status_data(run: Run) -> dict[str, Any]:
    """What `status --json` says."""
    state, record, plan = run.observe(), run.record(), in_force(run)
    further = requests.read_further(run.dir)
    names = [*requests.names(record, further)]
    return {
        "run": run.id,
        "name": next(iter(names), None),
        "names": names,
        "tags": requests.tags(record, further),
        "workflow": record.workflow,
        "version": record.version,
        "engine": plan.engine.name or record.engine,
        "engine_version": plan.engine.version,
        "backend": plan.backend or record.backend,
        "allocation": plan.allocation,
        "earlier_plans": earlier_plans(run),
        "phase": state.phase,
        "reason": state.reason,
        "waiting": state.waiting,
        "progress": state.progress,
        "pieces": pieces_of(run, state),
        "steps": state.steps,
        "failures": state.failures,
        "failures_more": state.failures_more,
        "exit_code": state.exit_code,
        "created": record.created,
        "started": state.started,
        "ended": state.ended,
        "warnings": state.warnings,
        "second_executions": second_executions(Pieces(run.dir, run.store)),
        "dir": str(run.dir),
        "seconds": seconds_of(state.started, state.ended),
        "report": str(page) if (page := report_of(run)) else None,
    }


@click.command("status", cls=Verb, examples=["esap-wf status 3f2a", "esap-wf status my-irf --json"])
@click.argument("run", shell_complete=completes("run"))
@click.pass_obj
def status(answer: Answer, run: str) -> None:
    """
    Show the phase, the progress by step, and failures with their logs. RUN is an id, its first characters, or
    a name.
    """
    found = find_run(answer.config(), run, answer.say)
    if answer.as_json:
        answer.give(status_data(found), "")
    else:
        answer.give({}, status_text(found, found.observe()))


@click.command("results", cls=Verb, examples=["esap-wf results 3f2a", "esap-wf results 3f2a --copy-to ./irf"])
@click.argument("run", shell_complete=completes("run_with_results"))
@click.option(
    "--copy-to", metavar="DIR", shell_complete=completes("folder"), help="Copy the results into this folder."
)
@click.pass_obj
def results(answer: Answer, run: str, copy_to: str | None) -> None:
    """Show the accepted outputs with sizes and checksums, or copy them."""
    found = find_run(answer.config(), run, answer.say)
    outputs = found.outputs()
    if outputs is None:
        state = found.observe()
        raise RefusedError(
            f"run {found.id} has no accepted results",
            [Problem(found.id, f"it is {state.phase}", f"esap-wf status {found.id}")],
        )
    from esap_wf.running.delivery import altered, copy_outputs

    if copy_to:
        answer.say(f"{human_count(copy_outputs(found, Path(copy_to)), 'file')} copied to {copy_to}")
    else:
        for problem in altered(found):
            answer.say(f"warning: {problem}")
    data: dict[str, Any] = {
        "outputs": outputs.outputs,
        "values": outputs.values,
        "warnings": outputs.warnings,
        "run": found.id,
        "dir": str(found.dir),
    }
    data["report"] = str(page) if (page := report_of(found)) else None
    answer.give(data, results_text(found, outputs))


@click.command("diff", cls=Verb, examples=["esap-wf diff 3f2a 9c01"])
@click.argument("run", shell_complete=completes("run"))
@click.argument("other", shell_complete=completes("run"))
@click.pass_obj
def diff(answer: Answer, run: str, other: str) -> None:
    """Show how two runs differ: request, code, software, outputs."""
    from esap_wf.planning.comparison import compare

    config = answer.config()
    one, two = find_run(config, run, answer.say), find_run(config, other, answer.say)
    rows = compare(one, two)
    data = [{"what": what, "first": a, "second": b} for what, a, b in rows]
    answer.give(
        {"runs": [one.id, two.id], "differences": data},
        table(rows, ("what", one.id, two.id)) if rows else "no difference",
    )
