"""
Names that a workflow's parameters and inputs share with options of esap-wf. Imported by the verbs that take
them, show and lint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import click

from esap_wf.errors import Problem

#: What an option says, for whoever meant a parameter of that name.
_MEANING = {
    "--params": "names a file with parameters",
    "--param": "gives one parameter by name",
    "--input": "gives an input by name",
    "--basket": "takes inputs from a shopping basket",
    "--lake": "names the data lake of a basket",
    "--skip-bad-items": "leaves out bad items of a basket",
    "--backend": "says where to run",
    "--engine": "chooses the engine",
    "--size": "chooses a size of the workflow",
    "--cores": "says how many cores the run may use",
    "--nodes": "says how many nodes the run may use",
    "--gpus": "says how many GPUs the run may use",
    "--slices": "says into how many pieces the work is cut",
    "--memory": "says how much memory the run may use",
    "--wall": "limits the time of the run",
    "--software": "says where the software comes from",
    "--name": "names the run",
    "--tag": "tags the run",
    "--results": "says where the results are copied to",
    "--plan": "runs a saved plan",
    "--if-exists": "says what to do if an identical run exists",
    "--detach": "returns at once",
    "--output": "saves the plan",
    "--json": "asks for an answer in JSON",
    "--help": "shows this help",
}
_ALWAYS = ("--help", "-h")


def owners_of(params: Collection[click.Parameter]) -> dict[str, click.Parameter | None]:
    """Flag → the option of esap-wf that has it."""
    return {
        **dict.fromkeys(_ALWAYS),
        **{o: p for p in params if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)},
    }


def reserved() -> set[str]:
    """Flags of the verbs that take a workflow's."""
    from esap_wf.cli import start

    return {flag for verb in (start.validate, start.plan, start.run) for flag in owners_of(verb.params)}


def shadowed(workflow: Any, flags: Collection[str]) -> Iterator[tuple[str, str]]:
    """
    Name and flag of the parameters and inputs whose flag is another's.

    Nothing is lost where such a flag means the pipeline's own all the same (`esap_wf.request.given`):
    ``--input FILE``, the folder of results.
    """
    from esap_wf.catalogue.workflow import Kind
    from esap_wf.request.parameters import flag

    for name in {**workflow.manifest.inputs, **workflow.properties}:
        prop, is_input = workflow.properties.get(name, {}), name not in workflow.properties
        meant = is_input and name == "input" and workflow.kind is not Kind.HOUSE
        if flag(name, workflow.kind) in flags and not meant and not prop.get("results"):
            yield name, flag(name, workflow.kind)


def instead(workflow: Any, name: str) -> str:
    """How a parameter or an input is given that has no flag."""
    return f"--param {name}=VALUE" if name in workflow.properties else f"--input {name}=REF"


def note(workflow: Any, name: str, flag: str) -> str:
    """What is said to a user who gives the option."""
    kind, how = ("parameter", "--param") if name in workflow.properties else ("input", "--input")
    return (
        f"note: {flag} {_MEANING.get(flag, 'is an option of esap-wf')}; the workflow's {kind} of that "
        f"name is given as {how} {name}=…"
    )


def notes(workflow: Any, ctx: click.Context, params: Collection[click.Parameter]) -> Iterator[str]:
    """
    One for each option that was given and that hides a parameter or an input, which was not given otherwise.
    """
    options = owners_of(params)
    pairs = [*(ctx.params.get("param") or ()), *(ctx.params.get("input_") or ())]
    by_name = {text.partition("=")[0] for text in pairs}
    for name, flag in shadowed(workflow, options):
        option = options[flag]
        if (
            name not in by_name
            and option is not None
            and option.name
            and ctx.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
        ):
            yield note(workflow, name, flag)


def problems(workflow: Any) -> Iterator[Problem]:
    """What lint says of them."""
    for name, flag in shadowed(workflow, reserved()):
        kind = "parameter" if name in workflow.properties else "input"
        meaning = _MEANING.get(flag, "is an option of esap-wf")
        what = f"the {kind} {name} has no flag: {flag} {meaning}"
        yield Problem(name, what, f"choose another name, or tell users to write {instead(workflow, name)}")
