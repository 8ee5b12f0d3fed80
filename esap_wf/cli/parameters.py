"""Flags that come from a workflow's parameter schema. Imported by the verbs that start something."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import click

from esap_wf.catalogue.workflow import Kind
from esap_wf.cli import collisions
from esap_wf.cli.output import NAMED, Answer, Verb
from esap_wf.errors import Problem, UsageError
from esap_wf.formats.printing import clipped

_META = "esap_wf.workflow"
#: Before a value that begins with a dash; no argument of a process can hold it.
_VALUE = "\0"
_ENGINE = "esap_wf.engine_options"
_WORDS = "esap_wf.words"


class WorkflowVerb(Verb):
    """
    A verb whose flags depend on the workflow that is named.

    What stands behind ``--`` goes to the engine; everything else must be known: a mistyped flag is an error.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the workflow first, then parse with its flags."""
        ctx.meta[_WORDS] = tuple(args)
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_ENGINE] = args[cut + 1 :]
            args = args[:cut]
        name = self._workflow(args, ctx)
        if name is not None:
            from esap_wf.catalogue import workflows

            answer = ctx.ensure_object(Answer)
            ctx.meta[NAMED] = name
            try:
                if not (ctx.resilient_parsing and "://" in name):  # who completes fetches nothing
                    ctx.meta[_META] = workflows.find(answer.config(), name)
            except Exception:
                if not ctx.resilient_parsing:  # a shell that completes must not be answered with an error
                    raise
            args = [self._bound(arg, ctx) for arg in args]
        try:
            rest = super().parse_args(ctx, [*args])  # which it empties
        except click.UsageError:
            self._confirm_single(ctx, args)
            raise
        if (workflow := workflow_of(ctx)) is not None and not ctx.resilient_parsing:
            for note in collisions.notes(workflow, ctx, self.params):
                ctx.ensure_object(Answer).say(note)
        return rest

    def _bound(self, arg: str, ctx: click.Context) -> str:
        """``--n=-5`` of a flag that may stand alone: click would take the value for another option."""
        name, equals, value = arg.partition("=")
        if not (name.startswith("--") and equals and value.startswith("-") and len(value) > 1):
            return arg
        alone = {
            o
            for p in self.get_params(ctx)
            if isinstance(p, ParameterOption) and p.flag_value is not None
            for o in p.opts
        }
        return f"{name}={_VALUE}{value}" if name in alone else arg

    def _confirm_single(self, ctx: click.Context, args: Sequence[str]) -> None:
        """A pattern that the shell has made several words of: only the first of them belongs to the flag."""
        inputs = {
            o: p for p in self.get_params(ctx) if isinstance(p, ParameterOption) and p.is_path for o in p.opts
        }
        for position, word in enumerate(args):
            values = (
                list(takewhile(lambda w: not w.startswith("-"), args[position + 1 :]))
                if word in inputs
                else []
            )
            if len(values) > 1 and inputs[word].multiple:
                how = " ".join(f"{word} {shlex.quote(v)}" for v in values[:3]) + (
                    " …" if len(values) > 3 else ""
                )
                raise UsageError(
                    "the command line is not valid",
                    [Problem(word, f"takes one file, but {len(values)} follow it", how)],
                )

    def _workflow(self, args: Sequence[str], ctx: click.Context) -> str | None:
        """The first word that is no option and no option's value."""
        flags = {
            o: getattr(p, "is_flag", False)
            for p in self.params
            if isinstance(p, click.Option)
            for o in (*p.opts, *p.secondary_opts)
        }
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
        return [*own, *options(workflow, set(collisions.owners_of(own)))]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The workflow's parameters by their groups, then the verb's options."""
        workflow = ctx.meta.get(_META)
        params = self.get_params(ctx)
        own = [
            r
            for p in params
            if isinstance(p, click.Option)
            and not isinstance(p, ParameterOption)
            and (r := p.get_help_record(ctx))
        ]
        if workflow is not None:
            groups: dict[str, list[tuple[str, str]]] = {}
            shown = {p.parameter for p in params if isinstance(p, ParameterOption)}
            for param in params:
                if isinstance(param, ParameterOption) and (record := param.get_help_record(ctx)):
                    groups.setdefault(param.group, []).append(record)
            for name, prop in {**inputs_of(workflow), **workflow.properties}.items():
                if name not in shown and (workflow.kind is Kind.HOUSE or not prop.get("hidden")):
                    how = collisions.instead(workflow, name)
                    groups.setdefault(prop.get("group", "Parameters"), []).append((how, describe(prop, name)))
            for group, records in groups.items():
                with formatter.section(f"{group} of {workflow.manifest.name}"):
                    formatter.write_dl(records)
        with formatter.section("Options"):
            formatter.write_dl(own)


class ParameterOption(click.Option):
    """A flag of a workflow; its text is judged by the schema, with all other problems at once."""

    def __init__(self, name: str, prop: dict[str, Any], flags: Sequence[str], kind: Kind) -> None:
        kinds = prop.get("type", "string")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        self.parameter, self.group, self.prop = name, str(prop.get("group", "Parameters")), prop
        self.is_path = bool(prop.get("path"))
        choices = prop.get("enum")
        if {"integer", "number"} <= set(kinds):
            kinds = [k for k in kinds if k != "integer"]
        several = len([k for k in kinds if k != "null"]) > 1
        word = prop.get("unit") or (
            "value"
            if several
            else "path"
            if prop.get("path")
            else next((k for k in kinds if k != "null"), "value")
        )
        metavar = "|".join(str(c) for c in choices if c is not None) if choices else str(word).upper()
        extra: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if "boolean" in kinds else {}
        super().__init__(
            [*flags, f"parameter_{name.encode().hex()}"],
            type=str,
            metavar=metavar,
            multiple="array" in kinds or bool(prop.get("repeated")),
            help=describe(prop, name),
            hidden=kind is not Kind.HOUSE and bool(prop.get("hidden")),
            shell_complete=self._choices,
            **extra,
        )

    def _choices(self, ctx: click.Context, param: click.Parameter, begun: str) -> list[Any]:
        from esap_wf.cli.completion import choices

        return choices(self.prop, begun)


def describe(prop: dict[str, Any], name: str = "") -> str:
    """Title (if it is more than the name), range, unit and default of a parameter in one line."""
    title = " ".join(str(prop.get("title", "")).split())
    parts = [title if title != name else ""]
    low, high = (
        prop.get("minimum", prop.get("exclusiveMinimum")),
        prop.get("maximum", prop.get("exclusiveMaximum")),
    )
    if low is not None or high is not None:
        parts.append(
            f"{'' if low is None else low}…{'' if high is None else high}"
            f"{' ' + prop['unit'] if 'unit' in prop else ''}"
        )
    text = ", ".join(p for p in parts if p)
    if prop.get("results"):
        return (
            f"{text}  [made in {prop.get('default')}; a folder given here is where they are copied]".strip()
        )
    if prop.get("default") is not None:
        return f"{text}  [default: {prop['default']}]"
    if prop.get("needed"):
        return f"{text}  [needed]".strip()
    theirs = prop.get("engine_default")
    return (
        (f"{text}  [the pipeline's default: {_clipped(theirs)}]").strip()
        if theirs not in (None, "")
        else text
    )


def _clipped(value: Any) -> str:
    return clipped(" ".join(str(value).split()), 80)


def inputs_of(workflow: Any) -> dict[str, dict[str, Any]]:
    """
    Inputs, as flags have them. A second file of one that takes a single one is a problem, but to users of a
    plain workflow the last one counts.
    """
    return {
        name: {
            "title": spec.title,
            "type": "array" if spec.many else "string",
            "path": True,
            "engine_default": spec.engine_default,
            "hidden": spec.hidden,
            "group": "Inputs",
            "default": spec.default,
            "repeated": workflow.kind is Kind.HOUSE,
            "needed": spec.required and not (spec.default or spec.engine_default),
        }
        for name, spec in workflow.manifest.inputs.items()
    }


def options(workflow: Any, taken: set[str]) -> list[ParameterOption]:
    """
    One option a parameter and an input; none whose flags are `taken`.

    A pipeline's own names are flags as they are; a name with underscores may be written with dashes, if that
    is no other name.
    """
    from esap_wf.request.parameters import flag

    properties = {**inputs_of(workflow), **workflow.properties}
    kind = workflow.kind
    taken = set(taken)
    literal = {flag(name, kind) for name in properties}
    found = []
    for name, prop in properties.items():
        flags = [f for f in [flag(name, kind)] if f not in taken]
        if kind is not Kind.HOUSE and flag(name) not in taken | literal:
            flags.append(flag(name))
        taken |= set(flags)
        if flags:
            found.append(ParameterOption(name, prop, flags, kind))
    return found


def given(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The workflow's parameters among a command's values, as text."""
    return {
        bytes.fromhex(k.removeprefix("parameter_")).decode(): v.removeprefix(_VALUE)
        if isinstance(v, str)
        else v
        for k, v in values.items()
        if k.startswith("parameter_")
        and ctx.get_parameter_source(k) is click.core.ParameterSource.COMMANDLINE
    }


def workflow_of(ctx: click.Context) -> Any:
    """The workflow that was named, read already; None if there was none."""
    return ctx.meta.get(_META)


def words_of(ctx: click.Context) -> tuple[str, ...]:
    """The words that stand behind the verb, as they were given."""
    return tuple(ctx.meta.get(_WORDS, ()))


def engine_options(ctx: click.Context) -> list[str]:
    """What stood behind ``--``."""
    found: list[str] = ctx.meta.get(_ENGINE, [])
    return found
