"""The verbs validate, plan and run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf import discovery, documents, duplicates, files, flow, parameters, planning, plans, schemas
from esap_wf import given as sorting
from esap_wf.cli.output import Answer
from esap_wf.cli.parameters import WorkflowVerb, complete_workflow, engine_options, given, workflow_of
from esap_wf.cli.text import duplicate_text, plan_text, run_line
from esap_wf.config import Config
from esap_wf.errors import ExitCode, Problem, RefusedError, UsageError
from esap_wf.models.plan import Plan
from esap_wf.models.request import REQUEST_VERSION, Request, absolute, located
from esap_wf.models.run import Phase, State, encode
from esap_wf.runs.store import Run

_COMMON: list[Callable[[Any], Any]] = [
    click.argument("workflow", required=False, shell_complete=complete_workflow),
    click.option("--params", metavar="FILE", help="Parameters, or a whole request, as YAML or JSON."),
    click.option("--param", "param", metavar="NAME=VALUE", multiple=True, help="A parameter whose name collides with an option."),
    click.option("--input", "input_", metavar="NAME=REF", multiple=True, help="An input: a path or a file:// URL."),
    click.option("--backend", metavar="NAME", help="Where to run."),
    click.option("--engine", metavar="NAME", help="Engine, if the workflow has several."),
    click.option("--size", metavar="SIZE", help="small, medium, large: a size of the workflow."),
    click.option("--cores", type=click.IntRange(1), help="Cores, instead of the size's."),
    click.option("--memory", metavar="BYTES", help='Memory, such as "4 GB".'),
    click.option("--wall", metavar="TIME", help='Time limit, such as "2 h".'),
    click.option("--software", metavar="ROUTE", help="installed, python, container or mounted: only this route."),
    click.option("--name", metavar="NAME", help="Name of the run."),
    click.option("--tag", metavar="TAG", multiple=True, help="Tags, to find the run by."),
    click.option("--results", metavar="PLACE", help="Where the results are copied to."),
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
            raise UsageError("the command line is not valid", [Problem(option, f"{text!r} is not of the form NAME=VALUE")])
        found.setdefault(name, []).append(value)
    return found


def _request(ctx: click.Context, config: Config, values: dict[str, Any]) -> tuple[Request, planning.Validated, list[Problem]]:
    """The request that file, flags and prompts say, validated."""
    workflow = workflow_of(ctx)
    document: documents.Document | None = None
    pointer: tuple[str, ...] = ()
    request = Request(workflow=values["workflow"] or "")
    if values["params"]:
        document = documents.load(Path(values["params"]))
        if isinstance(document.data, dict) and _is_request(document.data, workflow):
            data = {"workflow": values["workflow"] or "", **document.data}
            request = schemas.convert(documents.Document(data, document.source, document.text), Request, "request")
            pointer = ("parameters",)
            if request.schema_version > REQUEST_VERSION:
                where, what = document.where(["schema_version"]), f"version {request.schema_version}, at most {REQUEST_VERSION} is known"
                raise UsageError("the request is newer than this esap-wf", [Problem(where, what, "upgrade esap-wf")])
        elif document.data is None:
            pass
        elif isinstance(document.data, dict):
            request = msgspec.structs.replace(request, parameters=document.data)
        else:
            raise UsageError("the parameter file is not valid", [Problem(document.where(), "a mapping of names to values is expected")])
    if workflow is None:
        if not request.workflow:
            raise UsageError("no workflow was named", [Problem("WORKFLOW", "is missing", "esap-wf workflows lists what there is")])
        from esap_wf import catalog

        name = request.workflow
        if document and catalog.is_path(name):
            name = absolute(name, Path(values["params"]).parent)
        workflow = discovery.find(config, name)
    elif document and request.workflow and values["workflow"] and request.workflow != values["workflow"]:
        raise UsageError(
            "the request is for another workflow", [Problem(document.where(["workflow"]), f"{request.workflow}, not {values['workflow']}")]
        )
    if document:
        request = located(sorting.sorted_out(workflow, request, document, pointer), Path(values["params"]).parent)
    resources = {k: values[k] for k in ("cores", "memory", "wall") if values[k] is not None}
    changes: dict[str, Any] = {k: values[k] for k in ("backend", "engine", "size", "software", "name", "results") if values[k] is not None}
    if resources:
        changes["resources"] = msgspec.structs.replace(request.resources, **resources)
    if values["tag"]:
        changes["tags"] = [*request.tags, *values["tag"]]
    named = _pairs(values["param"], "--param")
    flags = {**given(ctx, values), **{k: tuple(v) for k, v in named.items()}}
    flags = {k: v if isinstance(v, tuple) else (v,) for k, v in flags.items()}
    flags, own_inputs, place = sorting.flags(workflow, flags)
    if values["input_"] or own_inputs:
        changes["inputs"] = {**request.inputs, **own_inputs, **sorting.input_pairs(workflow, values["input_"])}
    if place is not None:
        if values["results"] not in (None, place):
            raise UsageError(
                "the request is not valid", [Problem("--results", f"{values['results']}, but the pipeline's own flag says {place}")]
            )
        changes["results"] = place
    said = ctx.ensure_object(Answer).say
    for warning in sorting.mistaken_paths(workflow, request.parameters, Path(values["params"] or ".").parent):
        said(f"warning: {warning}")
    for warning in sorting.mistaken_paths(workflow, flags, Path()):
        said(f"warning: {warning}")
    if engine_options(ctx):
        changes["engine_options"] = engine_options(ctx)
    changes["workflow"] = discovery.reference_of(workflow)
    request = located(msgspec.structs.replace(request, **changes), Path())
    labels = documents.Document(msgspec.to_builtins({"workflow": "x", "name": request.name, "tags": request.tags}), "command line")
    schemas.convert(labels, Request, "request")
    flags |= _prompted(workflow, {**request.parameters, **flags}, ctx.ensure_object(Answer))
    valid, problems = planning.validate(request, config, flags, document, pointer, workflow, named)
    return request, valid, problems


def _is_request(data: dict[str, Any], workflow: Any) -> bool:
    """Whether a file is a whole request, not the values alone; a pipeline may have parameters of these names itself."""
    own = {*workflow.properties, *workflow.manifest.inputs} if workflow is not None and workflow.own_names else set()
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
        asked[name] = (str(click.prompt(f"{prop.get('title', name)}{unit}{choices}", err=True)),)
    return asked


@click.command(
    "validate", cls=WorkflowVerb,
    examples=["esap-wf validate irf --zenith '20 deg'", "esap-wf validate irf --params params.yaml --json"],
)  # fmt: skip
@_common
@click.pass_context
def validate(ctx: click.Context, /, **values: Any) -> int:
    """Check parameters, inputs and consistency rules; every problem at once. Nothing is started."""
    answer = ctx.ensure_object(Answer)
    try:
        request, _, problems = _request(ctx, answer.config(), values)
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
    return planning.make(request, config, valid), config


@click.command(
    "plan", cls=WorkflowVerb,
    examples=["esap-wf plan irf --zenith '20 deg'", "esap-wf plan irf -o plan.json && esap-wf run --plan plan.json"],
)  # fmt: skip
@_common
@click.option("-o", "--output", metavar="FILE", help="Save the plan, to be run exactly as it is.")
@click.pass_context
def plan(ctx: click.Context, /, output: str | None, **values: Any) -> int:
    """Say exactly what would run: digest, units, cost, where it fits and why not elsewhere, earlier runs, command."""
    answer = ctx.ensure_object(Answer)
    made, config = _planned(ctx, values)
    made = msgspec.structs.replace(made, duplicates=duplicates.find(made, config))
    if output:
        files.write_atomic(Path(output).absolute(), encode(made))
        answer.say(f"plan saved: esap-wf run --plan {output}")
    data = {
        "plan": output, "digest": made.digest.identity, "science": made.digest.science, "units": made.units, "estimate": made.estimate,
        "offers": made.offers, "duplicates": [d.run for d in made.duplicates], "duplicate_details": made.duplicates,
        "command": made.command, "files": made.files, "expires": made.expires, "backend": made.backend, "engine": made.engine,
        "software": made.software, "allocation": made.allocation, "parameters": made.parameters, "selected": made.selected,
        "warnings": made.warnings,
    }  # fmt: skip
    answer.give(data, plan_text(made))
    return ExitCode.DONE


@click.command(
    "run", cls=WorkflowVerb,
    examples=[
        "esap-wf run hello", "esap-wf run irf --zenith '40 deg' --site South", "esap-wf run irf --params params.yaml --detach",
        "esap-wf run --plan plan.json", "esap-wf run noop --units 20 -- --keep-incomplete",
    ],
)  # fmt: skip
@_common
@click.option("--plan", "plan_file", metavar="FILE", help="Run exactly this saved plan; refused if it is stale.")
@click.option(
    "--if-exists",
    type=click.Choice([flow.REUSE, flow.ASK, flow.RERUN]),
    help="An identical run is there. [default: ask on a terminal, else reuse]",
)
@click.option("--detach", is_flag=True, help="Return at once; the run goes on.")
@click.pass_context
def run(ctx: click.Context, /, plan_file: str | None, if_exists: str | None, detach: bool, **values: Any) -> int:
    """Run a workflow and follow it. Ctrl-C asks for a clean stop, a second one stops at once; closing the terminal harms nothing."""
    answer = ctx.ensure_object(Answer)
    if plan_file:
        if engine_options(ctx) or any(v not in (None, ()) for v in values.values()):
            what = "takes no workflow, parameters, inputs or other choices beside it"
            raise UsageError("a saved plan is complete", [Problem("--plan", what, "make a new plan")])
        config = answer.config()
        made = plans.saved(Path(plan_file))
        plans.confirm_fresh(made, config)
    else:
        made, config = _planned(ctx, values)
    if made.request.results:
        from esap_wf.delivery import confirm_writable

        confirm_writable(Path(made.request.results))
    for warning in made.warnings:
        answer.say(f"warning: {warning}")
    for earlier in duplicates.find(made, config) if made.digest.science else []:
        if earlier.level == "science":
            answer.say(f"note: {duplicate_text(earlier)}")
    asked = if_exists or (flow.ASK if sys.stdin.isatty() and sys.stderr.isatty() and not answer.as_json else flow.REUSE)
    started = flow.start(made, config, {flow.REUSE: flow.always_reuse, flow.RERUN: flow.always_rerun}.get(asked, _ask))
    return conclude(answer, started, detach, made.request)


def _ask(run: Run, state: State) -> str:
    record = run.record()
    click.echo(f"An identical run is COMPLETED: {run.id} by {record.owner}, {record.created}", err=True)
    reply = click.prompt("Use its results, run again, or quit?", type=click.Choice(["reuse", "rerun", "quit"]), default="reuse", err=True)
    if reply == "quit":
        raise RefusedError("nothing was started")
    return str(reply)


def conclude(answer: Answer, started: flow.Started, detach: bool, request: Request | None = None) -> int:
    """Tell what became of a start, follow the run, and give the answer."""
    run, results = started.run, request.results if request else None
    for note in started.notes:
        answer.say(note)
    if started.reused:
        answer.say(f"an identical run is COMPLETED: {run.id}; its results are used (--if-exists rerun runs again)")
    elif started.resumed:
        answer.say(f"an identical run had not ended well: {run.id} is resumed (--if-exists rerun starts anew)")
    elif started.attached:
        answer.say(f"an identical run is at work: {run.id}; following it")
    else:
        answer.say(f"run {run.id} in {run.dir}")
    if request and (started.reused or started.attached):
        record = run.record()
        if (request.name and request.name != record.name) or set(request.tags) - set(record.tags):
            answer.say(f"it keeps its own name and tags: {', '.join([record.name or 'no name', *record.tags])}")
    if results and detach and started.attached and plans.saved(run.dir / "plan.json").request.results != results:
        answer.say(f"its results are not copied to {results} when it ends: esap-wf results {run.id} --copy-to {shlex.quote(results)}")
    if detach or started.reused:
        state = run.observe()
        code = ExitCode.DONE
    else:
        from esap_wf.cli.live import follow

        state, interrupted = follow(run, answer, own=not started.attached or started.resumed)
        code = ExitCode.INTERRUPTED if interrupted else ExitCode.DONE if state.phase is Phase.COMPLETED else ExitCode.RUN_FAILED
    if results and state.phase is Phase.COMPLETED:
        from esap_wf.delivery import copy_outputs

        copy_outputs(run, Path(results))
    data = {"run": run.id, "dir": str(run.dir), "phase": state.phase, "reused": started.reused or started.attached, "exit_code": int(code)}
    answer.give(data, run_line(run, state))
    return code
