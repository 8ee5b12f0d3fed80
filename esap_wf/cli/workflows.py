"""The verbs workflows, show, lint and new."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, Verb, columns, completes, table
from esap_wf.errors import ExitCode, UsageError
from esap_wf.formats.printing import folded

if TYPE_CHECKING:
    from esap_wf.models.manifest import Input, StepResources


@click.command("workflows", cls=Verb, examples=["esap-wf workflows", "esap-wf workflows --json"])
@click.pass_obj
def workflows(answer: Answer) -> None:
    """List the workflows: those that come with esap-wf, and those in folders that the configuration names."""
    from esap_wf.catalogue import manifests

    rows = manifests.summaries(answer.config())
    text = table(
        [
            (r["name"], r["version"], ",".join(r["engines"]), r["source"], r.get("error") or r["title"])
            for r in rows
        ],
        ("name", "version", "engines", "source", "title"),
        columns(),
    )
    answer.give({"workflows": rows}, text)


@click.command(
    "show",
    cls=Verb,
    examples=["esap-wf show irf", "esap-wf show ./my-workflow --json", "esap-wf show 3f2a --lineage"],
)
@click.argument("subject", metavar="WORKFLOW|RUN", shell_complete=completes("workflow_or_run"))
@click.option(
    "--lineage", is_flag=True, help="Of a run: from what it was made, and by which runs it is used."
)
@click.pass_obj
def show(answer: Answer, subject: str, lineage: bool) -> None:
    """
    Show what a workflow does, what it takes, what it produces, and what it needs; or where the inputs of a
    run come from.
    """
    if lineage:
        from esap_wf.cli import lineage as of_runs

        of_runs.show(answer, subject)
    else:
        _show_workflow(answer, subject)


def _show_workflow(answer: Answer, workflow: str) -> None:
    from esap_wf.catalogue import workflows
    from esap_wf.catalogue.workflow import Kind
    from esap_wf.cli import collisions
    from esap_wf.cli.parameters import describe
    from esap_wf.formats.quantities import human_cores
    from esap_wf.planning import descriptions
    from esap_wf.request.parameters import flag

    found = workflows.find(answer.config(), workflow)
    m = found.manifest
    data = descriptions.of(found)
    lines = [f"{m.name} {m.version}: {m.title}", "", *_paragraphs(m.description), ""]
    origin = _origins(found)
    hidden = dict(collisions.shadowed(found, collisions.reserved()))

    def how(name: str) -> str:
        return "  " + (collisions.instead(found, name) if name in hidden else flag(name, found.kind))

    rows = [(how(n), _kind(p), describe(p, n), origin("parameters", n)) for n, p in found.properties.items()]
    lines += ["Parameters:", _columns(rows), ""]
    if m.inputs:
        rows = [(how(n), _kind_of(i), _input(i, n), origin("inputs", n)) for n, i in m.inputs.items()]
        lines += ["Inputs:", _columns(rows), ""]
    lines += [
        "Outputs:",
        _columns([(f"  {o.path}", "", o.title or o.name, origin("outputs", o.name)) for o in m.outputs]),
        "",
    ]
    if m.resources.sizes:
        sizes = (f"{n}: {human_cores(s.cores)}, {s.memory}, {s.wall}" for n, s in m.resources.sizes.items())
        lines += [f"Sizes (default {m.resources.default}):", *(f"  {s}" for s in sizes), ""]
    if m.resources.steps:
        steps = (f"  {name}: {_asks(step)}" for name, step in m.resources.steps.items())
        lines += ["A job of a step asks a workload manager for:", *steps, ""]
    lines += [f"Engines: {', '.join(i.engine for i in m.implementations)}"]
    if found.kind is Kind.DERIVED:
        # of a repository elsewhere only the commits' cache is here, which is nobody's to write
        elsewhere = found.source == "url"
        pipeline = m.implementations[0].file if elsewhere else found.derived_from.get("pipeline", "")
        start = f"esap-wf init {shlex.quote(found.reference)}" + (" --into DIR" if elsewhere else "")
        lines += [
            f"Derived from {pipeline}, because there is no manifest; `{start}` writes one for you to edit"
        ]
        lines += [f"note: {note}" for note in found.notes]
    if m.citation:
        lines += [f"Please cite: {'; '.join(m.citation)}"]
    answer.give(data, "\n".join(lines))


def _origins(found: Any) -> Callable[[str, str], str]:
    """Where each part of a pipeline's interface is written, as short as it can be said."""

    def origin(kind: str, name: str) -> str:
        return str(found.derived_from.get(f"{kind}.{name}", "")).replace(f"{found.folder}/", "")

    return origin


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.strip().splitlines() for line in folded(part, columns())]


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns without a head; those that hold nothing are left out."""
    if not rows:
        return "  none"
    used = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
    return table([tuple(row[i] for i in used) for row in rows], ("",) * len(used), columns()).strip("\n")


def _asks(step: StepResources) -> str:
    """``2 GB, 30 min; more when it runs out, 2 times; other amounts for large``."""
    from esap_wf.formats.quantities import human_cores, human_count

    parts = [human_cores(step.cores)] if step.cores else []
    parts += [str(amount) for amount in (step.memory, step.wall) if amount is not None]
    parts += [human_count(step.gpus, "GPU")] if step.gpus else []
    text = ", ".join(parts) or "what it gets by itself"
    if step.more:
        text += f"; more when it runs out, {human_count(step.more.times, 'time')}"
    return text + (f"; other amounts for {', '.join(step.sizes)}" if step.sizes else "")


def _kind(prop: dict[str, Any]) -> str:
    """A parameter's type, where a pipeline of others says it."""
    if not {"cwl_type", "engine_default"} & set(prop):
        return ""
    kinds = prop.get("type", "value")
    kinds = [k for k in (kinds if isinstance(kinds, list) else [kinds]) if k != "null"]
    if {"integer", "number"} <= set(kinds):
        kinds.remove("integer")
    return str(prop.get("cwl_type") or ("|".join(kinds) if len(kinds) < 3 else "value"))


