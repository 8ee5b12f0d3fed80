"""Values that a shell completes: runs, workflows, choices of parameters, files. See `esap_wf.cli.shells` for
the shells.

Loaded by `esap_wf.cli.output.completes` when a shell asks; each function takes click's context, the parameter
and what was begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem as Item

from esap_wf import config as configuration
from esap_wf.formats.printing import one_line
from esap_wf.formats.quantities import human_cores
from esap_wf.models.run import Phase
from esap_wf.runs import states
from esap_wf.runs.index import Row
from esap_wf.runs.store import Run, Store

#: Runs that are looked through, and answers that are given.
NEWEST, SHOWN = 500, 60

Items = list[Item[str]]


def _config(ctx: click.Context) -> configuration.Config:
    return configuration.load(ctx.find_root().params.get("store"))


def _beginning(values: Iterable[Any], begun: str, head: str = "", kind: str = "plain") -> Items:
    """Those that begin so and can stand in a line, each once, behind a head that is there already."""
    texts = dict.fromkeys(str(value) for value in values)
    return [
        Item(head + text, type=kind)
        for text in texts
        if text.startswith(begun) and text and one_line(text) == text
    ]


# --- runs


def run(ctx: click.Context, param: click.Parameter, begun: str, phases: Iterable[Phase] = Phase) -> Items:
    """Runs by id and name, newest first, without those that are named already."""
    from esap_wf.runs.lookup import index_of

    config, wanted, named = (
        _config(ctx),
        frozenset(phases),
        {str(n) for value in ctx.params.values() for n in _several(value)},
    )
    found: Items = []
    with index_of(Store.open(config.store), config) as index:
        rows, _ = index.page(limit=NEWEST)
        fitting = [row for row in rows if row.id.startswith(begun) or (row.name or "").startswith(begun)]
        for row in index.live(fitting[:SHOWN]):
            if row.phase in wanted and row.id not in named and (row.name is None or row.name not in named):
                found += [item for item in _of_run(row) if item.value.startswith(begun)]
    return found


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _of_run(row: Row) -> Items:
    what = f"{row.phase} {row.workflow}"
    by_id = Item(row.id, help=one_line(f"{what} {row.name or ''}".rstrip()))
    return [
        *([Item(row.name, help=f"{what} {row.id}")] if row.name and one_line(row.name) == row.name else []),
        by_id,
    ]


def run_at_work(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Runs that can be cancelled."""
    return run(ctx, param, begun, frozenset(Phase) - states.FINAL)


