"""Sample sheets: a table of which each row is held against a schema, as nf-schema does it; and the files that its rows name.

Imported by inputs. CSV, TSV, YAML and JSON.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from esap_wf import documents, schemas
from esap_wf.errors import Problem, UsageError

#: Problems reported of one sheet.
MAX_PROBLEMS = 20
FORMATS = {"file-path", "directory-path", "path", "file-path-pattern"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_sheet(schema: Any) -> bool:
    """Whether a schema is that of a whole sheet (a list of rows), not of one row."""
    return isinstance(schema, dict) and (schema.get("type") == "array" or "items" in schema)


def check(path: Path, schema: dict[str, Any]) -> tuple[int, list[Path]]:
    """
    Hold every row against the schema.

    Parameters
    ----------
    path : Path
    schema : dict
        JSON Schema of the list, with nf-schema's ``exists``, ``errorMessage``, ``uniqueEntries``.

    Returns
    -------
    rows : int
    files : list of Path
        What the rows name and what is there.

    Raises
    ------
    UsageError
        Up to `MAX_PROBLEMS` problems with line and column.
    """
    row_schema = schema.get("items") if isinstance(schema.get("items"), dict) else {}
    assert isinstance(row_schema, dict)
    properties = _properties(row_schema)
    check_row = schemas.validator({**row_schema, "$defs": schema.get("$defs", {}), "definitions": schema.get("definitions", {})})
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
            told = properties.get(name, {}).get("errorMessage")
            at = documents.pointer_text(pointer)
            problems.append(Problem(f"{where}: {at}" if at else where, f"{told} ({what})" if isinstance(told, str) else what, hint))
        if isinstance(row, dict):
            problems += _paths(where, row, properties, files)
            if isinstance(unique, list):
                mark = tuple(repr(row.get(str(k))) for k in unique)
                if mark in seen:
                    problems.append(Problem(where, f"{', '.join(map(str, unique))} stand in {seen[mark]} too"))
                seen.setdefault(mark, where)
        if len(problems) >= MAX_PROBLEMS:
            problems.append(Problem(str(path), "further rows were not checked"))
            break
    if not count and not problems:
        problems.append(Problem(str(path), "the table has no rows"))
    if problems:
        raise UsageError("a table is not valid", problems)
    return count, list(files)


def _properties(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = row.get("properties")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _paths(where: str, row: Mapping[str, Any], properties: Mapping[str, Mapping[str, Any]], files: dict[Path, None]) -> Iterator[Problem]:
    """Files that a row names; relative ones mean the folder in which Nextflow is started, which is the run's own."""
    for name, prop in properties.items():
        text = row.get(name)
        if prop.get("format") not in FORMATS or not isinstance(text, str) or not text or _URL.match(text):
            continue
        if prop.get("exists") is False:
            continue
        path = Path(text)
        if not path.is_absolute():
            beside = Path(where.rsplit(":", 1)[0]).parent / text
            hint = f"write {beside.resolve()}" if beside.exists() else "write an absolute path"
            what = f"{text!r} is relative: it would be looked for in the run's own folder, where the engine is started"
            yield Problem(f"{where}: {name}", what, hint)
        elif "*" in text or "{" in text:
            continue
        elif not path.exists():
            yield Problem(f"{where}: {name}", f"there is no {text}")
        elif prop.get("format") == "file-path" and not path.is_file():
            yield Problem(f"{where}: {name}", f"{text} is no file")
        elif prop.get("format") == "directory-path" and not path.is_dir():
            yield Problem(f"{where}: {name}", f"{text} is no folder")
        else:
            files[path] = None


def _rows(path: Path, properties: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Rows and where each stands; empty cells are left out."""
    if path.suffix in {".yaml", ".yml", ".json"}:
        document = documents.load(path)
        if not isinstance(document.data, list):
            raise UsageError("a table is not valid", [Problem(document.where(), "a list of rows is expected")])
        for i, row in enumerate(document.data):
            yield document.line([i]), row
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            reader = csv.reader(f, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            header = [h.strip() for h in next(reader, [])]
            if not header or len(set(header)) != len(header) or not all(header):
                raise UsageError("a table is broken", [Problem(f"{path}:1", "the first line names the columns, each once")])
            for cells in reader:
                if not any(cells):
                    continue
                where = f"{path}:{reader.line_num}"
                if len(cells) != len(header):
                    raise UsageError("a table is broken", [Problem(where, f"{len(cells)} cells under {len(header)} columns")])
                yield where, {h: _cell(c.strip(), properties.get(h, {})) for h, c in zip(header, cells, strict=True) if c.strip()}
    except UnicodeDecodeError as error:
        raise UsageError("a table is broken", [Problem(str(path), f"not UTF-8: {error.reason}")]) from None
    except csv.Error as error:
        raise UsageError("a table is broken", [Problem(str(path), str(error))]) from None


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
