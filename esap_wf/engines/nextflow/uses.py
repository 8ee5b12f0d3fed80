"""Which parameters a Nextflow script reads, whether or not anything sets them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from esap_wf.engines.nextflow.groovy import Source

#: What is put into a text (``!{…}`` in a shell block), and the parameters in it; the bracket of a function
#: that is called.
_EXPRESSION = re.compile(r"(?<!\\)(?:\$(params(?:\.\w+)+)|[$!]\{([^{}]*)\})")
_READ = re.compile(r"(?<![\w.])params\??\.(\w+(?:\??\.\w+)*)(\s*[({])?")


@dataclass
class Uses:
    """
    Parameters that a script reads, with ``file:line`` of the first time; `gives`: it gives other ones to what
    it includes.
    """

    names: dict[str, str] = field(default_factory=dict)
    gives: bool = False


def read_uses(source: Source) -> Uses:
    """``params.x``, ``params.x.size()``, ``params['x']``, ``"${params.x}"``; not ``params.x = …``."""
    found, tokens = Uses(), source.tokens
    for i, token in enumerate(tokens):
        names: list[str] = []
        if token.kind in {"template", "string"}:
            for inside in _EXPRESSION.finditer(token.text):
                names += [_name(m[1], bool(m[2])) for m in _READ.finditer(inside[1] or inside[2] or "")]
        elif token.kind == "name" and token.text == "params" and not (i and tokens[i - 1].is_op(".", "?.")):
            names, gives = _after(source, i + 1)
            found.gives |= gives
        found.gives |= token.kind == "name" and token.text == "addParams"
        for name in names:
            if name and name != "class":
                found.names.setdefault(name, source.where(token))
    return Uses(gives=found.gives) if _own(source) else found


def _after(source: Source, end: int) -> tuple[list[str], bool]:
    """What is read by the words behind ``params``; whether it is ``params(…)``."""
    tokens = source.tokens
    parts: list[str] = []
    while end + 1 < len(tokens) and tokens[end].is_op(".", "?.") and tokens[end + 1].kind == "name":
        parts.append(tokens[end + 1].text)
        end += 2
    if (
        not parts
        and end + 2 < len(tokens)
        and tokens[end].is_op("[")
        and tokens[end + 1].kind == "string"
        and tokens[end + 2].is_op("]")
    ):
        parts, end = [str(tokens[end + 1].value)], end + 3
    follows = tokens[end] if end < len(tokens) else None
    if follows is not None and follows.is_op("="):
        return [], False
    called = follows is not None and follows.is_op("(", "{")
    return [_name(".".join(parts), called)], called and not parts and follows is not None and follows.is_op(
        "("
    )


def _own(source: Source) -> bool:
    """Whether `params` is a variable or an argument in this file: then it may mean anything."""
    tokens = source.tokens
    for i, token in enumerate(tokens[:-1]):
        if token.kind != "name":
            continue
        if token.text == "params" and ((i and tokens[i - 1].text == "def") or tokens[i + 1].is_op("->")):
            return True
        if token.text == "def" and i + 2 < len(tokens) and tokens[i + 2].is_op("("):
            arguments = tokens[i + 3 : source.partner[i + 2]]
            if any(t.kind == "name" and t.text == "params" for t in arguments):
                return True
    return False


def _name(text: str, called: bool) -> str:
    """``x.y`` of ``x?.y``; without the name of a function that is called."""
    parts = text.replace("?.", ".").split(".")
    return ".".join(parts[:-1] if called else parts)
