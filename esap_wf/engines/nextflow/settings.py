"""What Nextflow's configuration files and the ``params`` of scripts set, without a Groovy interpreter.

What depends on a condition, a profile or an expression is noted, never guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.engines.nextflow.groovy import Source, Token
from esap_wf.engines.nextflow.groovy_values import Value, value
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents

#: Configuration files of one pipeline.
MAX_FILES = 500
#: What `params.x` may be typed with in the newer syntax, and JSON's word for it.
TYPES = {
    "String": ["string"],
    "Integer": ["integer"],
    "Float": ["integer", "number"],
    "Number": ["integer", "number"],
    "Boolean": ["boolean"],
    "List": ["array"],
    "Set": ["array"],
    "Bag": ["array"],
    "Map": ["object"],
    "Duration": ["string"],
    "MemoryUnit": ["string"],
}
_CONTINUED = {"=", "+", "?", ":", "&&", "||", ",", "?:", "==", "."}
_HERE = re.compile(r"^\$(?:\{(?:projectDir|baseDir|moduleDir)\}|(?:projectDir|baseDir|moduleDir)\b)")


@dataclass(frozen=True)
class Setting:
    """
    One assignment.

    Parameters
    ----------
    name : str
        With dots: ``params.genome``.
    value : Value
    origin : str
        ``file:line``.
    certain : bool
        False: under a condition.
    type : str
        As declared in the newer syntax of ``params`` (``Path``, ``Integer?``), else empty.
    """

    name: str
    value: Value
    origin: str
    certain: bool = True
    type: str = ""


@dataclass
class Settings:
    """
    All that was read, in the order in which it counts; with the `profiles` that are taken, and those that
    there are.
    """

    profiles: tuple[str, ...] = ("standard",)
    there: set[str] = field(default_factory=set)
    found: list[Setting] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def last(self, name: str) -> Setting | None:
        """The assignment that counts; one that is certain before one that is not."""
        there = [s for s in self.found if s.name == name]
        return next((s for s in reversed(there) if s.certain), there[-1] if there else None)

    def literal(self, name: str) -> Any:
        """Value of a setting that is a literal, else None."""
        setting = self.last(name)
        return setting.value.data if setting and setting.value.kind == "literal" else None

    def text(self, name: str) -> str:
        """Value of a setting that is a text, else empty."""
        literal = self.literal(name)
        return literal if isinstance(literal, str) else ""

    def below(self, prefix: str) -> dict[str, Setting]:
        """What is set below a scope, by the rest of the name; each as it counts."""
        names = dict.fromkeys(s.name for s in self.found if s.name.startswith(f"{prefix}."))
        return {n[len(prefix) + 1 :]: s for n in names if (s := self.last(n))}

    def warn(self, text: str) -> None:
        """Note something, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def read_config(settings: Settings, path: Path, project: Path, asked: str = "") -> None:
    """A configuration file and all that it includes by a literal name."""
    if path in settings.files:
        return
    if len(settings.files) >= MAX_FILES:
        raise UsageError(
            "a pipeline is too large", [Problem(str(path), (f"more than {MAX_FILES} configuration files"))]
        )
    settings.files.add(path)
    source = _source(settings, path, asked)
    if source is not None:
        _Walk(settings, source, project, config=True).scope(0, len(source.tokens), "", True)


def read_script(settings: Settings, source: Source, project: Path) -> None:
    """``params.x = …`` and ``params { … }`` of a script, outside of its processes and workflows."""
    _Walk(settings, source, project, config=False).scope(0, len(source.tokens), "", True)


def _source(settings: Settings, path: Path, asked: str) -> Source | None:
    if asked and not path.is_file():
        settings.problems.append(Problem(asked, f"there is no file {path}"))
        return None
    try:
        return Source(documents.read_text(path), str(path))
    except UsageError as error:
        settings.problems += error.problems
        return None


def in_project(text: str, project: Path, here: Path) -> Path | None:
    """The path that a literal text or one that begins with ``projectDir`` names; None if it can't be told."""
    moved = _HERE.sub(lambda m: str(here if "module" in m[0] else project), text)
    if "$" in moved or re.match(r"[a-z][a-z0-9+.-]*://", moved):
        return None
    return here / moved


