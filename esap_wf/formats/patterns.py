"""
Regular expressions of a JSON Schema in words: nobody should have to read one in an error. Standard library
only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: A set of characters, and how many of them.
_PART = re.compile(
    r"\[(?P<set>[A-Za-z0-9_.:=+\\/ ,@%-]+)\](?:\{(?P<low>\d+)(?:,(?P<high>\d*))?\}|(?P<many>[+*?]))?"
)
_RANGES = (
    ("A-Za-z", "letters"),
    ("a-zA-Z", "letters"),
    ("a-z", "small letters"),
    ("A-Z", "capital letters"),
    ("0-9", "digits"),
    (r"\d", "digits"),
)


def described(schema: Mapping[str, Any], name: str | int, pattern: str) -> str:
    """
    What a pattern asks for: what the schema that has it, or has a property with it, says of itself, else
    `in_words`.
    """
    own = schema if {"pattern", "anyOf"} & set(schema) else schema.get("properties", {}).get(name, {})
    own = own if isinstance(own, Mapping) else {}
    branches = own.get("anyOf")
    for one in [*(branches if isinstance(branches, list) else ()), own]:
        if isinstance(one, Mapping) and one.get("pattern", pattern) == pattern:
            words = next(
                (w for key in ("description", "title") if isinstance(w := one.get(key), str) and w.strip()),
                "",
            )
            if words:
                return words.strip()
    return in_words(pattern)


def in_words(pattern: str) -> str:
    """
    What a text that matches is like: ``letters, digits and _, 1 to 32 of them, the first one of letters``;
    empty if it is not so simple.

    Parameters
    ----------
    pattern : str
        Of a whole text: one or two sets of characters between ``^`` and ``$``.
    """
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return ""
    parts, rest = list[tuple[str, int, int | None]](), pattern[1:-1]
    while rest:
        found = _PART.match(rest)
        if not found or not (names := _named(found["set"])) or len(parts) == 2:
            return ""
        parts.append((names, *_counted(found)))
        rest = rest[found.end() :]
    if not parts or (len(parts) == 2 and parts[0][1:] != (1, 1)):
        return ""
    names, low, high = parts[-1]
    if len(parts) == 2:
        low, high = low + 1, None if high is None else high + 1
    if high is None:
        amount = "" if low < 2 else f", at least {low} of them"
    else:
        amount = (
            f", {low} of them"
            if low == high
            else f", at most {high} of them"
            if low < 2
            else f", {low} to {high} of them"
        )
    return (
        names
        + amount
        + (f", beginning with one of: {parts[0][0]}" if len(parts) == 2 and parts[0][0] != names else "")
    )


def _named(characters: str) -> str:
    names: list[str] = []
    for text, name in _RANGES:
        if text in characters:
            characters = characters.replace(text, "", 1)
            names.append(name)
    if re.search(r"\w-\w|\\[A-Za-z]", characters):
        return ""  # another range
    own = "space" if " " in characters else ""
    signs = " ".join(dict.fromkeys(characters.replace("\\", "").replace(" ", "")))
    names += [part for part in (signs, own) if part]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def _counted(found: re.Match[str]) -> tuple[int, int | None]:
    if found["low"] is not None:
        low = int(found["low"])
        return low, low if found["high"] is None else int(found["high"]) if found["high"] else None
    return {"+": (1, None), "*": (0, None), "?": (0, 1)}.get(found["many"] or "", (1, 1))
