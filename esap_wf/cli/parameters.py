"""Flags that come from a workflow's parameter schema. Imported by the verbs that start something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from esap_wf.cli.output import Answer, Verb
from esap_wf.errors import EsapError

_META = "esap_wf.workflow"
_ENGINE = "esap_wf.engine_options"


class WorkflowVerb(Verb):
    """
    A verb whose flags depend on the workflow that is named.

    What stands behind ``--`` goes to the engine; everything else must be known: a mistyped flag is an error.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the workflow first, then parse with its flags."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_ENGINE] = args[cut + 1 :]
            args = args[:cut]
        name = self._workflow(args, ctx)
        if name is not None:
            from esap_wf import discovery

            answer = ctx.ensure_object(Answer)
            try:
                ctx.meta[_META] = discovery.find(answer.config(), name)
            except EsapError:
                if not ctx.resilient_parsing:  # a shell that completes must not be answered with an error
                    raise
        return super().parse_args(ctx, args)

    def _workflow(self, args: Sequence[str], ctx: click.Context) -> str | None:
        """The first word that is no option and no option's value."""
        flags = {o: getattr(p, "is_flag", False) for p in self.params if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)}
        flags |= dict.fromkeys(("-h", "--help"), True)
        skip = False
        for arg in args:
            if skip:
                skip = False
            elif arg.startswith("-") and len(arg) > 1:
                skip = "=" not in arg and not flags.get(arg, False)
            else:
                return arg
        return None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The verb's own options and the workflow's."""
        own = super().get_params(ctx)
        workflow = ctx.meta.get(_META)
        if workflow is None:
            return own
        taken = {o for p in own for o in p.opts}
        return [*own, *options(workflow, taken)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The workflow's parameters by their groups, then the verb's options."""
        workflow = ctx.meta.get(_META)
        params = self.get_params(ctx)
        own = [r for p in params if isinstance(p, click.Option) and not isinstance(p, ParameterOption) and (r := p.get_help_record(ctx))]
        if workflow is not None:
            groups: dict[str, list[tuple[str, str]]] = {}
            shown = {p.parameter for p in params if isinstance(p, ParameterOption)}
            for param in params:
                if isinstance(param, ParameterOption) and (record := param.get_help_record(ctx)):
                    groups.setdefault(param.group, []).append(record)
            for name, prop in {**inputs_of(workflow), **workflow.properties}.items():
                if name not in shown and not (workflow.own_names and prop.get("hidden")):
                    how = f"--param {name}=VALUE" if name in workflow.properties else f"--input {name}=REF"
                    groups.setdefault(prop.get("group", "Parameters"), []).append((how, describe(prop, name)))
            for group, records in groups.items():
                with formatter.section(f"{group} of {workflow.manifest.name}"):
                    formatter.write_dl(records)
        with formatter.section("Options"):
            formatter.write_dl(own)


class ParameterOption(click.Option):
    """A flag of a workflow; its text is judged by the schema, with all other problems at once."""

    def __init__(self, name: str, prop: dict[str, Any], flags: Sequence[str], own: bool = False) -> None:
        kinds = prop.get("type", "string")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        self.parameter, self.group = name, str(prop.get("group", "Parameters"))
        choices = prop.get("enum")
        if {"integer", "number"} <= set(kinds):
            kinds = [k for k in kinds if k != "integer"]
        several = len([k for k in kinds if k != "null"]) > 1
        word = prop.get("unit") or (
            "value" if several else "path" if prop.get("path") else next((k for k in kinds if k != "null"), "value")
        )
        metavar = "|".join(str(c) for c in choices if c is not None) if choices else str(word).upper()
        extra: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if "boolean" in kinds else {}
        super().__init__(
            [*flags, f"parameter_{name.encode().hex()}"], type=str, metavar=metavar, multiple="array" in kinds,
            help=describe(prop, name), hidden=own and bool(prop.get("hidden")), **extra,
        )  # fmt: skip


def describe(prop: dict[str, Any], name: str = "") -> str:
    """Title (if it is more than the name), range, unit and default of a parameter in one line."""
    title = " ".join(str(prop.get("title", "")).split())
    parts = [title if title != name else ""]
    low, high = prop.get("minimum", prop.get("exclusiveMinimum")), prop.get("maximum", prop.get("exclusiveMaximum"))
    if low is not None or high is not None:
        parts.append(f"{'' if low is None else low}…{'' if high is None else high}{' ' + prop['unit'] if 'unit' in prop else ''}")
    text = ", ".join(p for p in parts if p)
    if prop.get("results"):
        return f"{text}  [made in {prop.get('default')}; a place is where they are copied]".strip()
    if prop.get("default") is not None:
        return f"{text}  [default: {prop['default']}]"
    theirs = prop.get("engine_default")
    return f"{text}  [the pipeline's default: {_clipped(theirs)}]".strip() if theirs not in (None, "") else text


def _clipped(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def inputs_of(workflow: Any) -> dict[str, dict[str, Any]]:
    """Inputs that have flags of their own: those of a pipeline that was not written for esap-wf."""
    if not workflow.own_names:
        return {}
    return {
        name: {
            "title": spec.title, "type": "array" if spec.many else "string", "path": True, "engine_default": spec.engine_default,
            "hidden": spec.hidden, "group": "Inputs",
        }
        for name, spec in workflow.manifest.inputs.items()
    }  # fmt: skip


def options(workflow: Any, taken: set[str]) -> list[ParameterOption]:
    """
    One option a parameter, and an input of a pipeline's own; none whose flags are `taken`.

    A pipeline's own names are flags as they are; a name with underscores may be written with dashes, if that is no other name.
    """
    from esap_wf.parameters import flag

    properties = {**inputs_of(workflow), **workflow.properties}
    own = workflow.own_names
    taken = {*taken, "--help", "-h"}
    literal = {flag(name, own) for name in properties}
    found = []
    for name, prop in properties.items():
        flags = [f for f in [flag(name, own)] if f not in taken]
        if own and flag(name) not in taken | literal:
            flags.append(flag(name))
        taken |= set(flags)
        if flags:
            found.append(ParameterOption(name, prop, flags, own))
    return found


def complete_workflow(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Names of workflows that begin so, for the completion of a shell."""
    from esap_wf import catalog

    try:
        return sorted({name for name, _, _ in catalog.entries(ctx.ensure_object(Answer).config()) if name.startswith(begun)})
    except EsapError:
        return []


def given(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The workflow's parameters among a command's values, as text."""
    return {
        bytes.fromhex(k.removeprefix("parameter_")).decode(): v
        for k, v in values.items()
        if k.startswith("parameter_") and ctx.get_parameter_source(k) is click.core.ParameterSource.COMMANDLINE
    }


def workflow_of(ctx: click.Context) -> Any:
    """The workflow that was named, read already; None if there was none."""
    return ctx.meta.get(_META)


def engine_options(ctx: click.Context) -> list[str]:
    """What stood behind ``--``."""
    found: list[str] = ctx.meta.get(_ENGINE, [])
    return found
