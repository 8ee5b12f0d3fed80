"""
Shells that complete: their scripts, how they part a line into words, and an answer that is never an error and
never late.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

import click
from click import shell_completion
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from esap_wf.cli.output import silence

#: By it a shell asks; its value is the shell and what it wants.
VARIABLE = "_ESAP_WF_COMPLETE"
#: Seconds after which a shell gets what there is.
PATIENCE = 5.0
#: Characters at which bash begins a new word inside of one.
_BREAKS = re.compile(r"[=:]+")
#: What bash would act upon, and how it is made a letter like others.
_SPECIAL, _ESCAPED = re.compile(r"([^\w@%+=:,./~-])", re.ASCII), r"\\\1"


def _changed(script: str, *changes: tuple[str, str]) -> str:
    """
    A script of click's with some changes; one that finds no place is left out, and the test of the scripts
    tells.
    """
    for old, new in changes:
        script = script.replace(old, new)
    return script


class LateError(Exception):
    """It has taken too long."""


class Bash(BashComplete):
    """Bash parts ``--set zenith=4`` into four words, and takes an answer for the last one."""

    source_template: ClassVar[str] = Path(__file__).with_name("completion.bash").read_text("utf-8")
    _head = ""
    _quoted = False

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words as they were meant, and the begun one."""
        line = os.environ["COMP_WORDS"]
        words = line.split("\n" if "\n" in line else " ")
        last = int(os.environ["COMP_CWORD"])
        words = words[: last + 1] + [""] * (last + 1 - len(words))
        joined, glued = words[:1], False
        for word in words[1:]:
            breaks = _BREAKS.fullmatch(word) is not None
            if len(joined) > 1 and (breaks or (glued and word)):
                joined[-1] += word
            else:
                joined.append(word)
            glued = breaks
        self._head = joined[-1] if glued else joined[-1].removesuffix(words[-1])
        self._quoted = words[-1][:1] in ("'", '"')
        texts = ["".join(shell_completion.split_arg_string(word)) for word in joined]
        return texts[1:-1], texts[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """
        What follows the part that bash takes for a word of its own; quoted unless the user has begun to.
        """
        value = str(item.value)
        if item.type in ("file", "dir"):
            return f"{item.type},{value}"
        value = value.removeprefix(self._head)
        return f"{item.type},{value if self._quoted else _SPECIAL.sub(_ESCAPED, value)}"


class _Whole(ShellComplete):
    """A shell that takes an answer for the whole word: ``--site=N`` becomes ``--site=North``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Those of click, with the option before the value."""
        found = super().get_completions(args, incomplete)
        head, equals, _ = incomplete.partition("=")
        if equals and head.startswith("-"):
            for item in found:
                if item.type in ("plain", "open"):
                    item.value = f"{head}={item.value}"
        return found


class Zsh(_Whole, ZshComplete):
    """Zsh adds no space to what goes on; a file may stand behind ``--option=``."""

    source_template: ClassVar[str] = _changed(
        ZshComplete.source_template,
        ("    local -a completions\n", "    local -a completions begun\n"),
        (
            '        if [[ "$type" == "plain" ]]',
            (
                '        if [[ "$type" == "open" ]]; then\n            begun+=("$key")\n        elif '
                "[[ "
                '"$type" == "plain" ]]'
            ),
        ),
        (
            '    if [ -n "$completions" ]; then',
            (
                '    if [ -n "$begun" ]; then\n        compadd -U -S "" -V unsorted -a begun\n    '
                "fi\n\n    if "
                '[ -n "$completions" ]; then'
            ),
        ),
        ("_path_files", "compset -P '-*='; _path_files"),
    )

    def format_completion(self, item: CompletionItem[str]) -> str:
        """As click, which knows how the script escapes; what goes on has no help."""
        return f"open\n{item.value}\n_" if item.type == "open" else super().format_completion(item)


class Fish(_Whole, FishComplete):
    """Fish adds no space behind ``=``; a value may hold commas."""

    source_template: ClassVar[str] = _changed(
        FishComplete.source_template, ('string split ","', 'string split -m 1 ","')
    )

    def format_completion(self, item: CompletionItem[str]) -> str:
        """As click."""
        kind = "plain" if item.type == "open" else item.type
        return super().format_completion(CompletionItem(item.value, kind, item.help))


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def shell(name: str, command: click.Command) -> ShellComplete:
    """A shell by its name, for the whole command line."""
    return SHELLS[name](command, {}, "esap-wf", VARIABLE)


def respond(command: click.Command) -> None:
    """Answer a shell that completes: with nothing, if it can't be told."""
    asked, _, what = os.environ[VARIABLE].partition("_")
    silence(sys.stderr)
    text = ""
    try:
        text = _in_time(asked, what, command)
    except LateError:  # the alarm may also ring while the first one is dealt with
        signal.setitimer(signal.ITIMER_REAL, 0)
    if text:
        sys.stdout.write(text + "\n")


def _in_time(name: str, what: str, command: click.Command) -> str:
    try:
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE / 5)
        kind = shell(name, command)
        return kind.source() if what == "source" else kind.complete()
    except Exception:
        return ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _late(*_: Any) -> None:
    raise LateError
