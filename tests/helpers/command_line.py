"""The command line in an isolated place: `Place(…)` as a process, `Place.inside(…)` in this one, `understood` without doing anything."""

from __future__ import annotations

from pathlib import Path

import click

from esap_wf.cli import cli
from esap_wf.cli.output import Answer
from esap_wf.testing.places import COMMAND, Done, Place, inside

__all__ = ["COMMAND", "Done", "Place", "inside", "understood"]


def understood(words: list[str], folder: Path) -> None:
    """Parse a command as the command line does, with the workflow's flags, and start nothing."""
    parent = cli.make_context("esap-wf", list(words), obj=Answer(store=str(folder / "store")))
    context: click.Context = parent
    command: click.Command = cli
    while isinstance(command, click.Group):
        if command.invoke_without_command and not [*context._protected_args, *context.args]:
            return
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)
