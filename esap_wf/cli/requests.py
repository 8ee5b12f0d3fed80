"""What the command line asks for, translated into a request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from esap_wf.catalogue import workflows
from esap_wf.catalogue.manifests import is_path
from esap_wf.catalogue.workflow import Workflow
from esap_wf.cli.output import Answer
from esap_wf.cli.parameters import engine_options, given, workflow_of
from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, schemas
from esap_wf.formats.printing import one_line
from esap_wf.models.basket import Basket
from esap_wf.models.request import Request, absolute
from esap_wf.request import parameters
from esap_wf.request.assembly import Asked, Assembled, assemble
from esap_wf.request.parameter_files import ParameterFile, read_parameter_file

#: Options that say how much a run may use.
_RESOURCES = ("cores", "nodes", "gpus", "slices", "shard_size", "memory", "wall")
_REPLIES, _WORKFLOW = "esap_wf.replies", "esap_wf.asked_for"


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
    resources = {k: values[k] for k in _RESOURCES if values[k] is not None}
    if resources:
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
        basket=_basket(config, values),
        partly=values["skip_bad_items"],
        problems=[*(file.problems if file else ()), *_problems_of_labels(fields)],
    )
    return asked, workflow


def _basket(config: Config, values: dict[str, Any]) -> Basket | None:
    if not values["basket"]:
        for option, key in (("--lake", "lake"), ("--skip-bad-items", "skip_bad_items")):
            if values[key]:
                problem = Problem(option, "is for a basket", "add --basket FILE")
                raise UsageError("the command line is not valid", [problem])
        return None
    from esap_wf.cli.basket import read

    return read(config, values["basket"], values["lake"] or "local")


def assembled(ctx: click.Context, config: Config, values: dict[str, Any]) -> Assembled:
    """The request of the command line, its file and prompts, checked; its warnings are printed."""
    answer = ctx.ensure_object(Answer)
    asked, workflow = _asked(ctx, config, values)
    ctx.meta[_WORKFLOW] = workflow

    def prompted(missing: list[str]) -> dict[str, tuple[str, ...]]:
        replies = _prompted(workflow, missing, answer)
        ctx.meta[_REPLIES] = replies
        return {name: (text,) for name, text in replies.items()}

    found = assemble(asked, workflow, config, prompted)
    for warning in found.warnings:
        answer.say(f"warning: {warning}")
    return found


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


def replies(ctx: click.Context) -> dict[str, str]:
    """Parameters that were asked for, with the answers."""
    found: dict[str, str] = ctx.meta.get(_REPLIES, {})
    return found


def defaults_and_units(ctx: click.Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Of the parameters of the workflow that was asked for."""
    workflow: Workflow = ctx.meta[_WORKFLOW]
    units = {n: p["unit"] for n, p in workflow.properties.items() if "unit" in p}
    return parameters.defaults(workflow), units
