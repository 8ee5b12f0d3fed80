"""Answers on stdout, talk on stderr. Imported by every verb; light."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from esap_wf.errors import EsapError

if TYPE_CHECKING:
    from esap_wf.config import Config


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
            click.echo(text, color=colour(sys.stdout))

    def say(self, text: str) -> None:
        """Talk: on stderr, so that it never mixes with the answer."""
        click.echo(text, err=True, color=colour(sys.stderr))


def to_json(data: Any) -> str:
    """One line of JSON; models become objects."""
    return json.dumps(data, ensure_ascii=False, default=plain)


def plain(value: Any) -> Any:
    """A model as plain data."""
    import msgspec

    return msgspec.to_builtins(value)


def colour(stream: Any) -> bool:
    """Colours only on a terminal, and never under NO_COLOR (no-color.org)."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def show_error(error: EsapError, as_json: bool) -> None:
    """An error for people on stderr, and as JSON on stdout where JSON was asked for."""
    if as_json:
        sys.stdout.write(json.dumps({"error": error.as_dict()}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    head = click.style("esap-wf: error:", fg="red", bold=True) if colour(sys.stderr) else "esap-wf: error:"
    click.echo(f"{head} {printable(str(error))}", err=True, color=colour(sys.stderr))


def printable(text: str) -> str:
    """A message that quotes what was given, without what would move or colour the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns aligned by spaces; plain text that can be cut and grepped."""
    texts = [[str(c) if c is not None else "" for c in row] for row in rows]
    widths = [max([len(h), *(len(r[i]) for r in texts)]) for i, h in enumerate(header)]
    lines = [header, *texts]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


class Verb(click.Command):
    """A command that accepts ``--json`` after its name as well, and shows its examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 110})
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params.append(late_json_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples at the end of every help."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(example)


def late_json_option() -> click.Option:
    """``--json`` behind the name of a verb or of a group of verbs."""
    return click.Option(["--json", "late_json"], is_flag=True, expose_value=False, callback=_late_json, help="Answer with one JSON object.")


def _late_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Answer).as_json = True


def moment(text: str | None) -> str:
    """A time as people read it: UTC, to the second."""
    return text[:19].replace("T", " ") if text else ""
