"""The verbs cancel, resume, rerun and rm."""

from __future__ import annotations

import time

import click

from esap_wf import flow
from esap_wf.cli.output import Answer, Verb
from esap_wf.cli.text import run_line
from esap_wf.errors import EsapError, ExitCode, Problem, RefusedError, UsageError
from esap_wf.lookup import find_run
from esap_wf.models.run import Phase
from esap_wf.runs.store import Run, Store


@click.command("cancel", cls=Verb, examples=["esap-wf cancel 3f2a", "esap-wf cancel 3f2a 9c01 --drain"])
@click.argument("runs", nargs=-1, required=True)
@click.option("--drain", is_flag=True, help="Let running jobs end first.")
@click.option("--wait", type=click.FloatRange(0), default=60.0, show_default=True, help="Seconds to wait until the runs have stopped.")
@click.pass_obj
def cancel(answer: Answer, runs: tuple[str, ...], drain: bool, wait: float) -> None:
    """Stop runs. They can be resumed."""
    config = answer.config()
    found = {run.id: run for run in (find_run(config, text) for text in runs)}
    problems, stopping = [], []
    for run in found.values():
        try:
            flow.cancel(run, drain, answer.say)
            stopping.append(run)
        except RefusedError as error:
            problems += [Problem(run.id, error.message)]
    until = time.monotonic() + wait
    rows = [{"run": run.id, "phase": _settled(run, until)} for run in stopping]
    if problems:
        raise RefusedError("some runs were not cancelled", problems)
    answer.give({"runs": rows, "run": rows[0]["run"], "phase": rows[0]["phase"]}, "\n".join(f"{r['run']} {r['phase']}" for r in rows))


def _settled(run: Run, until: float) -> Phase:
    """The phase a cancelled run comes to: a lost one gets a supervisor that ends it, so UNKNOWN is waited for too."""
    while True:
        state = flow.follow(run, until=until)
        if state.phase not in {Phase.UNKNOWN, Phase.HELD, Phase.SUSPENDED} or time.monotonic() >= until:
            return state.phase
        time.sleep(flow.LOOK)


@click.command("resume", cls=Verb, examples=["esap-wf resume 3f2a", "esap-wf resume 3f2a --detach"])
@click.argument("run")
@click.option("--detach", is_flag=True, help="Return at once.")
@click.pass_obj
def resume(answer: Answer, run: str, detach: bool) -> int:
    """Go on with a run. First every process that it left is accounted for; finished units are not repeated."""
    found = find_run(answer.config(), run)
    own = flow.resume(found, answer.say)
    if not own:
        answer.say("another command resumes it at this moment; following it")
    interrupted = False
    if detach:
        state = found.observe()
    else:
        from esap_wf.cli.live import follow

        state, interrupted = follow(found, answer, own)
    ended_badly = not detach and state.phase is not Phase.COMPLETED
    code = ExitCode.INTERRUPTED if interrupted else ExitCode.RUN_FAILED if ended_badly else ExitCode.DONE
    data = {"run": found.id, "dir": str(found.dir), "phase": state.phase, "exit_code": int(code)}
    answer.give(data, run_line(found, state))
    return code


@click.command("rerun", cls=Verb, examples=["esap-wf rerun 3f2a", "esap-wf rerun 3f2a --set zenith='40 deg'"])
@click.argument("run")
@click.option("--set", "changes", metavar="NAME=VALUE", multiple=True, help="A parameter to change.")
@click.option("--detach", is_flag=True, help="Return at once.")
@click.pass_obj
def rerun(answer: Answer, run: str, changes: tuple[str, ...], detach: bool) -> int:
    """Run again as a new run, with the workflow's present code and some parameters changed."""
    from esap_wf.cli.start import conclude

    config = answer.config()
    found = find_run(config, run)
    pairs = [text.partition("=") for text in changes]
    if wrong := [Problem("--set", f"{''.join(p)!r} is not of the form NAME=VALUE") for p in pairs if not p[1] or not p[0]]:
        raise UsageError("the command line is not valid", wrong)
    started = flow.rerun(found, config, {name: value for name, _, value in pairs})
    return conclude(answer, started, detach)


@click.command("rm", cls=Verb, examples=["esap-wf rm 3f2a 9c01"])
@click.argument("runs", nargs=-1, required=True)
@click.pass_obj
def rm(answer: Answer, runs: tuple[str, ...]) -> None:
    """Delete runs and their results. What remains is a tombstone and the record of productions."""
    config = answer.config()
    found = {run.id: run for run in (find_run(config, text) for text in runs)}
    store = Store.open(config.store)
    removed, problems = [], []
    for run in found.values():
        try:
            store.remove(run, answer.say)
            removed.append({"run": run.id, "phase": Phase.ARCHIVED})
        except EsapError as error:
            problems += error.problems or [Problem(run.id, error.message)]
    if problems:
        for row in removed:
            answer.say(f"{row['run']} deleted")
        raise RefusedError("some runs were not deleted", problems)
    answer.give({"runs": removed, "run": removed[0]["run"], "phase": Phase.ARCHIVED}, "\n".join(f"{r['run']} deleted" for r in removed))
