"""The verbs validate, plan and run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf import files, flow
from esap_wf.catalogue import workflows
from esap_wf.catalogue.manifests import is_path
from esap_wf.catalogue.workflow import Workflow
from esap_wf.cli.output import Answer, completes, echo
from esap_wf.cli.parameters import WorkflowVerb, engine_options, given, words_of, workflow_of
from esap_wf.cli.planned import plan_screen, plan_text, start_line
from esap_wf.cli.text import duplicate_text, report_of, run_line
from esap_wf.cli.times import age
from esap_wf.config import Config
from esap_wf.errors import ExitCode, Problem, RefusedError, UsageError
from esap_wf.flow import IfExists
from esap_wf.formats import documents, schemas
from esap_wf.formats.printing import one_line
from esap_wf.models.plan import Plan
from esap_wf.models.request import Request, absolute
from esap_wf.models.run import Phase, State, encode
from esap_wf.planning import duplicates, making, saved
from esap_wf.request import parameters
from esap_wf.request.assembly import Asked, Assembled, assemble
from esap_wf.request.parameter_files import ParameterFile, read_parameter_file
from esap_wf.runs.store import Run

_ASKED, _DEFAULTS = "esap_wf.asked", "esap_wf.defaults"

_COMMON: list[Callable[[Any], Any]] = [
    click.argument("workflow", required=False, shell_complete=completes("workflow")),
    click.option(
        "--params",
        metavar="FILE",
        shell_complete=completes("file"),
        help="A YAML or JSON file: parameters, or a whole request.",
    ),
    click.option(
        "--param",
        "param",
        metavar="NAME=VALUE",
        multiple=True,
        shell_complete=completes("parameter"),
        help="A parameter that has the same name as an option; may be given several times.",
    ),
    click.option(
        "--input",
        "input_",
        metavar="NAME=REF",
        multiple=True,
        shell_complete=completes("input_"),
        help="An input: a path or a file:// URL. Each input also has a flag of its own.",
    ),
    click.option(
        "--backend", metavar="NAME", shell_complete=completes("backend"), help="The backend to run on."
    ),
    click.option(
        "--engine",
        metavar="NAME",
        shell_complete=completes("engine"),
        help="The engine, if the workflow has several.",
    ),
    click.option(
        "--size",
        metavar="SIZE",
        shell_complete=completes("size"),
        help="A size of the workflow, such as small or large.",
    ),
    click.option("--cores", type=click.IntRange(1), metavar="N", help="Number of cores; overrides the size."),
    click.option("--memory", metavar="BYTES", help='Memory, such as "4 GB"; overrides the size.'),
    click.option("--wall", metavar="TIME", help='Time limit, such as "2 h"; overrides the size.'),
    click.option(
        "--software",
        metavar="ROUTE",
        shell_complete=completes("software"),
        help="How the steps get their software: installed, python, container or mounted.",
    ),
    click.option("--name", metavar="NAME", help="A name for the run."),
    click.option(
        "--tag", metavar="TAG", multiple=True, help="A tag to find the run by; may be given several times."
    ),
    click.option(
        "--results",
        metavar="FOLDER",
        shell_complete=completes("folder"),
        help="A folder to copy the results to.",
    ),
]


def _common(command: Any) -> Any:
    for decorate in reversed(_COMMON):
        command = decorate(command)
    return command


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(
                "the command line is not valid", [Problem(option, f"{text!r} is not of the form NAME=VALUE")]
            )
        found.setdefault(name, []).append(value)
    return found


def _workflow_in(config: Config, path: Path, file: ParameterFile | None) -> Workflow:
    """The workflow that the request in a file names, where the command line names none."""
    name = file.request.workflow if file else ""
    if not name:
        raise UsageError(
            "no workflow was named", [Problem("WORKFLOW", "is missing", "esap-wf workflows lists them all")]
        )
    return workflows.find(config, absolute(name, path.parent) if is_path(name) else name)


def _fields(values: dict[str, Any], request: Request) -> dict[str, Any]:
    """Fields of the request that options set."""
    fields: dict[str, Any] = {
        k: values[k]
        for k in ("backend", "engine", "size", "software", "name", "results")
        if values[k] is not None
    }
    if resources := {k: values[k] for k in ("cores", "memory", "wall") if values[k] is not None}:
        fields["resources"] = msgspec.structs.replace(request.resources, **resources)
    if values["tag"]:
        fields["tags"] = [*request.tags, *values["tag"]]
    return fields


class _Labels(documents.Document):
    """Name and tags that were given as flags: what is wrong with one is said of the flag."""

    def where(self, pointer: documents.Pointer = ()) -> str:
        return {"name": "--name", "tags": "--tag"}.get(str(next(iter(pointer), "")), self.source)


def _problems_of_labels(fields: dict[str, Any]) -> list[Problem]:
    labels = {name: fields[name] for name in ("name", "tags") if name in fields}
    document = _Labels({"workflow": "x", **labels}, "command line")
    return schemas.convert_parts(document, Request, "request", {"workflow": "x"})[1]


def _asked(ctx: click.Context, config: Config, values: dict[str, Any]) -> tuple[Asked, Workflow]:
    """What the command line and its file ask for, and of which workflow."""
    workflow = workflow_of(ctx)
    file, path = None, Path(values["params"] or ".")
    if values["params"]:
        file = read_parameter_file(path, workflow, values["workflow"] or "")
    if workflow is None:
        workflow = _workflow_in(config, path, file)
    elif file and file.request.workflow and file.request.workflow != values["workflow"]:
        where = file.document.where(["workflow"])
        raise UsageError(
            "the request is for another workflow",
            [Problem(where, f"{file.request.workflow}, not {values['workflow']}")],
        )
    request = file.request if file else Request(workflow="")
    named = _pairs(values["param"], "--param")
    flags = {**given(ctx, values), **named}
    fields = _fields(values, request)
    if engine_options(ctx):
        fields["engine_options"] = engine_options(ctx)
    asked = Asked(
        request=request,
        folder=path.parent,
        document=file.document if file else None,
        pointer=file.pointer if file else (),
        flags={name: (v,) if isinstance(v, str) else tuple(v) for name, v in flags.items()},
        named=named,
        inputs=values["input_"],
        fields=fields,
        problems=[*(file.problems if file else ()), *_problems_of_labels(fields)],
    )
    return asked, workflow


def _assembled(ctx: click.Context, config: Config, values: dict[str, Any]) -> Assembled:
    """The request of the command line, its file and prompts, checked."""
    answer = ctx.ensure_object(Answer)
    asked, workflow = _asked(ctx, config, values)
    ctx.meta[_DEFAULTS] = (
        parameters.defaults(workflow),
        {n: p["unit"] for n, p in workflow.properties.items() if "unit" in p},
    )

    def prompted(missing: list[str]) -> dict[str, tuple[str, ...]]:
        replies = _prompted(workflow, missing, answer)
        ctx.meta[_ASKED] = replies
        return {name: (text,) for name, text in replies.items()}

    assembled = assemble(asked, workflow, config, prompted)
    for warning in assembled.warnings:
        answer.say(f"warning: {warning}")
    return assembled


def _prompted(workflow: Workflow, missing: list[str], answer: Answer) -> dict[str, str]:
    """Ask for what is missing, on a terminal only."""
    if answer.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return {}
    replies: dict[str, str] = {}
    for name in missing:
        prop = workflow.properties[name]
        unit = f" [{prop['unit']}]" if "unit" in prop else ""
        choices = f" ({', '.join(map(str, prop['enum']))})" if "enum" in prop else ""
        replies[name] = str(click.prompt(one_line(f"{prop.get('title', name)}{unit}{choices}"), err=True))
    return replies


@click.command(
    "validate",
    cls=WorkflowVerb,
    examples=["esap-wf validate irf --zenith '20 deg'", "esap-wf validate irf --params params.yaml --json"],
)
@_common
@click.pass_context
def validate(ctx: click.Context, /, **values: Any) -> int:
    """Check parameters, inputs and consistency rules, and list every problem at once. Nothing is started."""
    answer = ctx.ensure_object(Answer)
    try:
        assembled = _assembled(ctx, answer.config(), values)
        problems, name = assembled.problems, assembled.request.workflow
        for warning in assembled.valid.warnings:
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
    assembled = _assembled(ctx, config, values)
    assembled.confirm_valid()
    return making.make(assembled.request, config, assembled.valid), config


@click.command(
    "plan",
    cls=WorkflowVerb,
    examples=[
        "esap-wf plan irf --zenith '20 deg'",
        "esap-wf plan irf -o plan.json && esap-wf run --plan plan.json",
    ],
)
@_common
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
@click.pass_context
def plan(ctx: click.Context, /, output: str | None, verbose: bool, **values: Any) -> int:
    """
    Say what would run, where, for how long, at what cost, and whether it was run before. Nothing is started.
    """
    answer = ctx.ensure_object(Answer)
    made, config = _planned(ctx, values)
    made = msgspec.structs.replace(made, duplicates=duplicates.find(made, config))
    if output:
        files.write_atomic(Path(output).absolute(), encode(made))
        answer.say(f"plan saved: {start_line((), saved=output)}")
    data = {
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
        "warnings": made.warnings,
    }
    line = start_line(words_of(ctx), answer.store, ctx.meta.get(_ASKED), output)
    data["start"] = line
    shown = plan_text(made) if verbose else plan_screen(made, *ctx.meta.get(_DEFAULTS, ({}, {})))
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
@_common
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
        if engine_options(ctx) or any(v not in (None, ()) for v in values.values()):
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
    for note in started.notes:
        answer.say(note)
    state, code = followed(answer, started, detach, own=not started.attached or started.resumed)
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
