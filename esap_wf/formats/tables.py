"""
What all checks of tables share: reading CSV and TSV, and how a check of many rows ends. Imported by inputs
and sheets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading
from esap_wf.formats.quantities import human_count

#: Problems reported of one table; a wrong column would otherwise print a million lines.
MAX_PROBLEMS = 20


def csv_rows(path: Path, sheet: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
    """
    Rows of a CSV or TSV file with their line numbers, every cell as it stands.

    Parameters
    ----------
    path : Path
    sheet : bool
        As sample sheets are read: every column has a name, and a row of empty cells is none.

    Raises
    ------
    UsageError
        The file is no such table.
    """
    try:
        reader = csv.reader(reading.lines(path), delimiter=delimiter_of(path), strict=True)
        header = [h.strip() for h in next(reader, [])]
        if not header or len(set(header)) != len(header) or (sheet and not all(header)):
            raise UsageError(
                "a table is broken",
                [Problem(f"{path}:1", "the first line must name the columns, each only once")],
            )
        for cells in reader:
            if not (any(cells) if sheet else cells):
                continue
            if len(cells) != len(header):
                what = f"{human_count(len(cells), 'cell')} for {human_count(len(header), 'column')}"
                raise UsageError("a table is broken", [Problem(f"{path}:{reader.line_num}", what)])
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except (csv.Error, OSError, ValueError) as error:
        raise UsageError(
            "a table is broken", [Problem(str(path), getattr(error, "strerror", None) or str(error))]
        ) from None


def delimiter_of(path: Path) -> str:
    """What stands between two cells, by the file's name."""
    return "\t" if path.name.endswith(".tsv") else ","


def not_utf8(path: Path, error: UnicodeDecodeError) -> UsageError:
    """The error of a file in another encoding."""
    return UsageError("a table is broken", [Problem(str(path), f"not UTF-8: {error.reason}")])


def too_many(path: Path, problems: list[Problem]) -> bool:
    """Whether a check may end here; the last problem says so."""
    if len(problems) < MAX_PROBLEMS:
        return False
    problems.append(Problem(str(path), "further rows were not checked"))
    return True


def conclude(path: Path, rows: int, problems: list[Problem]) -> None:
    """
    The end of a check.

    Raises
    ------
    UsageError
        There are problems, or no rows.
    """
    if not rows and not problems:
        problems.append(Problem(str(path), "the table has no rows"))
    if problems:
        raise UsageError("a table is not valid", problems)
