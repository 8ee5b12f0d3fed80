"""The verbs cancel, resume, rerun and rm."""

from __future__ import annotations

import sys

import click

from esap_wf import flow, steering
from esap_wf.cli.output import Answer, Verb, completes
from esap_wf.cli.text import report_of, run_line
from esap_wf.cli.times import age
from esap_wf.errors import EsapError, Problem, RefusedError, UsageError
from esap_wf.models.run import Phase
from esap_wf.runs.lookup import find_run, find_runs
from esap_wf.runs.store import Run, Store


@click.command("cancel", cls=Verb, examples=["esap-wf cancel 3f2a", "esap-wf cancel 3f2a 9c01 --drain"])
@click.argument("runs", nargs=-1, required=True, shell_complete=completes("run_at_work"))
@click.option("--drain", is_flag=True, help="Let running jobs end first.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until the runs have stopped.",
)
@click.pass_obj
def cancel(answer: Answer, runs: tuple[str, ...], drain: bool, wait: float) -> None:
    """Stop runs. They can be resumed."""
    config = answer.config()
    found = {run.id: run for run in find_runs(config, runs, answer.say)}
    ended = steering.cancel(found.values(), drain, wait, answer.say)
    rows = [{"run": run.id, "phase": phase} for run, phase in ended]
    answer.give(
        {"runs": rows, "run": rows[0]["run"], "phase": rows[0]["phase"]},
        "\n".join(f"{r['run']} {r['phase']}" for r in rows),
    )


@click.command("resume", cls=Verb, examples=["esap-wf resume 3f2a", "esap-wf resume 3f2a --memory '8 GB'"])
@click.argument("run", shell_complete=completes("run_to_resume"))
@click.option("--cores", type=click.IntRange(1), metavar="N", help="Continue with this many cores.")
@click.option("--memory", metavar="BYTES", help='Continue with this much memory, such as "8 GB".')
@click.option("--wall", metavar="TIME", help='Continue with this time limit, such as "2 h".')
@click.option(
    "--software",
    metavar="ROUTE",
    shell_complete=completes("software"),
    help="Continue with software from another route.",
)
@click.option("--detach", is_flag=True, help="Return at once; the run goes on in the background.")
@click.pass_obj
def resume(answer: Answer, /, run: str, detach: bool, **changes: object) -> int:
    """Continue a run. Processes that it left behind are ended first; finished units are not repeated."""
    from esap_wf.cli.start import followed

    config = answer.config()
    found = find_run(config, run, answer.say)
    wanted = {name: value for name, value in changes.items() if value is not None}
    own = steering.resume(found, config, wanted, answer.say)
    if not own:
        answer.say("another command is resuming it at this moment; following it")
    state, code = followed(answer, flow.Started(found), detach, own)
    data: dict[str, object] = {
        "run": found.id,
        "dir": str(found.dir),
        "phase": state.phase,
        "exit_code": int(code),
    }
    data["report"] = str(page) if (page := report_of(found)) else None
    answer.give(data, run_line(found, state))
    return code


@click.command("rerun", cls=Verb, examples=["esap-wf rerun 3f2a", "esap-wf rerun 3f2a --set zenith='40 deg'"])
@click.argument("run", shell_complete=completes("run"))
@click.option(
    "--set",
    "changes",
    metavar="NAME=VALUE",
    multiple=True,
    shell_complete=completes("parameter_of_run"),
    help="A parameter to change; may be given several times.",
)
@click.option("--detach", is_flag=True, help="Return at once; the run goes on in the background.")
@click.pass_obj
def rerun(answer: Answer, run: str, changes: tuple[str, ...], detach: bool) -> int:
    """
    Start a new run like an earlier one, with the workflow's present code and, if you like, with other
    parameters.
    """
    from esap_wf.cli.start import conclude

    config = answer.config()
    found = find_run(config, run, answer.say)
    pairs = [text.partition("=") for text in changes]
    if wrong := [
        Problem("--set", f"{''.join(p)!r} is not of the form NAME=VALUE")
        for p in pairs
        if not p[1] or not p[0]
    ]:
        raise UsageError("the command line is not valid", wrong)
    flags = {name: value for name, _, value in pairs}
    started = steering.rerun(found, config, flags, warn=lambda warning: answer.say(f"warning: {warning}"))
    return conclude(answer, started, detach)


def _confirm(runs: list[Run], answer: Answer) -> None:
    """Ask before results are deleted; at the end of the input nothing is."""
    if not runs:
        return
    for run in runs:
        record = run.record()
        answer.say(
            f"{run.id}  {record.workflow}"
            + (f" ({record.name})" if record.name else "")
            + f", {age(record.created)}, has results"
        )
    if not click.confirm(
        "Delete the results too?" if len(runs) == 1 else f"Delete {len(runs)} runs and their results?",
        err=True,
    ):
        raise RefusedError("nothing was deleted")


@click.command("rm", cls=Verb, examples=["esap-wf rm 3f2a 9c01", "esap-wf rm --yes 3f2a"])
@click.argument("runs", nargs=-1, required=True, shell_complete=completes("run"))
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--unasked", is_flag=True, help="Also where it can't be asked whether jobs of a run still work."
)
@click.pass_obj
def rm(answer: Answer, runs: tuple[str, ...], yes: bool, unasked: bool) -> None:
    """
    Delete runs and their results; on a terminal you are asked first. Jobs that a run has left at a batch
    system are ended before. A tombstone and the record of productions remain.
    """
    config = answer.config()
    # a name of several is no guess of which to delete
    found = {run.id: run for run in find_runs(config, runs)}
    if not yes and not answer.as_json and sys.stdin.isatty() and sys.stderr.isatty():
        _confirm([run for run in found.values() if run.outputs() is not None], answer)
    store = Store.open(config.store)
    removed, problems = [], []

    def end_jobs(run: Run) -> None:
        if not unasked:
            steering.end_jobs(run, config, answer.say)

    for run in found.values():
        try:
            store.remove(run, answer.say, end_jobs)
            removed.append({"run": run.id, "phase": Phase.ARCHIVED})
        except EsapError as error:
            problems += error.problems or [Problem(run.id, error.message)]
    if problems:
        for row in removed:
            answer.say(f"{row['run']} deleted")
        raise RefusedError("some runs were not deleted", problems)
    answer.give(
        {"runs": removed, "run": removed[0]["run"], "phase": Phase.ARCHIVED},
        "\n".join(f"{r['run']} deleted" for r in removed),
    )
