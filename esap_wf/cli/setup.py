"""The verbs engines, index, store and completion: what is done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from esap_wf.cli.output import Answer, Verb, columns, late_json_option, table
from esap_wf.errors import ExitCode, Problem, UsageError
from esap_wf.formats.quantities import human_bytes, human_count


class _Group(click.Group):
    command_class = Verb


def group(name: str, text: str) -> click.Group:
    """A verb with verbs of its own."""
    return _Group(
        name, help=text, context_settings={"help_option_names": ["-h", "--help"]}, params=[late_json_option()]
    )


engines = group("engines", "Show, install and pack engines.")
index = group("index", "The index: a cache of the store on this machine.")
store = group("store", "The run store itself.")


@engines.command("list", examples=["esap-wf engines list"])
@click.pass_obj
def engines_list(answer: Answer) -> None:
    """Show which engines there are, and where they were found."""
    from esap_wf import plugins
    from esap_wf.engines import programs

    config = answer.config()
    usable, broken = plugins.load("esap_wf.engines")
    rows: list[dict[str, Any]] = []
    for name, engine in usable.items():
        found = programs.first_suitable(engine, config, None)
        choice, refused = found.choice, found.refused
        rows.append(
            {
                "name": name,
                "version": choice.version if choice else None,
                "path": choice.path if choice else None,
                "found": choice.found if choice else None,
                "hint": "" if choice else "; ".join([*refused, engine.how_to_install()]),
            }
        )
    rows += [{"name": b.name, "version": None, "path": None, "found": None, "hint": b.why} for b in broken]
    text = table(
        [(r["name"], r["version"] or "missing", r["found"] or "", r["path"] or r["hint"]) for r in rows],
        ("engine", "version", "found", "path"),
        columns(),
    )
    answer.give({"engines": rows}, text)


@engines.command("install", examples=["esap-wf engines install snakemake"])
@click.argument("name")
@click.pass_obj
def engines_install(answer: Answer, name: str) -> None:
    """Install an engine into an environment of its own."""
    from esap_wf import plugins

    config = answer.config()
    engine = plugins.one("esap_wf.engines", name)
    answer.say(f"installing {name} …")
    built = engine.install(config)
    answer.give({"engine": name, "path": str(built)}, f"{name} is in {built}")


@engines.command("pack", examples=["esap-wf engines pack snakemake -o snakemake.tar.gz"])
@click.argument("name")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The archive that is written.",
)
@click.pass_obj
def engines_pack(answer: Answer, name: str, output: Path) -> None:
    """
    Pack an engine for a place that doesn't have it: a profile names the archive (engines.NAME.environment).

    The place needs a Python of the same version (3.11 for 3.11), on the same kind of machine.
    """
    from esap_wf import plugins
    from esap_wf.software import environments, packed

    config = answer.config()
    engine = plugins.one("esap_wf.engines", name)
    if engine.pins is None:
        what = "only engines that are Python packages can be packed"
        hint = f"install {engine.title} there, and name its program: [backends.NAME.engines.{name}] path"
        raise UsageError(f"{name} can't be packed", [Problem(name, what, hint)])
    answer.say(f"packing {name} …")
    packed.pack(environments.build(engine.pins, config.cache), output)
    size = output.stat().st_size
    digest = packed.short_digest(output, config.cache)
    answer.give(
        {"engine": name, "path": str(output), "bytes": size, "digest": digest},
        f"{output} ({human_bytes(size)})",
    )


@index.command("rebuild", examples=["esap-wf index rebuild"])
@click.pass_obj
def index_rebuild(answer: Answer) -> None:
    """Rebuild the index from the run directories. (The index can be deleted at any time.)"""
    from esap_wf.runs.lookup import index_of
    from esap_wf.runs.store import Store

    config = answer.config()
    opened = index_of(Store.open(config.store), config)
    try:
        opened.rebuild()
        count = opened.count()
    finally:
        opened.close()
    answer.give({"runs": count}, f"{human_count(count, 'run')}")


@store.command("init", examples=["esap-wf --store /data/irf-runs store init --shared"])
@click.option(
    "--shared",
    is_flag=True,
    help="For a group: everything in it belongs to the folder's group, whose members may write to it.",
)
@click.pass_obj
def store_init(answer: Answer, shared: bool) -> None:
    """Create a run store. (The first run creates a private one by itself.)"""
    from esap_wf.runs.store import Store

    made = Store.create(answer.config().store, shared=shared)
    if made.shared != shared:
        raise UsageError(
            "the store already exists",
            [Problem(str(made.root), f"it is {'shared' if made.shared else 'private'}")],
        )
    answer.give(
        {"store": str(made.root), "id": made.id, "shared": made.shared},
        f"{made.root} ({'shared' if made.shared else 'private'})",
    )


@store.command("clean", examples=["esap-wf store clean"])
@click.pass_obj
def store_clean(answer: Answer) -> None:
    """
    Delete what crashes have left behind: half-deleted runs, and half-made runs that are more than a day old.
    """
    from esap_wf.runs.store import Store

    deleted, left = Store.open(answer.config().store).collect_garbage()
    for problem in left:
        answer.say(f"warning: {problem}")
    answer.give(
        {"deleted": deleted, "left": left}, "\n".join(deleted) or ("" if left else "nothing to clean")
    )


@click.command(
    "completion", cls=Verb, examples=['eval "$(esap-wf completion bash)"', "esap-wf completion fish | source"]
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the script that makes a shell complete commands, options and values."""
    from esap_wf.cli import shells

    script = shells.shell(shell, ctx.find_root().command).source()
    ctx.ensure_object(Answer).give({"shell": shell, "script": script}, script)
    return ExitCode.DONE
