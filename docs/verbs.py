"""
What docs/commands.md says of every verb: from the command line itself, so that neither can be without the
other.
"""

import inspect
from collections.abc import Iterator

import click

from esap_wf.cli import cli
from esap_wf.cli.backends import OpenGroup
from esap_wf.cli.output import Verb

#: Of every verb.
ALWAYS = (0, 2, 3, 5, 130)
#: Verb → further exit codes: how the run ended, and that an engine, a repository or software can't be had.
FURTHER: dict[str, tuple[int, ...]] = {
    "run": (1, 4),
    "resume": (1, 4),
    "rerun": (1, 4),
    "plan": (4,),
    "validate": (4,),
    "show": (4,),
    "init": (4,),
    "doctor": (4,),
    "engines list": (4,),
    "engines install": (4,),
    "software build": (4,),
    "software check": (4,),
    "backends check": (4,),
    "check": (1, 4),
    "basket map": (4,),
    "basket pull": (4,),
    "lake find": (4,),
    "lake show": (4,),
    "lake put": (4,),
    "lake rm": (4,),
    "lake allow": (4,),
}
#: What stands where an argument is named so.
ARGUMENTS = {
    "workflow": (
        "A name from `esap-wf workflows`, the path of a folder or of a pipeline's file, or the URL "
        "of a repository."
    ),
    "subject": (
        "A name from `esap-wf workflows`, the path of a folder or of a pipeline's file, or the URL "
        "of a repository; with `--lineage` a run: its id, the first characters of its id, or its name."
    ),
    "run": "A run: its id, the first characters of its id, or its name.",
    "runs": "Runs: their ids, the first characters of their ids, or their names.",
    "other": "The run to compare it with.",
    "path": "A workflow's folder, manifest or name, or a pipeline's folder, file or URL.",
    "kind": "What to create: `workflow`.",
    "name": "Its name.",
    "backend": "The name of a place from `esap-wf backends`.",
    "shell": "`bash`, `zsh` or `fish`.",
    "file": "A file of this machine.",
    "place": "What is meant in a lake: a scope, or a pattern of names in it; without a lake, `local`.",
    "did": "The name of data in a lake; without a lake, `local`. `rucio://LAKE/SCOPE/NAME` is the same.",
    "dids": "Names of data in a lake; without a lake, `local`.",
    "scope": "A scope of a lake; without a lake, `local`.",
}


def verbs() -> Iterator[tuple[str, Verb | OpenGroup, click.Context]]:
    """Name, command and context of every verb; of groups the verbs in them."""
    top = click.Context(cli, info_name="esap-wf")
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=top)
        if isinstance(command, OpenGroup):
            yield name, command, context
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                verb = command.get_command(context, below)
                assert isinstance(verb, Verb), f"{name} {below}"
                yield f"{name} {below}", verb, click.Context(verb, info_name=below, parent=context)
        else:
            assert isinstance(command, Verb), name
            yield name, command, context


def cell(text: str) -> str:
    """A text in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def section(name: str, verb: Verb | OpenGroup, context: click.Context) -> str:
    """Usage, description, options, examples and exit codes."""
    said = inspect.cleandoc(verb.help or "")
    params = verb.get_params(context)
    arguments = [
        (p.make_metavar(context), ARGUMENTS[str(p.name)]) for p in params if isinstance(p, click.Argument)
    ]
    options = [
        record for p in params if isinstance(p, click.Option) and (record := p.get_help_record(context))
    ]
    rows = [f"| `{cell(word)}` | {cell(text)} |" for word, text in [*arguments, *options]]
    codes = sorted({*ALWAYS, *FURTHER.get(name, ())})
    return "\n".join(
        [
            f"### {name}",
            f"`esap-wf {name} {' '.join(verb.collect_usage_pieces(context))}`",
            "",
            said,
            "",
            "| argument or option | meaning |",
            "|---|---|",
            *rows,
            "",
            "```",
            *verb.examples,
            "```",
            f"Exit codes: {', '.join(map(str, codes))}.",
        ]
    )


def sections() -> str:
    """All verbs, in the order of a user's day."""
    return "\n\n".join(section(*verb) for verb in verbs())