class _Walk:
    """One file's statements."""

    def __init__(self, settings: Settings, source: Source, project: Path, config: bool) -> None:
        self.settings, self.source, self.project, self.config = settings, source, project, config
        self.tokens = source.tokens

    def scope(self, first: int, last: int, prefix: str, certain: bool) -> None:
        """Statements from one word to before another."""
        at = first
        while at < last:
            token = self.tokens[at]
            if token.kind == "newline" or token.is_op(";", "}", ","):
                at += 1
            elif token.kind in {"name", "string", "template"}:
                at = self._statement(at, last, prefix, certain)
            else:
                at = self.source.partner.get(at, at) + 1

    def _statement(self, at: int, last: int, prefix: str, certain: bool) -> int:
        name, after = self._name(at, last)
        first = self.tokens[at]
        following = self.tokens[after] if after < last else None
        if first.kind == "name" and first.text in {
            "if",
            "else",
            "try",
            "catch",
            "finally",
            "while",
            "for",
            "switch",
        }:
            return self._conditional(at, last, prefix)
        if first.kind == "name" and first.text in {"def", "import", "return", "plugins"} and not prefix:
            return self._end(at, last)
        if following is not None and following.is_op("{"):
            close = self.source.partner[after]
            self._block(name, prefix, after + 1, close, certain)
            return close + 1
        if (
            self.config
            and following is not None
            and following.is_op(":")
            and after + 2 < last
            and self.tokens[after + 2].is_op("{")
        ):
            close = self.source.partner[after + 2]  # withName: 'X' { … }
            self._block(f"{name}:{self._part(self.tokens[after + 1])}", prefix, after + 3, close, certain)
            return close + 1
        if following is not None and following.is_op("="):
            end = self._end(after, last)
            self._assign(f"{prefix}{name}", at, after + 1, end, certain)
            return end
        if following is not None and following.is_op(":") and prefix == "params." and not self.config:
            return self._typed(name, at, after + 1, last, certain)
        if self.config and first.text == "includeConfig" and first.kind == "name":
            return self._include(at, last, certain)
        if prefix == "params." and not self.config and first.kind == "name":
            return self._typed(name, at, after, last, certain)
        end = self._end(at, last)
        if (
            self.config
            and prefix
            and after < end
            and following is not None
            and following.kind in {"string", "template"}
        ):
            self._assign(f"{prefix}{name}", at, after, end, certain)  # container 'x' is container = 'x'
        return max(end, at + 1)

    def _name(self, at: int, last: int) -> tuple[str, int]:
        """``a.b.'c'`` and where it ends."""
        parts = [self._part(self.tokens[at])]
        at += 1
        while at + 1 < last and self.tokens[at].is_op(".") and self.tokens[at + 1].kind in {"name", "string"}:
            parts.append(self._part(self.tokens[at + 1]))
            at += 2
        return ".".join(parts), at

    def _part(self, token: Token) -> str:
        return str(token.value) if token.kind == "string" else token.text

    def _end(self, at: int, last: int) -> int:
        """Behind the last word of a statement; what is in brackets is one word."""
        while at < last:
            token = self.tokens[at]
            if token.is_op(";", "}"):
                return at
            if token.kind == "newline":
                before, behind = self._near(at, -1), self._near(at, 1)
                continued = (before is not None and before.kind == "op" and before.text in _CONTINUED) or (
                    behind is not None and behind.is_op("?", ":", ".", "&&", "||", "?:", "+")
                )
                if not continued:
                    return at
            at = self.source.partner.get(at, at) + 1
        return last

    def _near(self, at: int, step: int) -> Token | None:
        """The next word that is no end of a line, in one direction."""
        at += step
        while 0 <= at < len(self.tokens):
            if self.tokens[at].kind != "newline":
                return self.tokens[at]
            at += step
        return None

    def _conditional(self, at: int, last: int, prefix: str) -> int:
        """What stands in the braces behind ``if``, ``try`` and the like counts only maybe."""
        while at < last and not self.tokens[at].is_op("{"):
            if self.tokens[at].is_op(";") or (self.tokens[at].kind == "newline" and not self._opens(at)):
                return at
            at = at + 1 if not self.tokens[at].is_op("(", "[") else self.source.partner[at] + 1
        if at < last:
            self.scope(at + 1, self.source.partner[at], prefix, False)
            return self.source.partner[at] + 1
        return last

    def _opens(self, at: int) -> bool:
        behind = self._near(at, 1)
        return behind is not None and behind.is_op("{")

    def _block(self, name: str, prefix: str, first: int, last: int, certain: bool) -> None:
        if not self.config:
            if name == "params" and not prefix:
                self.scope(first, last, "params.", certain)
            elif prefix:
                self.scope(first, last, f"{prefix}{name}.", certain)
            return
        if name == "profiles" and not prefix:
            # of the profiles `standard` is taken if the user names none
            self._profiles(first, last, certain)
            return
        self.scope(first, last, f"{prefix}{name}.", certain)

    def _profiles(self, first: int, last: int, certain: bool) -> None:
        at = first
        while at < last:
            token = self.tokens[at]
            opens = at + 1 < last and self.tokens[at + 1].is_op("{")
            if token.kind in {"name", "string"} and opens:
                self.settings.there.add(self._part(token))
                if self._part(token) in self.settings.profiles:
                    self.scope(at + 2, self.source.partner[at + 1], "", certain)
            at = self.source.partner.get(at, at) + 1

    def _assign(self, name: str, at: int, first: int, end: int, certain: bool, declared: str = "") -> None:
        if not self.config and not name.startswith("params."):
            return
        found, where = value(self.source, first, end), self.source.where(self.tokens[at])
        if not self.config and name.count(".") > 1:
            # a script sets a part of a map whatever the user gives, and a user's map takes the place of a
            # script's as a whole
            self.settings.warn(f"{where}: {name} is set by the script and can't be given alone")
            return
        for path, part in _leaves(name, found) if self.config else [(name, found)]:
            self.settings.found.append(Setting(path, part, where, certain, declared))

    def _typed(self, name: str, at: int, first: int, last: int, certain: bool) -> int:
        """``name: Type = value`` of the newer syntax; without a value the user has to give one."""
        # `Type?` at the end of a line is no question that goes on
        end = next((i for i in range(first, last) if self.tokens[i].kind == "newline"), last)
        equals = next((i for i in range(first, end) if self.tokens[i].is_op("=")), end)
        end = self._end(equals, last) if equals < end else end
        declared = self.source.between(first, equals).strip()
        if re.fullmatch(r"[\w.<>, ?]*", declared) is None or not name:
            self.settings.warn(f"{self.source.where(self.tokens[at])}: params.{name} can't be understood")
            return max(end, at + 1)
        if equals < end:
            self._assign(f"params.{name}", at, equals + 1, end, certain, declared)
        else:
            missing = Value("literal", None, "")
            self.settings.found.append(
                Setting(
                    f"params.{name}", missing, self.source.where(self.tokens[at]), certain, declared or "?"
                )
            )
        return max(end, at + 1)

    def _include(self, at: int, last: int, certain: bool) -> int:
        end = self._end(at, last)
        where = self.source.where(self.tokens[at])
        given = value(self.source, at + 1, end)
        text = given.data if given.kind == "literal" else given.text if given.kind == "template" else None
        path = (
            in_project(text, self.project, Path(self.source.name).parent) if isinstance(text, str) else None
        )
        if path is None or not certain:
            self.settings.warn(
                f"{where}: {_line(self.source.between(at, end))} is not followed: only the "
                "engine can tell "
                "what it includes"
            )
        else:
            read_config(self.settings, Path(os.path.normpath(path)), self.project, where)
        return max(end, at + 1)


def _line(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= 100 else shown[:97] + "…"


#: Maps with more entries than this are tables (of genomes, for instance), no parameters that one gives one by
#: one.
_TABLE = 40


def _leaves(name: str, found: Value) -> Iterator[tuple[str, Value]]:
    """A small map of literals is one setting an entry."""
    if found.kind == "literal" and isinstance(found.data, dict) and 0 < _count(found.data) <= _TABLE:
        for key, part in found.data.items():
            if "." not in key:
                yield from _leaves(
                    f"{name}.{key}", Value("literal", part, repr(part) if not isinstance(part, str) else part)
                )
    else:
        yield name, found


def _count(data: Any) -> int:
    return sum(map(_count, data.values())) if isinstance(data, dict) else 1