def _kind_of(spec: Input) -> str:
    return (
        ""
        if spec.kind == "any" and not spec.pattern
        else (spec.kind if spec.kind != "any" else "path") + ("[]" if spec.many else "")
    )


def _input(spec: Input, name: str) -> str:
    title = "" if spec.title == name else " ".join(spec.title.split())
    beside = f", with {' '.join(spec.secondary)} beside it" if spec.secondary else ""
    default = f"  [the pipeline's default: {spec.engine_default}]" if spec.engine_default else ""
    return (title + beside + ("" if spec.required and not spec.default else " (optional)") + default).lstrip(
        " ,"
    )


@click.command(
    "lint",
    cls=Verb,
    examples=["esap-wf lint ./my-workflow", "esap-wf lint irf --dry-run main", "esap-wf lint workflows/*/"],
)
@click.argument("path", nargs=-1, required=True, shell_complete=completes("workflow"))
@click.option(
    "--dry-run",
    type=click.Choice(["every", "main", "none"]),
    default="every",
    show_default=True,
    help="Which engines make a dry run with example values: every one that is installed, only the one that "
    "a run would use (main), or none."
    " No step is started, but code at the top of a Snakefile or a main.nf is executed.",
)
@click.pass_obj
def lint(answer: Answer, path: tuple[str, ...], dry_run: str) -> int:
    """
    Check workflows and list everything that is wrong: manifest, schema, files, scripts, test values, and what
    engines report in a dry run.

    Errors keep a workflow from working; warnings are about things that may trouble its users, or that could
    not be checked here.
    """
    from esap_wf.authoring import linting
    from esap_wf.cli import collisions

    found = linting.lint(answer.config(), path, collisions.problems, dry_run)
    problems = [p for one in found for p in one.errors]
    warnings = [p for one in found for p in one.warnings]
    if not answer.as_json:
        for warning in warnings:
            answer.say(f"warning: {warning}")
    if answer.as_json:
        answer.give({"valid": not problems, "problems": problems, "warnings": warnings}, "")
    elif problems:
        raise UsageError(f"{', '.join(path)} is not valid", problems)
    else:
        more = f", {len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else ""
        answer.give({}, f"{', '.join(one.path for one in found)}: nothing wrong{more}")
    return ExitCode.USAGE if problems else ExitCode.DONE


@click.command(
    "new",
    cls=Verb,
    examples=["esap-wf new workflow my-analysis", "cd my-analysis && esap-wf lint . && python3 test/run.py"],
)
@click.argument("kind", type=click.Choice(["workflow"]))
@click.argument("name")
@click.option(
    "--into",
    metavar="DIR",
    shell_complete=completes("folder"),
    default=".",
    show_default=True,
    help="The folder in which the workflow's folder is created.",
)
@click.option("--shards", is_flag=True, help="Many units can share one job of the engine.")
@click.pass_obj
def new(answer: Answer, kind: str, name: str, into: str, shards: bool) -> None:
    """Create a workflow folder that runs and passes its own test, for you to edit."""
    from esap_wf.authoring import scaffold

    folder = scaffold.make(name, Path(into), shards)
    made = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    example = shlex.quote(str(folder / "test/numbers.csv"))
    where = shlex.quote(str(folder))
    hint = (
        f"try it: esap-wf run {where} --numbers {example}; test it: python3 "
        f"{shlex.quote(str(folder / 'test/run.py'))}"
    )
    answer.give({"workflow": name, "dir": str(folder), "files": made}, f"{folder}: {', '.join(made)}\n{hint}")
