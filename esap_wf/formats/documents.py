"""YAML and JSON documents that people write, with the position of every value. PyYAML loads late."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, RefusedError, UsageError
from esap_wf.formats import reading, syntax

#: Larger documents are data, not parameters: they belong into an input.
MAX_BYTES = 16 * 1024 * 1024
#: Problems reported of one document: each costs a walk to its line, and nobody reads a thousand.
MAX_PROBLEMS = 50

_BROKEN_TEXT = re.compile("[\0\ud800-\udfff]")

Pointer = Sequence[str | int]


def pointer_text(pointer: Pointer) -> str:
    """A path inside a document as people write it: ``inputs.events[2]``."""
    text = ""
    for part in pointer:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass
class Document:
    """
    A parsed document.

    Parameters
    ----------
    data
        Values: dict with string keys, list, str, int, float, bool, None.
    source : str
        File name, or what else it came from.
    text : str
        Kept to find positions when something is wrong.
    written : dict of str to str
        Numbers as they are written, see `esap_wf.formats.literals`; if they were asked for.
    """

    data: Any
    source: str
    text: str = field(default="", repr=False)
    written: dict[str, str] = field(default_factory=dict, repr=False)

    def where(self, pointer: Pointer = ()) -> str:
        """
        File, line, column and path of a value.

        Parameters
        ----------
        pointer : sequence of str or int
            Keys and indices from the root; the deepest part that exists is used for the line.
        """
        position = _position(self.text, pointer) if self.text else None
        where = f"{self.source}:{position[0]}:{position[1]}" if position else self.source
        path = pointer_text(pointer)
        return f"{where}: {path}" if path else where

    def line(self, pointer: Pointer = ()) -> str:
        """File and line of a value."""
        position = _position(self.text, pointer) if self.text else None
        return f"{self.source}:{position[0]}" if position else self.source


@lru_cache(maxsize=8)
def _composed(text: str) -> Any:
    """
    The nodes of a text, None if it has none; kept, because many positions of one document are asked for.
    """
    import yaml

    try:
        return yaml.compose(text, Loader=syntax.loader_of(False))
    except (yaml.YAMLError, RecursionError):
        return None


def _position(text: str, pointer: Pointer) -> tuple[int, int] | None:
    """Line and column of a value, or of the deepest part of its pointer that exists; counted from 1."""
    import yaml

    node = _composed(text)
    if node is None:
        return None
    mark = node.start_mark
    for part in pointer:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if getattr(k, "value", None) == str(part)]
            if not found:
                break
            mark, node = found[-1][0].start_mark, found[-1][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
    return mark.line + 1, mark.column + 1


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """
    Text of a file.

    Raises
    ------
    NotFoundError
        The file is missing.
    UsageError
        It can't be read, is too large or not UTF-8.
    """
    try:
        return reading.read_text(path, limit=limit)
    except RefusedError as error:  # the user names another file: what is refused is not the command
        raise UsageError(error.message, error.problems) from None


def load(path: Path, *, schema: bool = False, exact: bool = False) -> Document:
    """
    Read a YAML or JSON file; a `schema` may name characters in its patterns that values must not hold;
    `exact`: see `parse`.

    Raises
    ------
    NotFoundError, UsageError
        Missing, unreadable, too large, broken, or with values no document may carry; the line is named.
    """
    return parse(read_text(path), str(path), schema=schema, exact=exact)


def parse(
    text: str, source: str, *, schema: bool = False, as_json: bool | None = None, exact: bool = False
) -> Document:
    """
    Parse YAML or JSON.

    Parameters
    ----------
    text : str
    source : str
        Name for messages; ``.json`` at its end chooses JSON, if `as_json` doesn't say which it is.
    exact : bool
        As CWL's engines read a job order: with numbers as they are written, and YAML whatever the file is
        called.

    Raises
    ------
    UsageError
        All that is wrong, with line and column.
    """
    is_json = source.endswith(".json") if as_json is None else as_json
    written: dict[str, str] = {}
    if exact:
        data, written = syntax.parse_exactly(text, source, is_json)
    else:
        data = syntax.parse_json(text, source) if is_json else syntax.parse_yaml(text, source)
    document = Document(data, source, text, written)
    check(document, schema=schema)
    return document


def check(document: Document, *, schema: bool = False) -> None:
    """
    Make sure that values can be used, whoever made them.

    Raises
    ------
    UsageError
        Some are nested too deeply, or (not in a `schema`) can be carried by no document.
    """
    source = document.source
    strange = list(islice(_strange_values(document.data), MAX_PROBLEMS + 1))
    if any(len(pointer) > syntax.MAX_DEPTH for pointer, _ in strange):
        raise UsageError(f"{source} can't be read", [Problem(source, "nested too deeply")])
    problems = (
        [Problem(document.where(pointer), what) for pointer, what in strange[:MAX_PROBLEMS]]
        if not schema
        else []
    )
    if len(strange) > MAX_PROBLEMS and not schema:
        problems.append(Problem(source, "there are more of them"))
    if problems:
        raise UsageError(f"{source} contains values that can't be used", problems)


def _strange_values(data: Any) -> Iterator[tuple[list[str | int], str]]:
    """
    Values that JSON can't carry or that no name, parameter or path may hold; ends where it is nested too
    deeply.
    """
    stack: list[tuple[list[str | int], Any]] = [([], data)]
    while stack:
        pointer, value = stack.pop()
        if len(pointer) > syntax.MAX_DEPTH:
            yield pointer, "nested too deeply"
            return
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    yield [*pointer, str(key)], f"the key {key!r} is not text"
                elif _BROKEN_TEXT.search(key):
                    yield pointer, f"the key {key!r} contains a NUL or half of a surrogate pair"
                    continue
                stack.append(([*pointer, str(key)], item))
        elif isinstance(value, (list, tuple)):
            stack.extend(([*pointer, i], item) for i, item in enumerate(value))
        elif what := _strange(value):
            yield pointer, what


def _strange(value: object) -> str:
    """What is wrong with a value that is no list and no mapping; empty if nothing is."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(value, str) and _BROKEN_TEXT.search(value):
        return "contains a NUL or half of a surrogate pair"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "is an integer beyond 64 bits"
    if value is not None and not isinstance(value, (str, int, float)):
        return f"a {type(value).__name__} is neither text nor a number, list or mapping"
    return ""
