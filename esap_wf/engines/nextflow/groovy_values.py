"""
Literals of Groovy: numbers, texts, truth values, lists and maps of those. What must be evaluated is told
apart, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esap_wf.engines.nextflow.groovy import Source


@dataclass(frozen=True)
class Value:
    """
    What stands right of ``=``.

    Parameters
    ----------
    kind : str
        ``literal`` (a number, text, truth value, null, or a list or map of those), ``template`` (a text that
        something is put into), or ``code``.
    data : object
        Of a literal.
    text : str
        As written.
    """

    kind: str
    data: Any
    text: str


class _NotLiteralError(Exception):
    """Something that only the engine can evaluate."""


def value(source: Source, first: int, last: int) -> Value:
    """The value in words `first` to before `last`."""
    words = [i for i in range(first, last) if source.tokens[i].kind != "newline"]
    text = source.between(first, last).strip()
    if len(words) == 1 and source.tokens[words[0]].kind == "template":
        return Value("template", None, source.tokens[words[0]].text)
    try:
        data, rest = _literal(source, words, 0)
        if rest < len(words) and not (
            source.tokens[words[rest]].kind == "name" and source.tokens[words[rest]].text == "as"
        ):
            raise _NotLiteralError
    except (_NotLiteralError, IndexError):
        return Value("code", None, text)
    return Value("literal", data, text)


def _literal(source: Source, words: list[int], at: int) -> tuple[Any, int]:
    """The literal that begins with a word, and the index of the word behind it."""
    token = source.tokens[words[at]]
    if token.kind == "string":
        return token.value, at + 1
    if token.is_op("-", "+"):
        number = source.tokens[words[at + 1]]
        if number.kind != "number" or not abs(number.value) < 2**63:
            raise _NotLiteralError
        return (-number.value if token.text == "-" else number.value), at + 2
    if token.kind == "number":
        after = [source.tokens[w] for w in words[at + 1 : at + 3]]
        if len(after) == 2 and after[0].is_op(".") and after[1].kind == "name":
            # 8.GB, 2.h: sizes and times are texts to everybody else
            return f"{token.text}.{after[1].text}", at + 3
        if not abs(token.value) < 2**63:
            raise _NotLiteralError
        return token.value, at + 1
    if token.kind == "name" and token.text in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[token.text], at + 1
    if token.is_op("["):
        return _collection(source, words, at)
    raise _NotLiteralError


def _collection(source: Source, words: list[int], at: int) -> tuple[Any, int]:
    """A list or a map: ``[1, 2]``, ``[a: 1]``, ``[:]``."""

    def op(i: int, *texts: str) -> bool:
        return source.tokens[words[i]].is_op(*texts)

    items: list[Any] = []
    pairs: dict[str, Any] = {}
    at += 1
    if op(at, ":") and op(at + 1, "]"):
        return {}, at + 2
    while not op(at, "]"):
        token = source.tokens[words[at]]
        if token.kind in {"name", "string"} and op(at + 1, ":"):
            pairs[token.value if token.kind == "string" else token.text], at = _literal(source, words, at + 2)
        else:
            item, at = _literal(source, words, at)
            items.append(item)
        if op(at, ","):
            at += 1
        elif not op(at, "]"):
            raise _NotLiteralError
    if items and pairs:
        raise _NotLiteralError
    return (pairs if pairs else items), at + 1
