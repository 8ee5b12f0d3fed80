"""Answers on stdout, talk on stderr. Imported by every verb; light."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.errors import EsapError
from esap_wf.formats.printing import in_json, printable
from esap_wf.formats.printing import table as table

if TYPE_CHECKING:
    from esap_wf.config import Config

#: Where a verb keeps in its context how its workflow was named.
NAMED = "esap_wf.named"


@dataclass
class Answer:
    """
    How one command answers.

    Parameters
    ----------
    store : str or None
        ``--store``.
    as_json : bool
        ``--json``, before or after the verb.
    """

    store: str | None = None
    as_json: bool = False

    def config(self) -> Config:
        """The configuration that applies."""
        from esap_wf import config

        return config.load(self.store)

    def give(self, data: dict[str, Any], text: str) -> None:
        """The answer: one JSON object, or text for people."""
        if self.as_json:
            sys.stdout.write(to_json(data) + "\n")
        elif text:
            echo(text)

    def say(self, text: str) -> None:
        """Talk: on stderr, so that it never mixes with the answer. A full disk behind it ends no command."""
        try:
            echo(text, err=True)
        except BrokenPipeError:
            raise
        except OSError:
            silence(sys.stderr)


def to_json(data: Any) -> str:
    """One line of JSON; models become objects."""
    return in_json(json.dumps(data, ensure_ascii=False, default=as_data))


def echo(text: str, err: bool = False) -> None:
    """
    Print for people: only by this does foreign text reach a terminal. Only what stands here has colours.
    """
    click.echo(printable(text), err=err)


def columns() -> int:
    """
    Width of the terminal, 80 where it is unknown; what goes to a file or another program is cut and folded
    nowhere.
    """
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return sys.maxsize
    from shutil import get_terminal_size

    return get_terminal_size((80, 24)).columns


def as_data(value: Any) -> Any:
    """A model as plain data."""
    import msgspec

    return msgspec.to_builtins(value)


def colour(stream: Any) -> bool:
    """Colours only on a terminal, and never under NO_COLOR (no-color.org)."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def show_error(error: EsapError, as_json: bool) -> None:
    """An error for people on stderr, and as JSON on stdout where JSON was asked for."""
    if as_json:
        try:
            sys.stdout.write(to_json({"error": error.as_dict()}) + "\n")
            sys.stdout.flush()
        except OSError:
            silence(sys.stdout)
    head = click.style("esap-wf: error:", fg="red", bold=True) if colour(sys.stderr) else "esap-wf: error:"
    try:
        click.echo(f"{head} {printable(str(error))}", err=True, color=colour(sys.stderr))
    except OSError:
        silence(sys.stderr)


def silence(stream: Any) -> None:
    """
    A stream that can't be written takes the rest without a word: what it still holds would fail again when
    the process ends.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def open_missing() -> None:
    """
    Give a process that was started with closed standard streams others: files would get their numbers, and
    talk would fail.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            os.set_inheritable(fd, True)
        setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


class Verb(click.Command):
    """A command that accepts ``--json`` after its name as well, and shows its examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault(
            "context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 110}
        )
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params.append(late_json_option())

    def get_help(self, ctx: click.Context) -> str:
        """The help; that of a workflow's verb quotes its schema."""
        return printable(super().get_help(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples at the end of every help."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(example)


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """
    Completion of a value by a function of `esap_wf.cli.completion`: loaded when a shell asks, silent if it
    fails.
    """

    def complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[Any]:
        from importlib import import_module

        try:
            found: list[Any] = getattr(import_module("esap_wf.cli.completion"), what)(ctx, param, begun)
        except Exception:  # a shell must not be answered with an error
            return []
        return found

    return complete


def late_json_option() -> click.Option:
    """``--json`` behind the name of a verb or of a group of verbs."""
    return click.Option(
        ["--json", "late_json"],
        is_flag=True,
        expose_value=False,
        callback=_late_json,
        help="Answer with one JSON object.",
    )


def _late_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Answer).as_json = True
