"""The verbs validate, plan and run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf import files, flow
from esap_wf.catalogue import workflows
from esap_wf.cli.options import request_options
from esap_wf.cli.output import Answer, completes, echo
from esap_wf.cli.parameters import WorkflowVerb, engine_options, words_of
from esap_wf.cli.planned import plan_screen, plan_text, script_text, start_line
from esap_wf.cli.requests import assembled, defaults_and_units, replies
from esap_wf.cli.text import duplicate_text, report_of, run_line
from esap_wf.cli.times import age
from esap_wf.config import Config
from esap_wf.errors import ExitCode, Problem, RefusedError, UsageError
from esap_wf.flow import IfExists
from esap_wf.models.plan import Plan
from esap_wf.models.run import Phase, State, encode
from esap_wf.planning import duplicates, making, saved
from esap_wf.running import control
from esap_wf.runs.store import Run


@click.command(
    "validate",
    cls=WorkflowVerb,
    examples=["esap-wf validate irf --zenith '20 deg'", "esap-wf validate irf --params params.yaml --json"],
)
@request_options
@click.pass_context
def validate(ctx: click.Context, /, **values: Any) -> int:
    """Check parameters, inputs and consistency rules, and list every problem at once. Nothing is started."""
    answer = ctx.ensure_object(Answer)
    try:
        found = assembled(ctx, answer.config(), values)
        problems, name = found.problems, found.request.workflow
        for warning in found.valid.warnings:
            answer.say(f"warning: {warning}")
    except UsageError as error:
        if not error.problems:
            raise
        problems, name = error.problems, ""
    data = {"valid": not problems, "problems": problems}
    if answer.as_json:
        answer.give(data, "")
    elif problems:
        raise UsageError("the request is not valid", problems)
    else:
        answer.give(data, f"valid: {name}")
    return ExitCode.USAGE if problems else ExitCode.DONE


def _planned(ctx: click.Context, values: dict[str, Any]) -> tuple[Plan, Config]:
    config = ctx.ensure_object(Answer).config()
    found = assembled(ctx, config, values)
    found.confirm_valid()
    return making.make(found.request, config, found.valid), config


@click.command(
    "plan",
    cls=WorkflowVerb,
    examples=[
        "esap-wf plan irf --zenith '20 deg'",
        "esap-wf plan irf -o plan.json && esap-wf run --plan plan.json",
        "esap-wf plan noop --units 2 --print-script",
    ],
)
@request_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=completes("file"),
    help="Save the plan to a file, to be run later exactly as it is.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show everything: all parameters, digests, files, the engine's command.",
)
@click.option(
    "--print-script",
    is_flag=True,
    help="Print what the place would be given: the script of each kind of piece.",
)
@click.pass_context
def plan(ctx: click.Context, /, output: str | None, verbose: bool, print_script: bool, **values: Any) -> int:
    """
    Say what would run, where, for how long, at what cost, and whether it was run before. Nothing is started.
    """
    answer = ctx.ensure_object(Answer)
    made, config = _planned(ctx, values)
    made = msgspec.structs.replace(made, duplicates=duplicates.find(made, config))
    if output:
        files.write_atomic(Path(output).absolute(), encode(made))
        answer.say(f"plan saved: {start_line((), saved=output)}")
    data: dict[str, Any] = {
        "plan": output,
        "digest": made.digest.identity,
        "science": made.digest.science,
        "units": made.units,
        "estimate": made.estimate,
        "offers": made.offers,
        "duplicates": [d.run for d in made.duplicates],
        "duplicate_details": made.duplicates,
        "command": made.command,
        "files": made.files,
        "expires": made.expires,
        "backend": made.backend,
        "engine": made.engine,
        "software": made.software,
        "allocation": made.allocation,
        "parameters": made.parameters,
        "selected": made.selected,
        "volume": made.volume,
        "slicing": made.slicing,
        "warnings": made.warnings,
    }
    if print_script:
        from esap_wf.running.pieces import preview

        scripts = preview.scripts(made, workflows.of_plan(config, made), config.store)
        data["script"] = script_text(scripts)
        data["scripts"] = scripts
    line = start_line(words_of(ctx), answer.store, replies(ctx), output)
    data["start"] = line
    if print_script:
        answer.give(data, data["script"].rstrip("\n"))
        return ExitCode.DONE
    shown = plan_text(made) if verbose else plan_screen(made, *defaults_and_units(ctx))
    answer.give(data, f"{shown}\n\nstart it:  {line}" + ("" if verbose else "\ndetails:   add --verbose"))
    return ExitCode.DONE


@click.command(
    "run",
    cls=WorkflowVerb,
    examples=[
        "esap-wf run hello",
        "esap-wf run irf --zenith '40 deg' --site South",
        "esap-wf run irf --params params.yaml --detach",
        "esap-wf run --plan plan.json",
        "esap-wf run noop --units 20 -- --keep-incomplete",
    ],
)
@request_options
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    shell_complete=completes("file"),
    help="Run exactly this saved plan; refused if it is stale.",
)
@click.option(
    "--if-exists",
    type=click.Choice([choice.value for choice in IfExists]),
    help="What to do if an identical run exists. [default: ask on a terminal, otherwise reuse]",
)
@click.option("--detach", is_flag=True, help="Return at once; the run goes on in the background.")
@click.pass_context
def run(
    ctx: click.Context, /, plan_file: str | None, if_exists: str | None, detach: bool, **values: Any
) -> int:
    """
    Run a workflow and follow it. Ctrl-C asks for a clean stop, a second one stops at once; closing the
    terminal does no harm.
    """
    answer = ctx.ensure_object(Answer)
    if plan_file:
        if engine_options(ctx) or any(v not in (None, (), False) for v in values.values()):
            what = "it can't be combined with a workflow, parameters, inputs or other options"
            raise UsageError("a saved plan is complete", [Problem("--plan", what, "make a new plan")])
        config = answer.config()
        made = saved.read_plan(Path(plan_file))
        saved.confirm_fresh(made, config)
    else:
        made, config = _planned(ctx, values)
    for warning in made.warnings:
        answer.say(f"warning: {warning}")
    for earlier in duplicates.find(made, config) if made.digest.science else []:
        if earlier.level == "science":
            answer.say(f"note: {duplicate_text(earlier)}")
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty() and not answer.as_json
    policy = IfExists(if_exists) if if_exists else IfExists.ASK if on_terminal else IfExists.REUSE
    return conclude(answer, flow.start(made, config, policy, _ask), detach)


def _ask(run: Run) -> IfExists:
    record = run.record()
    echo(f"An identical run is COMPLETED: {run.id} by {record.owner}, {age(record.created)}", err=True)
    reply = click.prompt(
        "Use its results, run it again, or quit?",
        type=click.Choice(["reuse", "rerun", "quit"]),
        default="reuse",
        err=True,
    )
    if reply == "quit":
        raise RefusedError("nothing was started")
    return IfExists(reply)


def conclude(answer: Answer, started: flow.Started, detach: bool) -> int:
    """Tell what became of a start, follow the run, and give the answer."""
    run = started.run
    if started.reused:
        answer.say(
            f"an identical run is COMPLETED: {run.id}; its results are used\n(--if-exists rerun runs it "
            "again)"
        )
    elif started.resumed:
        answer.say(
            f"an identical run did not succeed: {run.id} is resumed\n(--if-exists rerun starts from the "
            "beginning)"
        )
    elif started.attached:
        answer.say(f"an identical run is already under way: {run.id}; following it")
    else:
        answer.say(f"run {run.id} in {run.dir}")
    own = not started.attached or started.resumed
    try:
        for note in started.notes:
            answer.say(note)
        state, code = followed(answer, started, detach, own)
    except KeyboardInterrupt:
        if own and not started.reused and not detach:  # nobody followed it yet, or nobody waits any longer
            control.ask_to_stop(run, drain=True)
        raise
    data = {
        "run": run.id,
        "dir": str(run.dir),
        "phase": state.phase,
        "reused": started.reused or started.attached,
        "exit_code": int(code),
    }
    data["report"] = str(page) if (page := report_of(run)) else None
    answer.give(data, run_line(run, state))
    return code


def followed(answer: Answer, started: flow.Started, detach: bool, own: bool) -> tuple[State, ExitCode]:
    """The last state of what was started, shown while it is waited for, and the exit code that follows."""
    interrupted = False

    def wait(run: Run) -> State:
        nonlocal interrupted
        from esap_wf.cli.live import follow

        state, interrupted = follow(run, answer, own)
        return state

    state = flow.conclude(started, detach, wait)
    if interrupted:
        return state, ExitCode.INTERRUPTED
    done = detach or started.reused or state.phase is Phase.COMPLETED
    return state, ExitCode.DONE if done else ExitCode.RUN_FAILED
