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
        return [*own, *(o for o in options(workflow.properties) if not taken & set(o.opts))]

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
            for name, prop in workflow.properties.items():
                if name not in shown:
                    groups.setdefault(prop.get("group", "Parameters"), []).append((f"--param {name}=VALUE", describe(prop)))
            for group, records in groups.items():
                with formatter.section(f"{group} of {workflow.manifest.name}"):
                    formatter.write_dl(records)
        with formatter.section("Options"):
            formatter.write_dl(own)


class ParameterOption(click.Option):
    """A flag of a workflow; its text is judged by the schema, with all other problems at once."""

    def __init__(self, name: str, prop: dict[str, Any]) -> None:
        kinds = prop.get("type", "string")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        self.parameter, self.group = name, str(prop.get("group", "Parameters"))
        choices = prop.get("enum")
        metavar = "|".join(map(str, choices)) if choices else (prop.get("unit") or next(k for k in kinds if k != "null")).upper()
        extra: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if "boolean" in kinds else {}
        super().__init__(
            ["--" + name.replace("_", "-"), f"parameter_{name.encode().hex()}"], type=str, metavar=metavar, multiple="array" in kinds,
            help=describe(prop), **extra,
        )  # fmt: skip


def describe(prop: dict[str, Any]) -> str:
    """Title, range, unit and default of a parameter in one line."""
    parts = [str(prop.get("title", ""))]
    low, high = prop.get("minimum", prop.get("exclusiveMinimum")), prop.get("maximum", prop.get("exclusiveMaximum"))
    if low is not None or high is not None:
        parts.append(f"{'' if low is None else low}…{'' if high is None else high}{' ' + prop['unit'] if 'unit' in prop else ''}")
    text = ", ".join(p for p in parts if p)
    return f"{text}  [default: {prop['default']}]" if prop.get("default") is not None else text


def options(properties: dict[str, dict[str, Any]]) -> list[ParameterOption]:
    """One flag a parameter."""
    return [ParameterOption(name, prop) for name, prop in properties.items()]


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
