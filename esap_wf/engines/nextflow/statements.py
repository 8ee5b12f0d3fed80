"""Statements of Nextflow's configuration files and scripts that set something, read without a Groovy
interpreter into `esap_wf.engines.nextflow.settings.Settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esap_wf.engines.nextflow.groovy import Source, Token
from esap_wf.engines.nextflow.groovy_values import Value, value
from esap_wf.engines.nextflow.settings import Setting, Settings
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents
from esap_wf.formats.printing import clipped

#: Configuration files of one pipeline.
MAX_FILES = 500
#: Maps with more entries than this are tables (of genomes, for instance), no parameters that one gives one by
#: one.
_TABLE = 40
#: Operators after which a statement goes on in the next line.
_CONTINUED = {"=", "+", "?", ":", "&&", "||", ",", "?:", "==", "."}
_HERE = re.compile(r"^\$(?:\{(?:projectDir|baseDir|moduleDir)\}|(?:projectDir|baseDir|moduleDir)\b)")
_CONDITIONAL = {"if", "else", "try", "catch", "finally", "while", "for", "switch"}
_SKIPPED = {"def", "import", "return", "plugins"}


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


@dataclass(frozen=True)
class _Statement:
    """
    A statement that begins with a name.

    Parameters
    ----------
    at : int
        Its first word.
    name : str
        With dots.
    after : int
        The word behind the name.
    last : int
        Before that word the scope ends in which it stands.
    prefix : str
        The scope's name and a dot; empty at the top.
    certain : bool
        It counts whatever happens.
    """

    at: int
    name: str
    after: int
    last: int
    prefix: str
    certain: bool


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
        """
        What one statement sets, and where the next one begins.

        Each form answers with that, or with None if the statement has another form; the first one that fits
        counts.
        """
        name, after = self._name(at, last)
        one = _Statement(at, name, after, last, prefix, certain)
        special = (self._include, self._directive) if self.config else (self._declaration,)
        forms: list[Callable[[_Statement], int | None]] = [
            self._conditional,
            self._skipped,
            self._block,
            self._selector,
            self._assignment,
            *special,
        ]
        for form in forms:
            if (end := form(one)) is not None:
                return end
        return max(self._end(at, last), at + 1)

    def _behind(self, one: _Statement) -> Token | None:
        """The word behind a statement's name."""
        return self.tokens[one.after] if one.after < one.last else None

    def _is(self, one: _Statement, *signs: str) -> bool:
        """Whether one of some signs stands behind a statement's name."""
        behind = self._behind(one)
        return behind is not None and behind.is_op(*signs)

    # --- forms of statements

    def _conditional(self, one: _Statement) -> int | None:
        """``if (…) { … }``, ``try { … }``: what stands in the braces counts only maybe."""
        at, last = one.at, one.last
        if not self._is_word(at, _CONDITIONAL):
            return None
        while at < last and not self.tokens[at].is_op("{"):
            if self.tokens[at].is_op(";") or (self.tokens[at].kind == "newline" and not self._opens(at)):
                return at
            at = at + 1 if not self.tokens[at].is_op("(", "[") else self.source.partner[at] + 1
        if at < last:
            self.scope(at + 1, self.source.partner[at], one.prefix, False)
            return self.source.partner[at] + 1
        return last

    def _skipped(self, one: _Statement) -> int | None:
        """``import …``, ``def x = …``: nothing that one gives."""
        if one.prefix or not self._is_word(one.at, _SKIPPED):
            return None
        return self._end(one.at, one.last)

    def _block(self, one: _Statement) -> int | None:
        """``params { … }``."""
        if not self._is(one, "{"):
            return None
        close = self.source.partner[one.after]
        self._inside(one.name, one.prefix, one.after + 1, close, one.certain)
        return close + 1

    def _selector(self, one: _Statement) -> int | None:
        """``withName: 'X' { … }`` of a configuration."""
        brace = one.after + 2
        if (
            not self.config
            or not self._is(one, ":")
            or brace >= one.last
            or not self.tokens[brace].is_op("{")
        ):
            return None
        close = self.source.partner[brace]
        name = f"{one.name}:{self._part(self.tokens[one.after + 1])}"
        self._inside(name, one.prefix, brace + 1, close, one.certain)
        return close + 1

    def _assignment(self, one: _Statement) -> int | None:
        """``x = …``."""
        if not self._is(one, "="):
            return None
        end = self._end(one.after, one.last)
        self._assign(f"{one.prefix}{one.name}", one.at, one.after + 1, end, one.certain)
        return end

    def _declaration(self, one: _Statement) -> int | None:
        """
        ``name: Type = value`` of the newer syntax in the ``params`` of a script; without a value the user has
        to give one.
        """
        if one.prefix != "params.":
            return None
        has_type = self._is(one, ":")
        if not has_type and self.tokens[one.at].kind != "name":
            return None
        first = one.after + 1 if has_type else one.after
        # `Type?` at the end of a line is no question that goes on
        end = next((i for i in range(first, one.last) if self.tokens[i].kind == "newline"), one.last)
        equals = next((i for i in range(first, end) if self.tokens[i].is_op("=")), end)
        end = self._end(equals, one.last) if equals < end else end
        declared = self.source.between(first, equals).strip()
        name, where = f"params.{one.name}", self.source.where(self.tokens[one.at])
        if re.fullmatch(r"[\w.<>, ?]*", declared) is None or not one.name:
            self.settings.warn(f"{where}: {name} can't be understood")
        elif equals < end:
            self._assign(name, one.at, equals + 1, end, one.certain, declared)
        else:
            missing = Value("literal", None, "")
            self.settings.found.append(Setting(name, missing, where, one.certain, declared or "?"))
        return max(end, one.at + 1)

    def _include(self, one: _Statement) -> int | None:
        """``includeConfig '…'``: the file, if its name is known and it is read whatever happens."""
        if not self._is_word(one.at, {"includeConfig"}):
            return None
        end = self._end(one.at, one.last)
        where = self.source.where(self.tokens[one.at])
        given = value(self.source, one.at + 1, end)
        text = given.data if given.kind == "literal" else given.text if given.kind == "template" else None
        path = (
            in_project(text, self.project, Path(self.source.name).parent) if isinstance(text, str) else None
        )
        if path is None or not one.certain:
            self.settings.warn(
                f"{where}: {_line(self.source.between(one.at, end))} is not followed: only the engine "
                "can tell what it includes"
            )
        else:
            read_config(self.settings, Path(os.path.normpath(path)), self.project, where)
        return max(end, one.at + 1)

    def _directive(self, one: _Statement) -> int | None:
        """``container 'x'`` in a scope of a configuration, which is ``container = 'x'``."""
        behind, end = self._behind(one), self._end(one.at, one.last)
        if not one.prefix or one.after >= end or behind is None or behind.kind not in {"string", "template"}:
            return None
        self._assign(f"{one.prefix}{one.name}", one.at, one.after, end, one.certain)
        return max(end, one.at + 1)

    # --- their parts

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

    def _opens(self, at: int) -> bool:
        behind = self._near(at, 1)
        return behind is not None and behind.is_op("{")

    def _is_word(self, at: int, words: Collection[str]) -> bool:
        return self.tokens[at].kind == "name" and self.tokens[at].text in words

    def _inside(self, name: str, prefix: str, first: int, last: int, certain: bool) -> None:
        """What stands in the braces of a scope that has a name."""
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
        """Note what a name is set to, by the words from `first` to before `end`."""
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


def _line(text: str) -> str:
    return clipped(" ".join(text.split()), 100)


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
