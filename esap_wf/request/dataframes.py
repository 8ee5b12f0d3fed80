"""Rows of a table as pandas gives them to the pipeline that reads it so (`Reading`).

pandas is not needed: what a cell of a column without a type would become is guessed only where a schema asks
for it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, UsageError
from esap_wf.formats.quantities import human_count
from esap_wf.formats.reading import lines
from esap_wf.formats.tables import not_utf8
from esap_wf.models.manifest import Reading

#: What pandas takes for nothing, unless told otherwise.
BLANK = {
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
}
_PACKED = (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar")
_WHOLE = re.compile(r"\s*[-+]?\d{1,18}\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)


def is_readable(path: Path) -> bool:
    """Whether the rows of a file can be looked at here."""
    return not path.name.endswith(_PACKED)


def rows(path: Path, reading: Reading, schema: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Rows with their line numbers; cells that are nothing to pandas are left out, as Snakemake's ``validate``
    does.

    Raises
    ------
    UsageError
        The file is no such table.
    """
    properties = schema.get("properties", {})
    header: list[str] | None = None if reading.header else list(reading.names)
    dropped: set[str] = set()
    try:
        for line, cells in _lines(path, reading):
            if header is None or not dropped:
                if header is None:
                    header = list(reading.names) or _unique(cells)
                    dropped = _dropped(header, reading)
                    continue
                dropped = _dropped(header, reading)
            if len(cells) > len(header):
                what = f"{human_count(len(cells), 'cell')} for {human_count(len(header), 'column')}"
                raise UsageError("a table is broken", [Problem(f"{path}:{line}", what)])
            yield (
                line,
                {c: v for c, v in _row(header, cells, reading, properties).items() if c not in dropped},
            )
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except (csv.Error, OSError, ValueError, TypeError) as error:  # TypeError: a separator that csv can't have
        raise UsageError(
            "a table is broken", [Problem(str(path), getattr(error, "strerror", None) or str(error))]
        ) from None


def _lines(path: Path, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Cells of every line that holds any."""
    texts = (_uncommented(text, reading.comment) for i, text in enumerate(lines(path)) if i >= reading.skip)
    if not reading.sep:
        for number, text in enumerate(texts, start=reading.skip + 1):
            if cells := text.split():
                yield number, [c.strip('"') for c in cells]
        return
    reader = csv.reader(texts, delimiter=reading.sep)
    for cells in reader:
        if len(cells) > 1 or any(c.strip() for c in cells):
            yield reader.line_num + reading.skip, cells


def _uncommented(text: str, comment: str) -> str:
    """A line without what stands behind the sign of a comment; in quotes it is none."""
    if not comment or comment not in text:
        return text
    quoted = False
    for i, char in enumerate(text):
        quoted ^= char == '"'
        if char == comment and not quoted:
            return text[:i] + "\n"
    return text


def _unique(cells: list[str]) -> list[str]:
    """Names of columns as pandas makes them: each once, and none empty."""
    seen: dict[str, int] = {}
    found = []
    for i, cell in enumerate(cells):
        name = cell or f"Unnamed: {i}"
        seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}.{seen[name]}" if seen[name] else name)
    return found


def _dropped(header: list[str], reading: Reading) -> set[str]:
    """Columns that are no part of a row: the index, and what is not read."""
    kept = {
        header[c] if isinstance(c, int) and -len(header) <= c < len(header) else str(c) for c in reading.only
    } or set(header)
    index = {
        header[c] if isinstance(c, int) and -len(header) <= c < len(header) else str(c)
        for c in reading.without
    }
    return (set(header) - kept) | index | {"\0"}


def _row(
    header: list[str], cells: list[str], reading: Reading, properties: Mapping[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=False):
        if (
            cell in BLANK
            if reading.blank
            else cell == "" and not (reading.texts or column in reading.text_columns)
        ):
            continue
        prop = properties.get(column, {})
        kinds = prop.get("type") if isinstance(prop, dict) else None
        kinds = kinds if isinstance(kinds, list) else [kinds] if isinstance(kinds, str) else []
        if reading.texts or column in reading.text_columns or kinds == ["string"]:
            row[column] = cell
        elif (value := _typed(cell)) is not None:
            row[column] = value
    return row


def _typed(cell: str) -> Any:
    """What a cell of a column without a type looks like; None if no schema can be held against it."""
    if cell.strip().lower() in {"inf", "-inf", "+inf", "infinity", "-infinity"}:
        return None
    if cell.strip() in {"True", "TRUE", "true", "False", "FALSE", "false"}:
        return cell.strip().lower() == "true"
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return float(cell) if _NUMBER.fullmatch(cell) and abs(float(cell)) < 1e300 else cell
