"""A table of a TOML file, with the line of what stands in it: the standard parser keeps no positions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.formats.documents import Document, Pointer, pointer_text

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class TomlTable(Document):
    """
    A table below a pointer of a TOML file. Its lines are looked for only when something is wrong.

    Parameters
    ----------
    data : dict
    file : Path
    below : sequence of str
        Names of the table and of those that it stands in.
    """

    def __init__(self, data: dict[str, Any], file: Path, below: tuple[str, ...]) -> None:
        super().__init__(data, str(file))
        self.file, self.below = file, below

    def where(self, pointer: Pointer = ()) -> str:
        """File, line (of the deepest part that stands there) and path."""
        wanted = [*self.below, *(str(part) for part in pointer)]
        return f"{self._at(wanted)}: {pointer_text([*self.below, *pointer])}"

    def line(self, pointer: Pointer = ()) -> str:
        """File and line."""
        return self._at([*self.below, *(str(part) for part in pointer)])

    def _at(self, wanted: list[str]) -> str:
        try:
            text = reading.read_text(self.file)
        except (EsapError, OSError, ValueError):
            return self.source
        deepest, found = 0, 0
        for number, names in _statements(text):
            common = next(
                (i for i, (a, b) in enumerate(zip(names, wanted, strict=False)) if a != b),
                min(len(names), len(wanted)),
            )
            if common > deepest and common == min(len(names), len(wanted)):
                deepest, found = common, number
        return f"{self.source}:{found}" if found else self.source


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and full name of each table and key, as far as a line shows it."""
    table: list[str] = []
    listed: dict[tuple[str, ...], int] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        head = line.strip()
        is_table = head.startswith("[")
        names = _names(head.lstrip("[ ").rpartition("]")[0].rstrip("] ") if is_table else _key(head))
        if not names:
            continue
        if not _is_beginning("\n".join(lines[: number - 1])):
            continue  # within a text or a list of several lines
        if head.startswith("[["):
            listed[tuple(names)] = listed.get(tuple(names), -1) + 1
            names = [*names, str(listed[tuple(names)])]
        if is_table:
            table = names
        yield number, names if is_table else [*table, *names]


def _key(line: str) -> str:
    """What stands before the first ``=`` outside of quotes."""
    match = re.match(r"""((?:[^"'=#]|"(?:\\.|[^"\\])*"|'[^']*')+)=""", line)
    return match[1].strip() if match else ""


def _names(text: str) -> list[str]:
    """The parts of a dotted key; empty if it is none."""
    parts = re.findall(r"""\s*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)\s*(?:\.|$)""", text)
    return [p if _BARE.fullmatch(p) else p[1:-1] for p in parts]


def _is_beginning(before: str) -> bool:
    """Whether a statement may begin behind a text."""
    import tomllib

    try:
        tomllib.loads(before)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return False
    return True
