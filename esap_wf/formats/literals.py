"""Numbers as they are written: ``1.50`` and ``1e3`` are not ``1.5`` and ``1000.0`` to a command line that CWL
makes of a job order.

What Python would write otherwise is kept beside the values, by JSON pointer (RFC 6901).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

#: What may stand in the place of a number, whoever wrote it.
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_MARK = re.compile(r'"\\u0000(\d+)\\u0000"')


class Written(float):
    """A number with the text that stands for it."""

    text: str


def number(text: str) -> float:
    """The number that a text stands for, a `Written` if Python would write another text."""
    digits = text.replace("_", "")
    value = float(digits)
    if repr(value) == text:
        return value
    kept = Written(value)
    kept.text = digits
    return kept


def whole(text: str) -> int | float:
    """An integer; beyond 64 bits a `Written`, for a parameter that takes any number."""
    digits = text.replace("_", "")
    value = int(digits, 0) if digits[1:2] in ("x", "o") else int(digits)
    return value if abs(value) < 2**63 or abs(value) > 10**300 else number(digits)


def taken_out(value: Any) -> tuple[Any, dict[str, str]]:
    """A value with ordinary numbers, and the texts of those that were `Written`, by pointer."""
    written: dict[str, str] = {}

    def without_texts(part: Any, pointer: str) -> Any:
        if isinstance(part, dict):
            return {k: without_texts(v, f"{pointer}/{_escaped(k)}") for k, v in part.items()}
        if isinstance(part, list):
            return [without_texts(v, f"{pointer}/{i}") for i, v in enumerate(part)]
        if isinstance(part, Written):
            written[pointer] = part.text
            return float(part)
        return part

    return without_texts(value, ""), written


def of(names: Any, written: Mapping[str, str]) -> dict[str, str]:
    """Those of some top-level names."""
    wanted = {_escaped(name) for name in names}
    return {pointer: text for pointer, text in written.items() if pointer.split("/", 2)[1] in wanted}


def put_back(values: Any, written: Mapping[str, str]) -> bytes:
    """JSON of values, numbers as they were written, as far as they still are these numbers."""
    texts: list[str] = []

    def marked(part: Any, pointer: str) -> Any:
        if isinstance(part, dict):
            return {k: marked(v, f"{pointer}/{_escaped(k)}") for k, v in part.items()}
        if isinstance(part, (list, tuple)):
            return [marked(v, f"{pointer}/{i}") for i, v in enumerate(part)]
        text = written.get(pointer, "")
        if isinstance(part, float) and NUMBER.fullmatch(text) and float(text) == part:
            texts.append(text)
            return f"\0{len(texts) - 1}\0"  # in no text of a user's: documents refuse it
        return part

    text = json.dumps(
        marked(values, "") if written else values, indent=1, ensure_ascii=False, allow_nan=False
    )
    return (_MARK.sub(lambda m: texts[int(m[1])], text) + "\n").encode()


def _escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
