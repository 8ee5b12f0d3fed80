"""Threads, memory and time that the rules of a Snakefile ask for.

Snakemake caps threads by its cores and holds no job to its memory: nothing of this can fail a run.
"""

from __future__ import annotations

import ast
import math
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from esap_wf.engines import Demand
from esap_wf.engines.snakemake.declarations import Declarations
from esap_wf.engines.snakemake.words import Tokens
from esap_wf.formats.quantities import to_bytes, to_seconds

_CONFIG = re.compile(
    r"""config((?:\[(?:"[^"]+"|'[^']+')\])+)|config\.get\((?:"([^"]+)"|'([^']+)')(?:,.*)?\)"""
)
_SPACE = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}


def demands(
    declared: Declarations, defaults: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterator[Demand]:
    """
    What every rule asks for.

    Parameters
    ----------
    declared : Declarations
    defaults, values : mapping
        Of the configuration, by names with dots: its own, and what was given.
    """
    known = {**defaults, **{n: v for n, v in values.items() if v is not None}}
    for rule in declared.rules:
        if tokens := _words(rule.asks.get("threads", [])):
            yield Demand(
                "cores", _whole(_value(tokens, known)), f"rule {rule.name}", _where(rule.where, tokens)
            )
        for name, tokens in _named(rule.asks.get("resources", [])):
            if name in {"mem_mb", "mem_mib", "mem"}:
                yield Demand(
                    "memory",
                    _memory(name, _value(tokens, known)),
                    f"rule {rule.name}",
                    _where(rule.where, tokens),
                )
            elif name == "runtime":
                yield Demand(
                    "wall", _minutes(_value(tokens, known)), f"rule {rule.name}", _where(rule.where, tokens)
                )


def _where(rule: str, tokens: Tokens) -> str:
    return f"{rule.rsplit(':', 1)[0]}:{tokens[0].start[0]}"


def _words(tokens: Tokens) -> Tokens:
    return [t for t in tokens if t.type not in _SPACE]


def _named(tokens: Tokens) -> Iterator[tuple[str, Tokens]]:
    """``mem_mb=100, runtime="1h"``: the name and the words of each."""
    words, depth, first = _words(tokens), 0, 0
    for i, token in enumerate([*words, None]):
        if token is not None and token.type == tokenize.OP:
            depth += (token.string in {"(", "[", "{"}) - (token.string in {")", "]", "}"})
        if token is None or (token.string == "," and depth == 0):
            part = words[first:i]
            if len(part) > 2 and part[1].string == "=":
                yield part[0].string, part[2:]
            first = i + 1


def _value(tokens: Tokens, known: Mapping[str, Any]) -> Any:
    """A literal, or a value of the configuration; None if only Python knows it."""
    text = "".join(t.string for t in tokens)
    if match := _CONFIG.fullmatch(text):
        name = ".".join(re.findall(r"""["']([^"']+)["']""", match[1])) if match[1] else match[2] or match[3]
        return known.get(name)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,6}", value.strip()):
        value = int(value)
    return (
        math.ceil(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 10**6
        else None
    )


def _memory(name: str, value: Any) -> int | None:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        if isinstance(value, str):
            return to_bytes(value) if re.search(r"[A-Za-z]", value) else to_bytes(f"{value} MB")
        return int(value * (2**20 if name == "mem_mib" else 10**6))
    except (ValueError, OverflowError):
        return None


def _minutes(value: Any) -> int | None:
    """Minutes, or a text with a unit."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        return (
            to_seconds(value)
            if isinstance(value, str) and re.search(r"[A-Za-z]", value)
            else int(float(value) * 60)
        )
    except (ValueError, OverflowError):
        return None


def defaults_of(root: Path, declared: Declarations) -> dict[str, Any]:
    """Values of the default configuration files, by names with dots."""
    from esap_wf.errors import EsapError
    from esap_wf.formats import documents

    found: dict[str, Any] = {}
    for text, _ in declared.configfiles:
        try:
            data = documents.load(root / text.value).data
        except EsapError:
            continue
        found |= dict(_flat(data)) if isinstance(data, dict) else {}
    return found


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
