"""Sample sheets: a table of which each row is held against a schema, as nf-schema does it; and the files that
its rows name.

CSV, TSV, YAML and JSON.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import documents, literals, reading, schemas, tables
from esap_wf.models.request import LAKE, RUN

Kind = Literal["any", "file", "folder"]

#: What a cell of a file's column may be.
FORMATS = {"file-path", "directory-path", "path", "file-path-pattern"}
#: Of those that must be one of both.
_KINDS: dict[str, Kind] = {"file-path": "file", "directory-path": "folder"}
_DOCUMENTS = {".yaml", ".yml", ".json"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_sheet(schema: Any) -> bool:
    """Whether a schema is that of a whole sheet (a list of rows), not of one row."""
    return isinstance(schema, dict) and (schema.get("type") == "array" or "items" in schema)


def is_brought(text: str) -> bool:
    """Whether a cell names what no engine can read: data of a lake, a result of a run."""
    return text.startswith((LAKE, RUN))


def addresses(path: Path, schema: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, Kind]]:
    """
    What lies elsewhere and is named in columns of files.

    Parameters
    ----------
    path : Path
    schema : mapping
        As for `check`, by which the table is right.

    Returns
    -------
    dict
        Column and text of a cell → where it stands first, and what must be there.
    """
    found: dict[tuple[str, str], tuple[str, Kind]] = {}
    if not any(word in line for line in reading.lines(path) for word in (LAKE, RUN)):
        return found
    properties = _properties(schema.get("items") or {})
    for where, row in _rows(path, properties):
        for name, text in row.items() if isinstance(row, dict) else ():
            form = properties.get(name, {}).get("format")
            if form in FORMATS and isinstance(text, str) and is_brought(text):
                found.setdefault((name, text), (where, _KINDS.get(form, "any")))
    return found


def copied(path: Path, cells: Mapping[str, Mapping[str, str]]) -> bytes:
    """
    A table with other texts in some cells.

    Parameters
    ----------
    path : Path
    cells : mapping
        Column → what stands in it → what is to stand there.
    """
    if path.suffix in _DOCUMENTS:
        document = documents.load(path, exact=True)
        rows = [
            {k: cells[k].get(v, v) if k in cells and isinstance(v, str) else v for k, v in row.items()}
            if isinstance(row, dict)
            else row
            for row in document.data
        ]
        return literals.put_back(rows, document.written)
    delimiter = tables.delimiter_of(path)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    reader = csv.reader(reading.lines(path), delimiter=delimiter, strict=True)
    header = next(reader)
    writer.writerow(header)
    changed = [cells.get(name.strip(), {}) for name in header]
    for row in reader:
        writer.writerow([of.get(cell.strip(), cell) for of, cell in zip(changed, row, strict=False)])
    return text.getvalue().encode()


def check(
    path: Path, schema: dict[str, Any], file: Path | None = None, root: Path | None = None
) -> tuple[int, list[Path]]:
    """
    Hold every row against the schema.

    Parameters
    ----------
    path : Path
    schema : dict
        JSON Schema of the list, with nf-schema's ``exists``, ``errorMessage``, ``uniqueEntries``.
    file, root : Path, optional
        Where the schema stands; see `schemas.validator`.

    Returns
    -------
    rows : int
    files : list of Path
        What the rows name and what is there.

    Raises
    ------
    UsageError
        Up to `tables.MAX_PROBLEMS` problems with line and column.
    """
    row_schema = schema.get("items") if isinstance(schema.get("items"), dict) else {}
    assert isinstance(row_schema, dict)
    properties = _properties(row_schema)
    own = {"$defs": schema.get("$defs", {}), "definitions": schema.get("definitions", {})}
    check_row = schemas.validator({**row_schema, **own}, file, root)
    unique = schema.get("uniqueEntries") or row_schema.get("uniqueEntries")
    problems: list[Problem] = []
    files: dict[Path, None] = {}
    seen: dict[tuple[str, ...], str] = {}
    count = 0
    for where, row in _rows(path, properties):
        count += 1
        for error in check_row.iter_errors(row):
            pointer, what, hint = schemas.wording(error, row_schema)
            name = str(pointer[0]) if pointer else ""
            message = properties.get(name, {}).get("errorMessage")
            at = documents.pointer_text(pointer)
            problems.append(
                Problem(
                    f"{where}: {at}" if at else where,
                    f"{message} ({what})" if isinstance(message, str) else what,
                    hint,
                )
            )
        if isinstance(row, dict):
            problems += _paths(where, row, properties, files)
            if isinstance(unique, list):
                mark = tuple(repr(row.get(str(k))) for k in unique)
                if mark in seen:
                    problems.append(
                        Problem(where, f"{', '.join(map(str, unique))}: the same as in {seen[mark]}")
                    )
                seen.setdefault(mark, where)
        if tables.too_many(path, problems):
            break
    tables.conclude(path, count, problems)
    return count, list(files)


def _properties(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = row.get("properties")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _paths(
    where: str, row: Mapping[str, Any], properties: Mapping[str, Mapping[str, Any]], files: dict[Path, None]
) -> Iterator[Problem]:
    """
    Files that a row names; relative ones mean the folder in which Nextflow is started, which is the run's
    own.
    """
    for name, prop in properties.items():
        text = row.get(name)
        if prop.get("format") not in FORMATS or not isinstance(text, str) or not text:
            continue
        if _URL.match(text) or is_brought(text):
            continue
        if prop.get("exists") is False:
            continue
        path = Path(text)
        if not path.is_absolute():
            beside = Path(where.rsplit(":", 1)[0]).parent / text
            hint = f"write {beside.resolve()}" if beside.exists() else "write an absolute path"
            what = (
                f"{text!r} is relative: the engine would look for it in the run's own folder, where it "
                "is started"
            )
            yield Problem(f"{where}: {name}", what, hint)
        elif "*" in text or "{" in text:
            continue
        elif not path.exists():
            yield Problem(f"{where}: {name}", f"there is no {text}")
        elif prop.get("format") == "file-path" and not path.is_file():
            yield Problem(f"{where}: {name}", f"{text} is not a file")
        elif prop.get("format") == "directory-path" and not path.is_dir():
            yield Problem(f"{where}: {name}", f"{text} is not a folder")
        else:
            files[path] = None


def _rows(path: Path, properties: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Rows and where each stands; empty cells are left out."""
    if path.suffix in _DOCUMENTS:
        document = documents.load(path)
        if not isinstance(document.data, list):
            raise UsageError(
                "a table is not valid", [Problem(document.where(), "a list of rows is expected")]
            )
        for i, row in enumerate(document.data):
            yield document.line([i]), row
        return
    for line, cells in tables.csv_rows(path, sheet=True):
        yield (
            f"{path}:{line}",
            {h: _cell(c.strip(), properties.get(h, {})) for h, c in cells.items() if c.strip()},
        )


def _cell(text: str, prop: Mapping[str, Any]) -> Any:
    """A cell as the schema types it; without a type it stays a text."""
    kinds = prop.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds] if isinstance(kinds, str) else []
    if "boolean" in kinds and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if {"integer", "number"} & set(kinds):
        if re.fullmatch(r"[-+]?\d{1,18}", text, re.ASCII):
            return int(text)
        if "number" in kinds and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text, re.ASCII):
            return float(text)
    return text
