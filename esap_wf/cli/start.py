"""The verbs validate, plan and run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf import files, flow
from esap_wf.catalogue import discovery
from esap_wf.cli.output import Answer, completes, echo
from esap_wf.cli.parameters import WorkflowVerb, engine_options, given, words_of, workflow_of
from esap_wf.cli.planned import plan_screen, plan_text, start_line
from esap_wf.cli.text import duplicate_text, report_of, run_line
from esap_wf.cli.times import age
from esap_wf.config import Config
from esap_wf.errors import ExitCode, Problem, RefusedError, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.printing import one_line
from esap_wf.models.plan import Plan
from esap_wf.models.request import REQUEST_VERSION, Request, absolute, located
from esap_wf.models.run import Phase, State, encode
from esap_wf.planning import duplicates, making, saved
from esap_wf.request import given as sorting
from esap_wf.request import parameters
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
        metavar="PLACE",
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


@dataclass
class _File:
    """What ``--params`` gives: a whole request, or the values alone."""

    request: Request
    document: documents.Document | None = None
    pointer: tuple[str, ...] = ()
    misfits: list[Problem] = field(default_factory=list)


def _of_file(values: dict[str, Any], workflow: Any) -> _File:
    request = Request(workflow=values["workflow"] or "")
    if not values["params"]:
        return _File(request)
    document = documents.load(
        Path(values["params"]), exact=workflow is not None and workflow.takes_job_orders
    )
    if document.data is None:
        return _File(request, document)
    if not isinstance(document.data, dict):
        raise UsageError(
            "the parameter file is not valid",
            [Problem(document.where(), "a mapping of names to values is expected")],
        )
    if not _is_request(document.data, workflow):
        return _File(
            msgspec.structs.replace(request, parameters=document.data, literals=document.written), document
        )
    data = {"workflow": values["workflow"] or "", **document.data}
    written = documents.Document(data, document.source, document.text)
    request, misfits = schemas.convert_parts(written, Request, "request", {"workflow": data["workflow"]})
    if request.schema_version > REQUEST_VERSION:
        what = f"it has version {request.schema_version}; this esap-wf reads versions up to {REQUEST_VERSION}"
        raise UsageError(
            "the request is newer than this esap-wf",
            [Problem(document.where(["schema_version"]), what, "upgrade esap-wf")],
        )
    return _File(request, document, ("parameters",), misfits)


def _meant(config: Config, values: dict[str, Any], file: _File) -> Any:
    """The workflow that the request in a file names, where the command line names none."""
    name = file.request.workflow
    if not name:
        raise UsageError(
            "no workflow was named", [Problem("WORKFLOW", "is missing", "esap-wf workflows lists them all")]
        )
    from esap_wf.catalogue import workflows

    if file.document and workflows.is_path(name):
        name = absolute(name, Path(values["params"]).parent)
    return discovery.find(config, name)


def _changes(request: Request, values: dict[str, Any]) -> dict[str, Any]:
    """Fields of the request that options say otherwise."""
    changes: dict[str, Any] = {
        k: values[k]
        for k in ("backend", "engine", "size", "software", "name", "results")
        if values[k] is not None
    }
    if resources := {k: values[k] for k in ("cores", "memory", "wall") if values[k] is not None}:
        changes["resources"] = msgspec.structs.replace(request.resources, **resources)
    if values["tag"]:
        changes["tags"] = [*request.tags, *values["tag"]]
    return changes


def _request(
    ctx: click.Context, config: Config, values: dict[str, Any]
) -> tuple[Request, making.Validated, list[Problem]]:
    """The request that file, flags and prompts say, validated."""
    workflow = workflow_of(ctx)
    file = _of_file(values, workflow)
    request, document = file.request, file.document
    if workflow is None:
        workflow = _meant(config, values, file)
    elif document and request.workflow and values["workflow"] and request.workflow != values["workflow"]:
        raise UsageError(
            "the request is for another workflow",
            [Problem(document.where(["workflow"]), f"{request.workflow}, not {values['workflow']}")],
        )
    if document:
        folder = Path(values["params"]).parent
        request = located(
            sorting.sorted_out(workflow, located(request, folder), document, file.pointer), folder
        )
    changes = _changes(request, values)
    named = _pairs(values["param"], "--param")
    flags = {**given(ctx, values), **{k: tuple(v) for k, v in named.items()}}
    flags = {k: v if isinstance(v, tuple) else (v,) for k, v in flags.items()}
    flags, own_inputs, place = sorting.flags(workflow, flags)
    if values["input_"] or own_inputs:
        pairs = sorting.input_pairs(workflow, values["input_"])
        both = {n: [*own_inputs.get(n, []), *pairs.get(n, [])] for n in (*own_inputs, *pairs)}
        changes["inputs"] = {**request.inputs, **both}
    request = sorting.without(request, {*flags, *changes.get("inputs", ())})
    if place is not None:
        if values["results"] not in (None, place):
            what = f"{values['results']}, but the pipeline's own flag says {place}"
            raise UsageError("the request is not valid", [Problem("--results", what)])
        changes["results"] = place
    for given_values, folder in ((request.parameters, Path(values["params"] or ".").parent), (flags, Path())):
        for warning in sorting.mistaken_paths(workflow, given_values, folder):
            ctx.ensure_object(Answer).say(f"warning: {warning}")
    if engine_options(ctx):
        changes["engine_options"] = engine_options(ctx)
    changes["workflow"] = discovery.reference_of(workflow)
    request = located(msgspec.structs.replace(request, **changes), Path())
    labels = _Flags(
        msgspec.to_builtins({"workflow": "x", "name": request.name, "tags": request.tags}), "command line"
    )
    misfits = [*file.misfits, *schemas.convert_parts(labels, Request, "request", {"workflow": "x"})[1]]
    asked = _prompted(workflow, {**request.parameters, **flags}, ctx.ensure_object(Answer))
    ctx.meta[_ASKED] = {name: texts[0] for name, texts in asked.items()}
    ctx.meta[_DEFAULTS] = (
        parameters.defaults(workflow),
        {n: p["unit"] for n, p in workflow.properties.items() if "unit" in p},
    )
    flags |= asked
    valid, problems = making.validate(request, config, flags, document, file.pointer, workflow, named)
    return request, valid, [*misfits, *problems]


class _Flags(documents.Document):
    """Members of a request that were given as flags: what is wrong with one is said of the flag."""

    def where(self, pointer: documents.Pointer = ()) -> str:
        return {"name": "--name", "tags": "--tag"}.get(str(next(iter(pointer), "")), self.source)


def _is_request(data: dict[str, Any], workflow: Any) -> bool:
    """
    Whether a file is a whole request, not the values alone; a pipeline may have parameters of these names
    itself.
    """
    own = (
        {*workflow.properties, *workflow.manifest.inputs}
        if workflow is not None and workflow.own_names
        else set()
    )
    return bool({"parameters", "workflow"} & set(data) - own)


def _prompted(workflow: Any, have: dict[str, Any], answer: Answer) -> dict[str, tuple[str, ...]]:
    """Ask for what is missing, on a terminal only."""
    asked: dict[str, tuple[str, ...]] = {}
    if answer.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return asked
    for name in parameters.missing(workflow, have):
        prop = workflow.properties[name]
        unit = f" [{prop['unit']}]" if "unit" in prop else ""
        choices = f" ({', '.join(map(str, prop['enum']))})" if "enum" in prop else ""
        asked[name] = (str(click.prompt(one_line(f"{prop.get('title', name)}{unit}{choices}"), err=True)),)
    return asked


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
        request, valid, problems = _request(ctx, answer.config(), values)
        for warning in valid.warnings:
            answer.say(f"warning: {warning}")
    except UsageError as error:
        if not error.problems:
            raise
        problems, request = error.problems, None
    data = {"valid": not problems, "problems": problems}
    if answer.as_json:
        answer.give(data, "")
    elif problems:
        raise UsageError("the request is not valid", problems)
    else:
        answer.give(data, f"valid: {request.workflow if request else ''}")
    return ExitCode.USAGE if problems else ExitCode.DONE


def _planned(ctx: click.Context, values: dict[str, Any]) -> tuple[Plan, Config]:
    config = ctx.ensure_object(Answer).config()
    request, valid, problems = _request(ctx, config, values)
    if problems:
        raise UsageError("the request is not valid", problems)
    return making.make(request, config, valid), config


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
    type=click.Choice([flow.REUSE, flow.ASK, flow.RERUN]),
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
        made = saved.saved(Path(plan_file))
        saved.confirm_fresh(made, config)
    else:
        made, config = _planned(ctx, values)
    if made.request.results:
        from esap_wf.running.delivery import confirm_writable

        confirm_writable(Path(made.request.results))
    for warning in made.warnings:
        answer.say(f"warning: {warning}")
    for earlier in duplicates.find(made, config) if made.digest.science else []:
        if earlier.level == "science":
            answer.say(f"note: {duplicate_text(earlier)}")
    asked = if_exists or (
        flow.ASK if sys.stdin.isatty() and sys.stderr.isatty() and not answer.as_json else flow.REUSE
    )
    started = flow.start(
        made, config, {flow.REUSE: flow.always_reuse, flow.RERUN: flow.always_rerun}.get(asked, _ask)
    )
    return conclude(answer, started, detach)


def _ask(run: Run, state: State) -> str:
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
    return str(reply)


def conclude(answer: Answer, started: flow.Started, detach: bool) -> int:
    """Tell what became of a start, follow the run, and give the answer."""
    run, results = started.run, started.results
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
    if detach or started.reused:
        state = run.observe()
        code = ExitCode.DONE
    else:
        from esap_wf.cli.live import follow

        state, interrupted = follow(run, answer, own=not started.attached or started.resumed)
        code = (
            ExitCode.INTERRUPTED
            if interrupted
            else ExitCode.DONE
            if state.phase is Phase.COMPLETED
            else ExitCode.RUN_FAILED
        )
    if results and state.phase is Phase.COMPLETED:
        from esap_wf.running.delivery import copy_outputs

        copy_outputs(run, Path(results))
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