def run_to_resume(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Runs that can be resumed."""
    return run(ctx, param, begun, states.RESUMABLE | {Phase.PENDING})


def run_with_results(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Runs that have results."""
    return run(ctx, param, begun, {Phase.COMPLETED})


def _named_run(ctx: click.Context) -> Run:
    from esap_wf.runs.lookup import find_run

    # an option that still lacks its value keeps click from telling arguments apart
    return find_run(_config(ctx), str(ctx.params.get("run") or ctx.args[0]), lambda _: None)


def phase(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Phases, in either case."""
    return _beginning(Phase, begun.upper())


def tag(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Tags of the newest runs."""
    from esap_wf.runs import requests
    from esap_wf.runs.lookup import index_of

    config = _config(ctx)
    store = Store.open(config.store)
    with index_of(store, config) as index:
        runs = [store.run(row.id) for row in index.page(limit=SHOWN)[0]]
    return _beginning(
        (t for r in runs for t in requests.tags(r.record(), requests.read_further(r.dir))), begun
    )


def step(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Steps of the run that have logs."""
    return _beginning((entry["step"] for entry in _logs(ctx, None)), begun)


def unit(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Units of the run, or of one of its steps, that have logs."""
    return _beginning((entry["unit"] or "" for entry in _logs(ctx, ctx.params.get("step"))), begun)


def _logs(ctx: click.Context, step: str | None) -> list[dict[str, Any]]:
    from esap_wf.runs.logs import Logs

    logs = Logs(_named_run(ctx))
    logs.read()
    return logs.of(step, None)


# --- workflows and what they offer


def _looks_like_a_path(text: str) -> bool:
    return "/" in text or text.startswith((".", "~"))


def workflow(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Names of workflows; files and folders for what looks like a path, or is no name's beginning."""
    from esap_wf.catalogue import manifests

    if _looks_like_a_path(begun):
        return [Item(begun, type="file")]
    return _beginning(sorted({name for name, _, _ in manifests.entries(_config(ctx))}), begun) or [
        Item(begun, type="file")
    ]


def workflow_or_run(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """What `show` takes."""
    return (run if ctx.params.get("lineage") else workflow)(ctx, param, begun)


def _workflow(ctx: click.Context) -> Any:
    from esap_wf.cli.parameters import workflow_of

    return workflow_of(ctx)


def engine(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Engines of the workflow that is named, else all."""
    from esap_wf import plugins

    found = _workflow(ctx)
    return _beginning(
        [i.engine for i in found.manifest.implementations] if found else plugins.BUILT_IN["esap_wf.engines"],
        begun,
    )


def backend(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Places that are known."""
    from esap_wf import backends

    return [
        Item(name, help=one_line(profile.title))
        for name, profile in backends.profiles(_config(ctx)).items()
        if name.startswith(begun)
    ]


def needs(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """``WORD=`` of what can be needed, those that are not there yet."""
    from esap_wf.planning.needs import WORDS

    done, comma, begun = begun.rpartition(",")
    given = {part.partition("=")[0] for part in done.split(",")}
    return _beginning((f"{word}=" for word in WORDS if word not in given), begun, done + comma, "open")


def size(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Sizes of the workflow that is named."""
    found = _workflow(ctx)
    sizes = found.manifest.resources.sizes if found else {}
    return [
        Item(name, help=one_line(f"{human_cores(what.cores)}, {what.memory}, {what.wall}"))
        for name, what in sizes.items()
        if name.startswith(begun)
    ]


def software(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Routes to the software that the workflow offers, else all."""
    found = _workflow(ctx)
    routes = ["installed", "python", "container", "mounted"]
    if found and found.manifest.software:
        from esap_wf.planning.routes import route_of

        routes = [route_of(s) for s in found.manifest.software]
    return _beginning(routes, begun)


def choices(prop: Mapping[str, Any], begun: str, head: str = "") -> Items:
    """Values of a parameter, as far as its schema lists them; files where it asks for a path."""
    from esap_wf.request.texts import types_of

    types = types_of(prop)
    if "array" in types and not prop.get("enum"):
        done, comma, begun = begun.rpartition(",")
        return choices({"type": "string", **prop.get("items", {})}, begun, head + done + comma)
    if options := prop.get("enum"):
        return _beginning((o for o in options if o is not None), begun, head)
    if "boolean" in types:
        return _beginning(("true", "false"), begun, head)
    if prop.get("path"):
        return paths(begun, head)
    return []


def parameter(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """``NAME=`` of the workflow's parameters, then its values."""
    found = _workflow(ctx)
    return _pair(found.properties, begun) if found else []


def parameter_of_run(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """``NAME=`` of the parameters of a run's workflow, then its values."""
    from esap_wf.catalogue import workflows
    from esap_wf.planning import saved

    plan = saved.read_intact_plan(_named_run(ctx).dir / "plan.json")
    return _pair(workflows.of_plan(_config(ctx), plan).properties, begun)


def _pair(properties: Mapping[str, Mapping[str, Any]], begun: str) -> Items:
    name, equals, value = begun.partition("=")
    if equals:
        return choices(properties.get(name, {}), value, f"{name}=")
    return _beginning((f"{name}=" for name in properties), begun, kind="open")


def input_(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """``NAME=`` of the workflow's inputs, then files."""
    name, equals, value = begun.partition("=")
    if equals:
        return paths(value, f"{name}=")
    found = _workflow(ctx)
    return _beginning((f"{name}=" for name in found.manifest.inputs), begun, kind="open") if found else []


# --- files


def file(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """The shell's own completion of files."""
    return [Item(begun, type="file")]


def folder(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """The shell's own completion of folders."""
    return [Item(begun, type="dir")]


def paths(begun: str, head: str = "") -> Items:
    """Files and folders as values behind a head, where the shell would look for the whole word."""
    if not head:
        return [Item(begun, type="file")]
    above, slash, name = begun.rpartition("/")
    folder = Path(above + slash or ".").expanduser()
    found = sorted(
        p
        for p in folder.iterdir()
        if p.name.startswith(name) and (name.startswith(".") or not p.name.startswith("."))
    )
    return [
        item
        for p in found[: 10 * SHOWN]
        for item in _beginning(
            [f"{above}{slash}{p.name}{'/' if p.is_dir() else ''}"],
            begun,
            head,
            "open" if p.is_dir() else "plain",
        )
    ]


# --- data lakes


def lake(ctx: click.Context, param: click.Parameter, begun: str) -> Items:
    """Lakes, then names in a scope of one. A shell that splits words at colons gets what follows them."""
    from itertools import islice

    from esap_wf.datalakes import OWN, names
    from esap_wf.datalakes import lake as opened

    config = _config(ctx)
    first, _, rest = begun.partition(":")
    name, inner = (first, rest) if rest and first in names(config) else (OWN, begun)
    scope, colon, part = inner.partition(":")
    if not colon:
        return _beginning([f"{n}:" for n in names(config)], begun, kind="nospace")
    found = islice(opened(config, name).find(scope, f"{part}*"), SHOWN)
    return _beginning((did.name for did in found), part, head=begun[: len(begun) - len(part)])
