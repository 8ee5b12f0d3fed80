"""Tables of units: their rows, each held against a schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, reading, schemas, tables
from esap_wf.models.manifest import Reading
from esap_wf.request import dataframes
from esap_wf.request.texts import from_text


def rows_of(path: Path, schema: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    """
    Rows of a CSV, TSV or JSON-lines file with their line numbers; numbers of CSV as the schema types them.

    Raises
    ------
    UsageError
        The file is no such table.
    """
    properties = schema.get("properties", {})
    # the job reads the table itself: a cell with a unit would be converted here, but not there
    unitless = {n: {k: v for k, v in p.items() if k != "unit"} for n, p in properties.items()}
    texts = {n for n, p in properties.items() if p.get("type") == "string"}
    if path.name.endswith((".jsonl", ".ndjson")):
        yield from _json_lines(path)
        return
    for line, cells in tables.csv_rows(path):
        row: dict[str, Any] = {}
        for column, cell in cells.items():
            if column in texts:
                row[column] = cell
            elif cell:
                try:
                    row[column] = from_text(cell, unitless.get(column, {}))
                except ValueError:
                    row[column] = cell  # the schema's message says what was expected
        yield line, row


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    decode = msgspec.json.Decoder().decode
    try:
        for number, line in enumerate(reading.lines(path), start=1):
            if line.strip():
                try:
                    yield number, decode(line)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise UsageError("a table is broken", [Problem(f"{path}:{number}", str(error))]) from None
    except UnicodeDecodeError as error:
        raise tables.not_utf8(path, error) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            "a table is broken", [Problem(str(path), getattr(error, "strerror", None) or str(error))]
        ) from None


def check_table(
    path: Path,
    schema: dict[str, Any],
    keyed: bool = True,
    reading: Reading | None = None,
    file: Path | None = None,
    root: Path | None = None,
) -> int:
    """
    Validate a table row by row, in one pass and constant memory but for the keys.

    Parameters
    ----------
    path : Path
    schema : dict
        JSON Schema of one row; its first required property is the unit's key, which must not repeat.
    keyed : bool
        False: it may. A pipeline that was not written for esap-wf has keys of its own.
    reading : Reading, optional
        How the pipeline reads it. To pandas a table without rows is one, too.
    file, root : Path, optional
        Where the schema stands; see `schemas.validator`.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    UsageError
        Up to `tables.MAX_PROBLEMS` problems with line and column.
    """
    check = schemas.validator(schema, file, root)
    key = next(iter(schema.get("required", [])), None)
    seen: set[str] = set()
    problems: list[Problem] = []
    count, is_valid = 0, check.is_valid
    for line, row in dataframes.rows(path, reading, schema) if reading else rows_of(path, schema):
        count += 1
        if not is_valid(row):
            for error in check.iter_errors(row):
                pointer, what, hint = schemas.wording(error, schema)
                at = documents.pointer_text(pointer)
                problems.append(Problem(f"{path}:{line}" + (f": {at}" if at else ""), what, hint))
        elif key is not None and keyed:
            mark = repr(row[key])  # not hash(): that of -1 and -2 is the same
            if mark in seen:
                problems.append(Problem(f"{path}:{line}: {key}", f"{row[key]!r} appears twice in the table"))
            seen.add(mark)
        if tables.too_many(path, problems):
            break
    if count or problems or reading is None:
        tables.conclude(path, count, problems)
    return count
