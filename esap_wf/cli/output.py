"""Answers on stdout, talk on stderr. Imported by every verb; light."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
        """Talk: on stderr, so that it never mixes with the answer. A full disk behind it ends no command."""
        try:
            click.echo(text, err=True, color=colour(sys.stderr))
        except BrokenPipeError:
            raise
        except OSError:
            silence(sys.stderr)


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
        try:
            sys.stdout.write(json.dumps({"error": error.as_dict()}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except OSError:
            silence(sys.stdout)
    head = click.style("esap-wf: error:", fg="red", bold=True) if colour(sys.stderr) else "esap-wf: error:"
    try:
        click.echo(f"{head} {printable(str(error))}", err=True, color=colour(sys.stderr))
    except OSError:
        silence(sys.stderr)


def silence(stream: Any) -> None:
    """A stream that can't be written takes the rest without a word: what it still holds would fail again when the process ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def open_missing() -> None:
    """Give a process that was started with closed standard streams others: files would get their numbers, and talk would fail."""
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


def printable(text: str) -> str:
    """A message that quotes what was given, without what would move or colour the reader's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """A text as part of a line: a file's name may hold what would break or move it."""
    return text if text.isprintable() else printable(text).replace("\n", "\\n")


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Columns aligned by spaces; plain text that can be cut and grepped."""
    texts = [[one_line(str(c)) if c is not None else "" for c in row] for row in rows]
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
