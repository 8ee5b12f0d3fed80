"""Words of a Snakefile: statements with the blocks below them, arguments, and the texts that these are.

Nothing is executed; what is only known when it runs is ``*``.
"""

from __future__ import annotations

import ast
import keyword
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from esap_wf.engines.snakemake import constants

Tokens = list[tokenize.TokenInfo]

_F_STRING = {n: getattr(tokenize, n, -1) for n in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")}
_WILD = re.compile(r"\{[^{}]*\}")
_LAYOUT = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_OPENING, _CLOSING = {"(", "[", "{"}, {")", "]", "}"}


@dataclass(frozen=True)
class Text:
    """
    A text of a Snakefile; not `literal` if parts are only known when it runs (they are ``*`` then), not
    `certain` if it may not count.
    """

    value: str
    line: int
    literal: bool = True
    certain: bool = True


def statements(tokens: Tokens) -> Iterator[tuple[Tokens, Tokens]]:
    """Statements, each with the block below it."""
    statement: Tokens = []
    block: Tokens = []
    at = 0
    while at < len(tokens):
        kind = tokens[at].type
        if kind == tokenize.INDENT:
            end = _block_end(tokens, at)
            block += tokens[at + 1 : end]
            at = end
        elif kind not in {tokenize.NEWLINE, tokenize.DEDENT}:
            statement.append(tokens[at])
            at += 1
            continue
        at += 1
        if statement and not (at < len(tokens) and tokens[at].type == tokenize.INDENT):
            yield statement, block
            statement, block = [], []
    if statement:
        yield statement, block


def _block_end(tokens: Tokens, begin: int) -> int:
    """Where the block ends that a token begins."""
    depth = 0
    for at in range(begin, len(tokens)):
        depth += (tokens[at].type == tokenize.INDENT) - (tokens[at].type == tokenize.DEDENT)
        if depth == 0:
            return at
    return len(tokens)


def in_bracket(tokens: Tokens) -> Tokens:
    """What stands in the bracket that the tokens begin with."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += token.string in _OPENING and token.type == tokenize.OP
        depth -= token.string in _CLOSING and token.type == tokenize.OP
        if depth == 0:
            return tokens[1:i]
    return tokens[1:]


def arguments(tokens: Tokens) -> Iterator[Tokens]:
    """Arguments between commas, without their names and line ends."""
    depth = 0
    argument: Tokens = []
    for token in [t for t in tokens if t.type not in _LAYOUT]:
        if token.type == tokenize.OP:
            depth += (token.string in _OPENING) - (token.string in _CLOSING)
            if token.string == "," and depth == 0:
                if argument:
                    yield _unnamed(argument)
                argument = []
                continue
        argument.append(token)
    if argument:
        yield _unnamed(argument)


def _unnamed(argument: Tokens) -> Tokens:
    named = len(argument) > 2 and argument[0].type == tokenize.NAME and argument[1].string == "="
    return argument[2:] if named and not keyword.iskeyword(argument[0].string) else argument


def source(tokens: Tokens) -> str:
    """
    The text of some tokens, in one line: a line's end, and how far it is indented, means nothing in a
    directive's value.
    """
    made = ""
    before: tokenize.TokenInfo | None = None
    for token in tokens:
        if token.type in _LAYOUT:
            continue
        made += ("" if before is None or before.end == token.start else " ") + token.string
        before = token
    return made


def text_of(argument: Tokens) -> Text | None:
    """The text of an argument: literal, or with ``*`` for what is not known; None if it is something else."""
    if not argument:
        return None
    first = argument[0]
    if first.type == tokenize.NAME and len(argument) > 1 and argument[1].string == "(":
        return _text_of_call(first, argument)
    parts = [_part(token) for token in _without_filled_in(argument)]
    if None in parts:
        return None
    value, literal = "".join(p.value for p in parts if p), all(p.literal for p in parts if p)
    value = value if literal else _stars(value)
    return Text(value, first.start[0], literal) if value.strip("*") else None


def _without_filled_in(argument: Tokens) -> Iterator[tokenize.TokenInfo | None]:
    """
    The words of an argument; None in the place of each ``{…}`` of an f-string, whose words are separate
    tokens in Python 3.12 and newer.
    """
    inside, depth = False, 0
    for token in argument:
        if token.type in {_F_STRING["FSTRING_START"], _F_STRING["FSTRING_END"]}:
            inside = token.type == _F_STRING["FSTRING_START"]
        elif inside and token.type == tokenize.OP and token.string in {"{", "}"}:
            depth += 1 if token.string == "{" else -1
            if depth == 0:
                yield None
        elif not depth:
            yield token


def _part(token: tokenize.TokenInfo | None) -> Text | None:
    """What a word adds to a text: nothing (``+``), its content, or ``*``; None: it is no part of one."""
    if token is None:
        return Text("*", 0, literal=False)
    if token.type == tokenize.OP and token.string == "+":
        return Text("", 0)
    if token.type == tokenize.STRING:
        return _string(token.string)
    if token.type == _F_STRING["FSTRING_MIDDLE"]:
        return Text(token.string, 0)
    if token.type in {tokenize.NAME, tokenize.OP, tokenize.NUMBER}:
        return Text("*", 0, literal=False)
    return None


def _text_of_call(function: tokenize.TokenInfo, argument: Tokens) -> Text | None:
    """What a call of one of Snakemake's functions stands for, by its first argument."""
    text = text_of(next(arguments(in_bracket(argument[1:])), []))
    if text is None or function.string in constants.FLAGS:
        return text
    if function.string in {"expand", "collect"}:
        return Text(_stars(_WILD.sub("*", text.value)), function.start[0], literal=False)
    return None


def _string(token: str) -> Text | None:
    """A string as it is written in Python; what is filled in when it runs becomes ``*``."""
    prefix = token[: token.find(token.lstrip("rRbBuUfF")[:1])]
    try:
        part = ast.literal_eval(re.sub("[fF]", "", prefix) + token[len(prefix) :])
    except (ValueError, SyntaxError):
        return None
    if not isinstance(part, str):
        return None
    if "f" not in prefix.lower():
        return Text(part, 0)
    return Text(_WILD.sub("*", part), 0, literal=not _WILD.search(part))


def _stars(text: str) -> str:
    return re.sub(r"\*+", "*", text)
