"""The verbs workflows, show, lint and new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, Verb, table
from esap_wf.cli.parameters import complete_workflow
from esap_wf.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from esap_wf.models.manifest import Input


@click.command("workflows", cls=Verb, examples=["esap-wf workflows", "esap-wf workflows --json"])
@click.pass_obj
def workflows(answer: Answer) -> None:
    """List the workflows: those that come with esap-wf, and those of the configuration's folders."""
    from esap_wf import catalog

    rows = catalog.summaries(answer.config())
    text = table([(r["name"], r["version"], ",".join(r["engines"]), r["source"], r.get("error") or r["title"]) for r in rows],
                 ("name", "version", "engines", "source", "title"))  # fmt: skip
    answer.give({"workflows": rows}, text)


@click.command("show", cls=Verb, examples=["esap-wf show irf", "esap-wf show ./my-workflow --json"])
@click.argument("workflow", shell_complete=complete_workflow)
@click.pass_obj
def show(answer: Answer, workflow: str) -> None:
    """Show what a workflow does, takes, makes and needs."""
    from esap_wf import discovery, software, tasks
    from esap_wf.cli.parameters import describe
    from esap_wf.parameters import flag

    found = discovery.find(answer.config(), workflow)
    m = found.manifest
    data: dict[str, Any] = {
        "name": m.name, "title": m.title, "description": m.description, "version": m.version,
        "engines": [i.engine for i in m.implementations],
        "parameters": found.schema, "inputs": m.inputs, "outputs": m.outputs, "resources": m.resources,
        "software": [{"route": software.route_of(s), **{k: v for k, v in _plain(s).items() if v is not None}} for s in m.software],
        "derived_from": found.derived_from or str(found.document.source), "units": m.units, "rules": m.rules, "identity": m.identity,
        "tasks": {i.engine: tasks.of(i.engine, i.file) for i in m.implementations},
        "authors": m.authors, "license": m.license, "citation": m.citation, "source": found.source,
        "notes": list(found.notes),
    }  # fmt: skip
    lines = [f"{m.name} {m.version}: {m.title}", "", m.description.strip(), ""]
    said = _origins(found)
    rows = [("  " + flag(n, found.own_names), _kind(p), describe(p, n), said("parameters", n)) for n, p in found.properties.items()]
    lines += ["Parameters:", _columns(rows), ""]
    if m.inputs:
        rows = [(f"  {n}", _kind_of(i), _input(i, n), said("inputs", n)) for n, i in m.inputs.items()]
        lines += ["Inputs:", _columns(rows), ""]
    lines += ["Outputs:", _columns([(f"  {o.path}", "", o.title or o.name, said("outputs", o.name)) for o in m.outputs]), ""]
    if m.resources.sizes:
        sizes = (f"{n}: {s.cores} cores, {s.memory}, {s.wall}" for n, s in m.resources.sizes.items())
        lines += [f"Sizes (default {m.resources.default}):", *(f"  {s}" for s in sizes), ""]
    lines += [f"Engines: {', '.join(i.engine for i in m.implementations)}"]
    if found.is_derived:
        pipeline = found.derived_from.get("pipeline", "")
        lines += [f"Derived from {pipeline}, there is no manifest: `esap-wf init {found.folder}` writes one to be edited"]
        lines += [f"note: {note}" for note in found.notes]
    if m.citation:
        lines += [f"Please cite: {'; '.join(m.citation)}"]
    answer.give(data, "\n".join(lines))


def _origins(found: Any) -> Callable[[str, str], str]:
    """Where each part of a pipeline's interface is written, as short as it can be said."""

    def said(kind: str, name: str) -> str:
        return str(found.derived_from.get(f"{kind}.{name}", "")).replace(f"{found.folder}/", "")

    return said


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns without a head; those that hold nothing are left out."""
    if not rows:
        return "  none"
    used = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
    return table([tuple(row[i] for i in used) for row in rows], ("",) * len(used)).strip("\n")


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
    return "" if spec.kind == "any" and not spec.pattern else (spec.kind if spec.kind != "any" else "path") + ("[]" if spec.many else "")


def _input(spec: Input, name: str) -> str:
    title = "" if spec.title == name else " ".join(spec.title.split())
    beside = f", with {' '.join(spec.secondary)} beside it" if spec.secondary else ""
    default = f"  [the pipeline's default: {spec.engine_default}]" if spec.engine_default else ""
    return (title + beside + ("" if spec.required and not spec.default else " (optional)") + default).lstrip(" ,")


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


@click.command("lint", cls=Verb, examples=["esap-wf lint ./my-workflow", "esap-wf lint irf"])
@click.argument("path")
@click.pass_obj
def lint(answer: Answer, path: str) -> int:
    """Say all that is wrong with a workflow's manifest, schema and files."""
    from esap_wf import catalog

    config = answer.config()
    file, _ = catalog.locate(config, path)
    files = catalog.manifests(file.parent) if Path(path).is_dir() else [file]
    problems = [p for f in files for p in catalog.lint(f)]
    if answer.as_json:
        answer.give({"valid": not problems, "problems": problems}, "")
    elif problems:
        raise UsageError(f"{path} is not valid", problems)
    else:
        answer.give({}, f"{', '.join(str(f) for f in files)}: nothing wrong")
    return ExitCode.USAGE if problems else ExitCode.DONE


@click.command("new", cls=Verb, examples=["esap-wf new workflow my-analysis", "cd my-analysis && esap-wf run . && python -m pytest test"])
@click.argument("kind", type=click.Choice(["workflow"]))
@click.argument("name")
@click.option("--into", metavar="DIR", default=".", show_default=True, help="Folder in which the workflow's folder is made.")
@click.pass_obj
def new(answer: Answer, kind: str, name: str, into: str) -> None:
    """Make a workflow folder that runs and passes its own test: a start to edit."""
    from esap_wf import scaffold

    folder = scaffold.make(name, Path(into))
    made = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    hint = f"try it: esap-wf run {folder} --detach; test it: python -m pytest {folder / 'test'}"
    answer.give({"workflow": name, "dir": str(folder), "files": made}, f"{folder}: {', '.join(made)}\n{hint}")
